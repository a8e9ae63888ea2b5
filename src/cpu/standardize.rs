//! Images by mean and deviation of their own, on the CPU.

use super::sharing::Sharing;
use crate::ops::standardize::{STATISTICS, Standardize};
use crate::plan::Slot;

impl Standardize {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        // In place.
        Sharing::GROUPS.overwriting(false)
    }

    /// Where the statistics of row `m` of the batch stand.
    fn known(&self, m: usize, index: &[u32], slot: &Slot) -> usize {
        STATISTICS * index[self.gather().entry(m, slot)] as usize
    }
}

/// Plain loops.
pub mod reference {
    use super::Standardize;
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(op: &Standardize, io: &mut Io<'_, T>) {
        let (index, statistics, y) = (io.words("index"), io.read("statistics"), io.write("y"));
        for (m, y) in y.chunks_exact_mut(op.pixels as usize).enumerate() {
            let at = op.known(m, index, &io.slot);
            for y in y {
                *y = statistics[at] * *y + statistics[at + 1];
            }
        }
    }
}

/// 16 interleaved images at a time.
pub mod fast {
    use super::Standardize;
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes_mut};
    use crate::ops::INTERLEAVE;

    struct Group<'a> {
        scale: Lanes,
        shift: Lanes,
        y: &'a mut [Lanes],
    }

    impl Kernel for Group<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for lane in (0..INTERLEAVE).step_by(S::LANES) {
                let (scale, shift) = (S::part(&self.scale, lane), S::part(&self.shift, lane));
                for y in &mut *self.y {
                    S::set_part(y, lane, S::multiply_add(scale, S::part(y, lane), shift));
                }
            }
        }
    }

    pub fn forward(op: &Standardize, io: &mut Io<'_, f32>) {
        let (index, statistics, y) = (io.words("index"), io.read("statistics"), io.write("y"));
        for (group, y) in y.chunks_exact_mut(op.pixels as usize * INTERLEAVE).enumerate() {
            // Padding repeats the last image.
            let at: [usize; INTERLEAVE] = std::array::from_fn(|lane| {
                let m = (io.first + group * INTERLEAVE + lane).min(op.images as usize - 1);
                op.known(m, index, &io.slot)
            });
            let [scale, shift] = [0, 1].map(|part| at.map(|at| statistics[at + part]));
            simd::dispatch(Group { scale, shift, y: lanes_mut(y) });
        }
    }
}
