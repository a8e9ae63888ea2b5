//! Dropout on the CPU.

use super::sharing::Sharing;
use crate::ops::dropout::{Dropout, hash};
use crate::plan::Slot;

impl Dropout {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::GROUPS
    }

    /// Number of the first element of row `m` of the batch.
    fn element(&self, m: usize) -> u32 {
        let (m, group) = (m as u32, self.images / self.branches);
        ((self.first + m % group) * self.branches + m / group).wrapping_mul(self.values)
    }

    #[inline(always)]
    fn stays(&self, slot: &Slot, element: u32) -> bool {
        hash([slot.seed_low, slot.seed_high], self.layer, element) >= self.threshold
    }
}

/// Plain loops.
pub mod reference {
    use super::Dropout;
    use crate::cpu::{Io, Real, put};

    fn masked<T: Real>(dropout: &Dropout, io: &Io<'_, T>, from: &[T]) -> Vec<T> {
        let images = from.chunks_exact(dropout.values as usize).enumerate();
        let of_image = |(m, values): (usize, &[T])| -> Vec<T> {
            let elements = (dropout.element(m)..).zip(values);
            let masked = |(element, &value): (u32, &T)| {
                if dropout.stays(&io.slot, element) { value * T::of(dropout.scale) } else { T::of(0.0) }
            };
            elements.map(masked).collect()
        };
        images.flat_map(of_image).collect()
    }

    pub fn forward<T: Real>(dropout: &Dropout, io: &mut Io<'_, T>) {
        let y = masked(dropout, io, io.read("x"));
        put(io.write("y"), &y, false);
    }

    pub fn backward<T: Real>(dropout: &Dropout, io: &mut Io<'_, T>) {
        let dx = masked(dropout, io, io.read("dy"));
        put(io.write("dx"), &dx, dropout.accumulate);
    }
}

/// 16 interleaved images at a time: each lane counts the elements of its own.
pub mod fast {
    use super::Dropout;
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes, lanes_mut};
    use crate::ops::INTERLEAVE;
    use crate::plan::Slot;

    struct Masked<'a> {
        dropout: &'a Dropout,
        slot: Slot,
        /// The first image's number.
        first: usize,
        from: &'a [Lanes],
        to: &'a mut [Lanes],
        accumulate: bool,
    }

    impl Kernel for Masked<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Masked { dropout, slot, first, from, to, accumulate } = self;
            let values = dropout.values as usize;
            for (group, (to, from)) in to.chunks_exact_mut(values).zip(from.chunks_exact(values)).enumerate()
            {
                // Lanes that only pad go on counting: whatever they hold, it is finite.
                let starts: [u32; INTERLEAVE] =
                    std::array::from_fn(|lane| dropout.element(first + group * INTERLEAVE + lane));
                for (value, (to, from)) in to.iter_mut().zip(from).enumerate() {
                    for lane in 0..INTERLEAVE {
                        let stays = dropout.stays(&slot, starts[lane].wrapping_add(value as u32));
                        let kept = if stays { from[lane] * dropout.scale } else { 0.0 };
                        to[lane] = if accumulate { to[lane] + kept } else { kept };
                    }
                }
            }
        }
    }

    fn masked(dropout: &Dropout, io: &mut Io<'_, f32>, [from, to]: [&str; 2], accumulate: bool) {
        let (from, to) = (lanes(io.read(from)), lanes_mut(io.write(to)));
        simd::dispatch(Masked { dropout, slot: io.slot, first: io.first, from, to, accumulate });
    }

    pub fn forward(dropout: &Dropout, io: &mut Io<'_, f32>) {
        masked(dropout, io, ["x", "y"], false);
    }

    pub fn backward(dropout: &Dropout, io: &mut Io<'_, f32>) {
        masked(dropout, io, ["dy", "dx"], dropout.accumulate);
    }
}
