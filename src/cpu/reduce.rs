//! Sums of partial results on the CPU.

use crate::ops::reduce::Reduce;

/// Plain loops.
pub mod reference {
    use super::Reduce;
    use crate::cpu::{Io, Real, put};

    pub fn forward<T: Real>(reduce: &Reduce, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        let mut sums = vec![T::of(0.0); reduce.count as usize];
        for part in x.chunks_exact(reduce.count as usize) {
            for (sum, &value) in sums.iter_mut().zip(part) {
                *sum += value;
            }
        }
        put(y, &sums, reduce.accumulate);
    }
}

/// A few thousand additions: plain loops are fast.
pub mod fast {
    pub use super::reference::forward;
}
