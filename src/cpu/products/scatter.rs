//! A convolution's gradient with respect to its input.

use crate::cpu::simd::{Kernel, Simd};
use crate::ops::INTERLEAVE;
use crate::ops::conv2d::Conv2d;

/// `dx[c, i + k, j + l] += sum_o dy[o, i, j] weight[o, c, k, l]` for one group of a convolution
/// without padding, stride 1: a stretch of a row of `dx` stays in registers.
pub struct Scatter<'a> {
    pub conv: &'a Conv2d,
    pub dy: &'a [f32],
    pub weight: &'a [f32],
    pub dx: &'a mut [f32],
}

impl Scatter<'_> {
    /// Row `row` of `C` channels from `c0` on, from `B` columns of `dy` from `j0` on; `K` is the
    /// kernel's side, `W = B + K - 1`.
    ///
    /// # Safety
    /// The slices have the lengths of one group, and the block lies within them.
    #[inline(always)]
    unsafe fn block<S: Simd, const C: usize, const B: usize, const K: usize, const W: usize>(
        &mut self,
        (c0, row, j0, lane): (usize, usize, usize, usize),
    ) {
        let conv = self.conv;
        let (height, width) = (conv.out_height(), conv.out_width());
        let (in_height, in_width) = (conv.in_height as usize, conv.in_width as usize);
        let taps = row.saturating_sub(height - 1)..K.min(row + 1);
        // SAFETY: the caller's promise.
        unsafe {
            let dx = self.dx.as_mut_ptr().add(((c0 * in_height + row) * in_width + j0) * INTERLEAVE + lane);
            let channel = in_height * in_width * INTERLEAVE;
            let mut sums = [[S::splat(0.0); W]; C];
            for c in 0..C {
                for j in 0..W {
                    sums[c][j] = S::load(dx.add(c * channel + j * INTERLEAVE));
                }
            }
            for o in 0..conv.out_channels as usize {
                for k in taps.clone() {
                    let dy = self.dy.as_ptr();
                    let dy = dy.add(((o * height + row - k) * width + j0) * INTERLEAVE + lane);
                    let weight = self.weight.as_ptr();
                    let weight = weight.add(((o * conv.in_channels as usize + c0) * K + k) * K);
                    // Unrolled by hand: sums that a loop counter chooses would not be in registers.
                    Self::tap::<S, C, B, K, W, 0>(dy, weight, &mut sums);
                    Self::tap::<S, C, B, K, W, 1>(dy, weight, &mut sums);
                    Self::tap::<S, C, B, K, W, 2>(dy, weight, &mut sums);
                    Self::tap::<S, C, B, K, W, 3>(dy, weight, &mut sums);
                    Self::tap::<S, C, B, K, W, 4>(dy, weight, &mut sums);
                }
            }
            for (c, row) in sums.iter().enumerate() {
                for (j, &sum) in row.iter().enumerate() {
                    S::store(dx.add(c * channel + j * INTERLEAVE), sum);
                }
            }
        }
    }

    /// Tap `L` of a row of the kernel, where it has one.
    ///
    /// # Safety
    /// As [`Scatter::block`].
    #[inline(always)]
    unsafe fn tap<S: Simd, const C: usize, const B: usize, const K: usize, const W: usize, const L: usize>(
        dy: *const f32,
        weight: *const f32,
        sums: &mut [[S::V; W]; C],
    ) {
        if L >= K {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let mut weights = [S::splat(0.0); C];
            for c in 0..C {
                weights[c] = S::splat(*weight.add(c * K * K + L));
            }
            for j in 0..B {
                let value = S::load(dy.add(j * INTERLEAVE));
                for c in 0..C {
                    sums[c][j + L] = S::multiply_add(weights[c], value, sums[c][j + L]);
                }
            }
        }
    }

    /// # Safety
    /// As [`Scatter::block`]; `W10`, `W4`, `W1` are the widths of blocks of 10, 4 and 1.
    #[inline(always)]
    unsafe fn channels<
        S: Simd,
        const C: usize,
        const K: usize,
        const W10: usize,
        const W4: usize,
        const W1: usize,
    >(
        &mut self,
        c0: usize,
    ) {
        let width = self.conv.out_width();
        for lane in (0..INTERLEAVE).step_by(S::LANES) {
            for row in 0..self.conv.in_height as usize {
                let mut j = 0;
                // SAFETY: the caller's promise.
                unsafe {
                    while S::MANY_REGISTERS && width - j >= 10 {
                        self.block::<S, C, 10, K, W10>((c0, row, j, lane));
                        j += 10;
                    }
                    while width - j >= 4 {
                        self.block::<S, C, 4, K, W4>((c0, row, j, lane));
                        j += 4;
                    }
                    while width > j {
                        self.block::<S, C, 1, K, W1>((c0, row, j, lane));
                        j += 1;
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn all<S: Simd, const K: usize, const W10: usize, const W4: usize, const W1: usize>(mut self) {
        let channels = self.conv.in_channels as usize;
        let mut c = 0;
        // SAFETY: `run` checked the lengths.
        unsafe {
            while S::MANY_REGISTERS && channels - c >= 2 {
                self.channels::<S, 2, K, W10, W4, W1>(c);
                c += 2;
            }
            while channels > c {
                self.channels::<S, 1, K, W10, W4, W1>(c);
                c += 1;
            }
        }
    }
}

impl Scatter<'_> {
    /// Whether it is made for this convolution: square kernels of two sizes, without groups.
    pub fn knows(conv: &Conv2d) -> bool {
        let square = conv.kernel_height == conv.kernel_width && matches!(conv.kernel_width, 3 | 5);
        square && conv.stride == 1 && conv.groups == 1 && [conv.padding_height, conv.padding_width] == [0, 0]
    }
}

impl Kernel for Scatter<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let conv = self.conv;
        assert!(Scatter::knows(conv));
        assert_eq!(self.dx.len(), conv.in_len() * INTERLEAVE);
        assert_eq!(self.dy.len(), conv.out_len() * INTERLEAVE);
        assert_eq!(self.weight.len(), conv.weight_len());
        match conv.kernel_width {
            3 => self.all::<S, 3, 12, 6, 3>(),
            5 => self.all::<S, 5, 14, 8, 5>(),
            side => unreachable!("no kernel of side {side}"),
        }
    }
}
