//! Sums of partial results on the CPU.

use super::sharing::Sharing;
use crate::ops::reduce::Reduce;

impl Reduce {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::elements(self.count, false)
    }
}

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

/// The elements from `io.first` on, as many as `y` has.
pub mod fast {
    use super::Reduce;
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Simd};

    struct Forward<'a> {
        /// Behind the first element of the first part.
        x: &'a [f32],
        count: usize,
        y: &'a mut [f32],
        accumulate: bool,
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward { x, count, y, accumulate } = self;
            let len = y.len();
            let mut parts = x.chunks(count).map(|part| &part[..len]);
            let Some(first) = parts.next() else { return };
            // What `y` holds comes last, as in the reference.
            let held = accumulate.then(|| y.to_vec());
            y.copy_from_slice(first);
            for part in parts {
                for (sum, &value) in y.iter_mut().zip(part) {
                    *sum += value;
                }
            }
            for (sum, held) in y.iter_mut().zip(held.iter().flatten()) {
                *sum += held;
            }
        }
    }

    pub fn forward(reduce: &Reduce, io: &mut Io<'_, f32>) {
        let x = &io.read("x")[io.first..];
        let (count, y, accumulate) = (reduce.count as usize, io.write("y"), reduce.accumulate);
        simd::dispatch(Forward { x, count, y, accumulate });
    }
}
