//! Image bytes, read through affine maps, to numbers on the CPU.

use super::sharing::Sharing;
use crate::data::augment::{Matrix, SAMPLE_ONE};
use crate::ops::warp::{MATRIX, Warp};

const ONE: f32 = 1.0 / SAMPLE_ONE as f32;

/// The map at a place of the list.
fn matrix(matrices: &[u32], entry: usize) -> Matrix {
    std::array::from_fn(|at| matrices[MATRIX * entry + at] as i32)
}

impl Warp {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        // As of a gather.
        Sharing::GROUPS.overwriting(self.first_resident == 0)
    }
}

/// Plain loops.
pub mod reference {
    use super::{ONE, Warp, matrix};
    use crate::cpu::{Io, Real};
    use crate::data::augment::sample;

    pub fn forward<T: Real>(warp: &Warp, io: &mut Io<'_, T>) {
        let (data, index, matrices) = (io.words("data"), io.words("index"), io.words("matrices"));
        let (y, gather) = (io.write("y"), warp.gather());
        let [width, height] = [warp.width as usize, warp.height as usize];
        for (m, y) in y.chunks_exact_mut(warp.pixels()).enumerate() {
            let Some(image) = gather.image(m, index, &io.slot) else { continue };
            let matrix = matrix(matrices, gather.entry(m, &io.slot));
            let words = &data[image * warp.words()..];
            for (at, value) in y.iter_mut().enumerate() {
                let (plane, x, y) = (at / (width * height), at % width, at / width % height);
                let sum = sample([width as i32, height as i32], &matrix, [x as i32, y as i32], |x, y| {
                    let byte = (plane * height + y as usize) * width + x as usize;
                    words[byte / 4] >> (8 * (byte % 4)) & 0xff
                });
                *value = T::of(sum as f32) * T::of(ONE) / T::of(255.0);
            }
        }
    }
}

/// Into groups of 16 interleaved images: a lane for each.
pub mod fast {
    use super::{ONE, Warp, matrix};
    use crate::cpu::Io;
    use crate::cpu::scratch::with_scratch;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes_mut};
    use crate::ops::INTERLEAVE;

    type Integers = [i32; INTERLEAVE];

    /// A table's columns and rows before the image's first, and how many more than the image it has: places
    /// further out are as black as these.
    const BEFORE: i32 = 2;
    const MORE: usize = 3;

    /// Of each image's plane a table: at each place, with room around the image, the four bytes of the pixels to
    /// its right and below, itself first. So a value takes one look.
    fn tabulate(plane: &[u8], width: usize, table: &mut [u32]) {
        let stride = width + MORE;
        table.fill(0);
        for (number, row) in plane.chunks_exact(width).enumerate() {
            for (up, left) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let start = (number + BEFORE as usize - up) * stride + BEFORE as usize - left;
                for (to, &byte) in table[start..].iter_mut().zip(row) {
                    *to |= u32::from(byte) << (8 * (2 * up + left));
                }
            }
        }
    }

    /// 16 images, plane by plane.
    struct Group<'a> {
        width: usize,
        height: usize,
        /// By element of the map, with what every place has in common added to the last of each row.
        matrices: [Integers; 6],
        tables: &'a [u32],
        /// Lanes that have an image here.
        present: [bool; INTERLEAVE],
        y: &'a mut [Lanes],
    }

    impl Kernel for Group<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Group { width, height, matrices: [a, b, c, d, e, f], tables, present, y } = self;
            let (whole, table) = (present == [true; INTERLEAVE], (width + MORE) * (height + MORE));
            let starts: Integers = std::array::from_fn(|lane| (lane * table) as i32);
            for (at, values) in y.iter_mut().enumerate() {
                let (x, row) = ((at % width) as i32, (at / width) as i32);
                let (x, row) = (2 * x - (width as i32 - 1), 2 * row - (height as i32 - 1));
                let place = |a: &Integers, b: &Integers, c: &Integers| -> Integers {
                    std::array::from_fn(|lane| {
                        a[lane].wrapping_mul(x).wrapping_add(b[lane].wrapping_mul(row)).wrapping_add(c[lane])
                            >> 8
                    })
                };
                let (u, v) = (place(&a, &b, &c), place(&d, &e, &f));
                let places: Integers = std::array::from_fn(|lane| {
                    let column = (u[lane] >> 8).clamp(-BEFORE, width as i32) + BEFORE;
                    let row = (v[lane] >> 8).clamp(-BEFORE, height as i32) + BEFORE;
                    starts[lane] + row * (width + MORE) as i32 + column
                });
                let bytes: [u32; INTERLEAVE] = std::array::from_fn(|lane| tables[places[lane] as usize]);
                let sums: Lanes = std::array::from_fn(|lane| {
                    let (right, below, bytes) = (u[lane] & 255, v[lane] & 255, bytes[lane]);
                    let byte = |number: u32| (bytes >> (8 * number) & 0xff) as i32;
                    let above = (256 - right) * byte(0) + right * byte(1);
                    let under = (256 - right) * byte(2) + right * byte(3);
                    ((256 - below) * above + below * under) as f32 * ONE / 255.0
                });
                if whole {
                    *values = sums;
                } else {
                    // Another window of the data set fills the other lanes.
                    for lane in (0..INTERLEAVE).filter(|&lane| present[lane]) {
                        values[lane] = sums[lane];
                    }
                }
            }
        }
    }

    pub fn forward(warp: &Warp, io: &mut Io<'_, f32>) {
        let (data, index, matrices) = (io.words("data"), io.words("index"), io.words("matrices"));
        let (y, gather) = (io.write("y"), warp.gather());
        let (width, height) = (warp.width as usize, warp.height as usize);
        let table = (width + MORE) * (height + MORE);
        let mut bytes = Vec::new();
        for (group, y) in y.chunks_exact_mut(warp.pixels() * INTERLEAVE).enumerate() {
            let mut elements = [[0; INTERLEAVE]; 6];
            let images: [Option<usize>; INTERLEAVE] = std::array::from_fn(|lane| {
                // Padding repeats the last image: anything finite will do.
                let m = (io.first + group * INTERLEAVE + lane).min(warp.images as usize - 1);
                let matrix = matrix(matrices, gather.entry(m, &io.slot));
                for (element, (lanes, value)) in elements.iter_mut().zip(matrix).enumerate() {
                    // The middle of the image, and half of 1/256 pixel to round by.
                    let side = [0, 0, width, 0, 0, height][element] as i32;
                    let common = if side > 0 { ((side - 1) << 15) + 128 } else { 0 };
                    lanes[lane] = value.wrapping_add(common);
                }
                gather.image(m, index, &io.slot)
            });
            for (plane, y) in lanes_mut(y).chunks_exact_mut(width * height).enumerate() {
                with_scratch(INTERLEAVE * table, |scratch| {
                    let tables: &mut [u32] = bytemuck::cast_slice_mut(scratch);
                    for (image, table) in images.iter().zip(tables.chunks_exact_mut(table)) {
                        let Some(image) = image else { continue };
                        let words = &data[image * warp.words()..][..warp.words()];
                        bytes.clear();
                        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
                        tabulate(&bytes[plane * width * height..][..width * height], width, table);
                    }
                    simd::dispatch(Group {
                        width,
                        height,
                        matrices: elements,
                        tables,
                        present: images.map(|image| image.is_some()),
                        y,
                    });
                });
            }
        }
    }
}
