//! Rows of a resident table on the CPU.

use super::{Io, Real};
use crate::ops::rows::Rows;

/// `at(row, feature)` is the place of a value in the batch.
fn load<T: Real>(rows: &Rows, io: &mut Io<'_, T>, at: impl Fn(usize, usize) -> usize) {
    let (table, index, y) = (io.read("table"), io.words("index"), io.write("y"));
    let (branches, features) = (rows.branches as usize, rows.features as usize);
    let group = (rows.rows / rows.branches) as usize;
    for m in 0..rows.rows as usize {
        let position = io.slot.first as usize + (m % group).min(io.slot.count as usize - 1);
        let row = index[position * branches + m / group] as usize;
        for (f, &value) in table[row * features..][..features].iter().enumerate() {
            y[at(m, f)] = value;
        }
    }
}

fn store<T: Real>(rows: &Rows, io: &mut Io<'_, T>, at: impl Fn(usize, usize) -> usize) {
    let (x, stored) = (io.read("x"), io.write("stored"));
    let (first, features) = (io.slot.first as usize, rows.features as usize);
    for m in 0..rows.rows.min(io.slot.count) as usize {
        for (f, value) in stored[(first + m) * features..][..features].iter_mut().enumerate() {
            *value = x[at(m, f)];
        }
    }
}

/// One row behind the other.
pub mod reference {
    use super::{Io, Real, Rows};

    pub fn load<T: Real>(rows: &Rows, io: &mut Io<'_, T>) {
        let features = rows.features as usize;
        super::load(rows, io, |m, f| m * features + f);
    }

    pub fn store<T: Real>(rows: &Rows, io: &mut Io<'_, T>) {
        let features = rows.features as usize;
        super::store(rows, io, |m, f| m * features + f);
    }
}

/// Embeddings interleaved by 16 in the batch; the table is plain, and single numbers are both.
pub mod fast {
    use super::{Io, Rows, reference};
    use crate::ops::INTERLEAVE;

    fn interleaved(features: usize) -> impl Fn(usize, usize) -> usize {
        move |m, f| (m / INTERLEAVE * features + f) * INTERLEAVE + m % INTERLEAVE
    }

    pub fn load(rows: &Rows, io: &mut Io<'_, f32>) {
        super::load(rows, io, interleaved(rows.features as usize));
    }

    pub fn store(rows: &Rows, io: &mut Io<'_, f32>) {
        if rows.features == 1 {
            return reference::store(rows, io);
        }
        super::store(rows, io, interleaved(rows.features as usize));
    }
}
