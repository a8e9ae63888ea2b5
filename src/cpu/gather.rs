//! Image bytes to numbers on the CPU.

use crate::ops::gather::Gather;
use crate::plan::Slot;

impl Gather {
    /// Number within `data` of the image that row `m` of the batch shows; `None` where another
    /// window of the data set holds it.
    fn image(&self, m: usize, index: &[u32], slot: &Slot) -> Option<usize> {
        let (branches, group) = (self.branches as usize, (self.images / self.branches) as usize);
        let position = slot.first as usize + (self.first as usize + m % group).min(slot.count as usize - 1);
        let image = index[position * branches + m / group].wrapping_sub(self.first_resident);
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

/// Into groups of 16 interleaved images, each group on a thread.
pub mod fast {
    use super::Gather;
    use crate::cpu::Io;
    use crate::ops::INTERLEAVE;
    use rayon::prelude::*;

    pub fn forward(gather: &Gather, io: &mut Io<'_, f32>) {
        let (data, index, y) = (io.words("data"), io.words("index"), io.write("y"));
        let (slot, pixels, images) = (io.slot, gather.pixels as usize, gather.images as usize);
        let numbers: [f32; 256] = std::array::from_fn(|byte| byte as f32 / 255.0);
        y.par_chunks_exact_mut(pixels * INTERLEAVE).enumerate().for_each(|(group, y)| {
            for lane in 0..INTERLEAVE {
                // Padding repeats the last image: anything finite will do.
                let m = (group * INTERLEAVE + lane).min(images - 1);
                let Some(image) = gather.image(m, index, &slot) else { continue };
                let words = &data[image * gather.words()..][..gather.words()];
                for (word, values) in words.iter().zip(y.chunks_mut(4 * INTERLEAVE)) {
                    for (byte, values) in word.to_le_bytes().iter().zip(values.chunks_exact_mut(INTERLEAVE)) {
                        values[lane] = numbers[*byte as usize];
                    }
                }
            }
        });
    }
}
