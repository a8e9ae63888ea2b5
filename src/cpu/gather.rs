//! Image bytes to numbers on the CPU.

use super::sharing::Sharing;
use crate::ops::gather::Gather;
use crate::plan::Slot;

impl Gather {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        // A later window of the data set fills in what the first one lacks.
        Sharing::GROUPS.overwriting(self.first_resident == 0)
    }

    /// Place in the list of the image that row `m` of the batch shows.
    pub(super) fn entry(&self, m: usize, slot: &Slot) -> usize {
        let (branches, group) = (self.branches as usize, (self.images / self.branches) as usize);
        let position = slot.first as usize + (self.first as usize + m % group).min(slot.count as usize - 1);
        position * branches + m / group
    }

    /// Number within `data` of the image that row `m` of the batch shows; `None` where another
    /// window of the data set holds it.
    pub(super) fn image(&self, m: usize, index: &[u32], slot: &Slot) -> Option<usize> {
        let image = index[self.entry(m, slot)].wrapping_sub(self.first_resident);
        (image < self.resident).then_some(image as usize)
    }
}

/// Plain loops.
pub mod reference {
    use super::Gather;
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(gather: &Gather, io: &mut Io<'_, T>) {
        let (data, index, y) = (io.words("data"), io.words("index"), io.write("y"));
        for (m, y) in y.chunks_exact_mut(gather.pixels as usize).enumerate() {
            let Some(image) = gather.image(m, index, &io.slot) else { continue };
            let words = &data[image * gather.words()..];
            for (j, value) in y.iter_mut().enumerate() {
                let byte = words[j / 4] >> (8 * (j % 4)) & 0xff;
                *value = T::of(byte as f32) / T::of(255.0);
            }
        }
    }
}

/// Into groups of 16 interleaved images.
pub mod fast {
    use super::Gather;
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes_mut};
    use crate::ops::INTERLEAVE;

    /// The words of 16 images, spread over their lanes.
    struct Spread<'a>([&'a [u32]; INTERLEAVE], &'a mut [Lanes]);

    impl Kernel for Spread<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Spread(images, y) = self;
            for (at, values) in y.chunks_mut(4).enumerate() {
                let words: [u32; INTERLEAVE] = std::array::from_fn(|lane| images[lane][at]);
                for (byte, values) in values.iter_mut().enumerate() {
                    // Signed: older instruction sets only convert those.
                    *values = words.map(|word| (word >> (8 * byte) & 0xff) as i32 as f32 / 255.0);
                }
            }
        }
    }

    pub fn forward(gather: &Gather, io: &mut Io<'_, f32>) {
        let (data, index, y) = (io.words("data"), io.words("index"), io.write("y"));
        let (pixels, images) = (gather.pixels as usize, gather.images as usize);
        for (group, y) in y.chunks_exact_mut(pixels * INTERLEAVE).enumerate() {
            let words: [Option<&[u32]>; INTERLEAVE] = std::array::from_fn(|lane| {
                // Padding repeats the last image: anything finite will do.
                let m = (io.first + group * INTERLEAVE + lane).min(images - 1);
                let image = gather.image(m, index, &io.slot)?;
                Some(&data[image * gather.words()..][..gather.words()])
            });
            let y = lanes_mut(y);
            if words.iter().all(Option::is_some) {
                simd::dispatch(Spread(words.map(Option::unwrap_or_default), y));
                continue;
            }
            // Another window of the data set fills the other lanes.
            for (lane, words) in words.iter().enumerate().filter_map(|(lane, words)| Some((lane, (*words)?)))
            {
                for (word, values) in words.iter().zip(y.chunks_mut(4)) {
                    for (byte, values) in word.to_le_bytes().iter().zip(values) {
                        values[lane] = f32::from(*byte) / 255.0;
                    }
                }
            }
        }
    }
}
