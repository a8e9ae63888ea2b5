//! Rows of a micro-batch into the whole batch, and back, on the CPU.

use super::{Io, Real, put};
use crate::ops::Layout;
use crate::ops::collect::Collect;

/// For each element of the micro-batch, stored in a layout: where it lies, and where in the batch.
fn places(op: &Collect, layout: Layout) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (rows, values) = (op.rows as usize, op.values as usize);
    let own = rows / op.branches as usize;
    let (first, total) = (op.first as usize, op.total as usize);
    (0..rows).flat_map(move |row| {
        let to = (row / own * total + first + row % own) * values;
        (0..values).map(move |value| (layout.place(row, value, values), to + value))
    })
}

fn forward<T: Real>(op: &Collect, io: &mut Io<'_, T>, layout: Layout) {
    let (x, y) = (io.read("x"), io.write("y"));
    for (from, to) in places(op, layout) {
        put(&mut y[to..=to], &[x[from]], op.accumulate);
    }
}

fn backward<T: Real>(op: &Collect, io: &mut Io<'_, T>, layout: Layout) {
    let (dy, dx) = (io.read("dy"), io.write("dx"));
    for (to, from) in places(op, layout) {
        put(&mut dx[to..=to], &[dy[from]], op.accumulate);
    }
}

/// One row behind the other.
pub mod reference {
    use super::{Collect, Io, Layout, Real};

    pub fn forward<T: Real>(op: &Collect, io: &mut Io<'_, T>) {
        super::forward(op, io, Layout::Plain);
    }

    pub fn backward<T: Real>(op: &Collect, io: &mut Io<'_, T>) {
        super::backward(op, io, Layout::Plain);
    }
}

/// The micro-batch interleaved by 16.
pub mod fast {
    use super::{Collect, Io, Layout};

    pub fn forward(op: &Collect, io: &mut Io<'_, f32>) {
        super::forward(op, io, Layout::Interleaved);
    }

    /// Images that only pad the last group get no gradient, so they count in no sum.
    pub fn backward(op: &Collect, io: &mut Io<'_, f32>) {
        io.pad("dx", 0.0, op.rows as usize, op.values as usize);
        super::backward(op, io, Layout::Interleaved);
    }
}
