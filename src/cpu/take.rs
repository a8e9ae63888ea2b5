//! Rows of a table by index, on the CPU.

/// Plain loops.
pub mod reference {
    use crate::cpu::{Io, Real, put};
    use crate::ops::take::Take;

    pub fn forward<T: Real>(take: &Take, io: &mut Io<'_, T>) {
        let (x, index, y, features) =
            (io.read("x"), io.words("index"), io.write("y"), take.features as usize);
        for (y, &row) in y.chunks_exact_mut(features).zip(&index[io.slot.first as usize..]) {
            y.copy_from_slice(&x[row as usize * features..][..features]);
        }
    }

    pub fn backward<T: Real>(take: &Take, io: &mut Io<'_, T>) {
        let (dy, index, dx, features) =
            (io.read("dy"), io.words("index"), io.write("dx"), take.features as usize);
        let mut sums = vec![T::of(0.0); dx.len()];
        for (dy, &row) in dy.chunks_exact(features).zip(&index[io.slot.first as usize..]) {
            for (sum, &dy) in sums[row as usize * features..].iter_mut().zip(dy) {
                *sum += dy;
            }
        }
        put(dx, &sums, take.accumulate);
    }
}

/// Copies and a sum: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward, forward};
}
