//! Rows of a resident table on the CPU.

use super::{Io, Real};
use crate::ops::Layout;
use crate::ops::rows::Rows;

/// `batch` is the layout of the batch; the table is plain.
fn load<T: Real>(rows: &Rows, io: &mut Io<'_, T>, batch: Layout) {
    let (table, index, y) = (io.read("table"), io.words("index"), io.write("y"));
    let (branches, features) = (rows.branches as usize, rows.features as usize);
    let group = (rows.rows / rows.branches) as usize;
    for m in 0..rows.rows as usize {
        let position = io.slot.first as usize + (m % group).min(io.slot.count as usize - 1);
        let row = index[position * branches + m / group] as usize;
        for (f, &value) in table[row * features..][..features].iter().enumerate() {
            y[batch.place(m, f, features)] = value;
        }
    }
}

fn store<T: Real>(rows: &Rows, io: &mut Io<'_, T>, batch: Layout) {
    let (x, stored) = (io.read("x"), io.write("stored"));
    let (first, features) = (io.slot.first as usize, rows.features as usize);
    for m in 0..rows.rows.min(io.slot.count) as usize {
        for (f, value) in stored[(first + m) * features..][..features].iter_mut().enumerate() {
            *value = x[batch.place(m, f, features)];
        }
    }
}

/// One row behind the other.
pub mod reference {
    use super::{Io, Layout, Real, Rows};

    pub fn load<T: Real>(rows: &Rows, io: &mut Io<'_, T>) {
        super::load(rows, io, Layout::Plain);
    }

    pub fn store<T: Real>(rows: &Rows, io: &mut Io<'_, T>) {
        super::store(rows, io, Layout::Plain);
    }
}

/// The batch interleaved by 16; the table is plain. Single numbers lie the same way in both layouts.
pub mod fast {
    use super::{Io, Layout, Rows};

    pub fn load(rows: &Rows, io: &mut Io<'_, f32>) {
        super::load(rows, io, Layout::Interleaved);
    }

    pub fn store(rows: &Rows, io: &mut Io<'_, f32>) {
        super::store(rows, io, Layout::Interleaved);
    }
}
