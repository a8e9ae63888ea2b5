//! A convolution's weight gradient.

use crate::cpu::simd::{Kernel, Simd};
use crate::ops::INTERLEAVE;
use crate::ops::conv2d::Conv2d;

/// `dweight[o, c, k, l] = sum_{i, j, lanes} dy[o, i, j] x[c, i + k, j + l]`: a convolution's weight
/// gradient, stride 1. A window of `x` slides through the registers.
pub struct SlidingProducts<'a> {
    pub outputs: usize,
    pub channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    pub rows: usize,
    pub columns: usize,
    /// [outputs, rows, columns]
    pub dy: &'a [f32],
    pub x: &'a [f32],
    pub x_channel: usize,
    pub x_row: usize,
    /// [outputs, channels, kernel, kernel]
    pub dweight: &'a mut [f32],
}

impl SlidingProducts<'_> {
    /// Whether it is made for this convolution, or for each of its groups.
    pub fn knows(conv: &Conv2d) -> bool {
        let square = conv.kernel_height == conv.kernel_width;
        square && conv.stride == 1 && matches!(conv.kernel_width, 3 | 4 | 5 | 7 | 10)
    }

    fn check(&self) {
        if self.outputs == 0 || self.channels == 0 || self.rows == 0 || self.columns == 0 {
            return;
        }
        assert!(self.outputs * self.rows * self.columns * INTERLEAVE <= self.dy.len());
        let last_row = (self.channels - 1) * self.x_channel + (self.rows + self.kernel - 2) * self.x_row;
        assert!(last_row + (self.columns + self.kernel - 1) * INTERLEAVE <= self.x.len());
        assert!(self.outputs * self.channels * self.kernel * self.kernel <= self.dweight.len());
    }

    /// Row `k` of the kernel on channel `c`.
    ///
    /// # Safety
    /// `check` passed, and the block lies within the outputs.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const K: usize>(&mut self, o0: usize, c: usize, k: usize) {
        let first = c * self.x_channel + k * self.x_row;
        let plane = self.rows * self.columns * INTERLEAVE;
        let mut totals = [[0f32; K]; O];
        // SAFETY: all places are at most those that `check` looked at.
        unsafe {
            for lane in (0..INTERLEAVE).step_by(S::LANES) {
                let mut sums = [[S::splat(0.0); K]; O];
                for i in 0..self.rows {
                    let mut x = self.x.as_ptr().add(first + i * self.x_row + lane);
                    let mut dy = self.dy.as_ptr().add(o0 * plane + i * self.columns * INTERLEAVE + lane);
                    let mut window = [S::splat(0.0); K];
                    for l in 0..K - 1 {
                        window[l] = S::load(x);
                        x = x.add(INTERLEAVE);
                    }
                    let mut left = self.columns;
                    while left > 0 {
                        // The newest value goes where the oldest was; after K columns all is as before.
                        for turn in 0..K {
                            if turn < left {
                                window[(turn + K - 1) % K] = S::load(x);
                                x = x.wrapping_add(INTERLEAVE);
                                for o in 0..O {
                                    let gradient = S::load(dy.add(o * plane));
                                    for l in 0..K {
                                        let value = window[(turn + l) % K];
                                        sums[o][l] = S::multiply_add(gradient, value, sums[o][l]);
                                    }
                                }
                                dy = dy.wrapping_add(INTERLEAVE);
                            }
                        }
                        left = left.saturating_sub(K);
                    }
                }
                for o in 0..O {
                    for l in 0..K {
                        totals[o][l] += S::sum(sums[o][l]);
                    }
                }
            }
            for (o, row) in totals.iter().enumerate() {
                let at = (((o0 + o) * self.channels + c) * K + k) * K;
                for (l, &total) in row.iter().enumerate() {
                    *self.dweight.get_unchecked_mut(at + l) += total;
                }
            }
        }
    }

    /// A few outputs' gradients stay in the cache while the channels pass.
    ///
    /// # Safety
    /// As [`SlidingProducts::block`].
    #[inline(always)]
    unsafe fn outputs<S: Simd, const O: usize, const K: usize>(&mut self, o0: usize) {
        for c in 0..self.channels {
            for k in 0..K {
                // SAFETY: the caller's promise.
                unsafe { self.block::<S, O, K>(o0, c, k) };
            }
        }
    }

    #[inline(always)]
    fn all<S: Simd, const K: usize>(mut self) {
        let mut o = 0;
        // SAFETY: `run` checked.
        unsafe {
            // Sums and window together must fit the registers.
            while S::MANY_REGISTERS && K <= 5 && self.outputs - o >= 4 {
                self.outputs::<S, 4, K>(o);
                o += 4;
            }
            while (S::MANY_REGISTERS || K <= 5) && self.outputs - o >= 2 {
                self.outputs::<S, 2, K>(o);
                o += 2;
            }
            while self.outputs > o {
                self.outputs::<S, 1, K>(o);
                o += 1;
            }
        }
    }
}

impl Kernel for SlidingProducts<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        self.check();
        match self.kernel {
            3 => self.all::<S, 3>(),
            4 => self.all::<S, 4>(),
            5 => self.all::<S, 5>(),
            7 => self.all::<S, 7>(),
            10 => self.all::<S, 10>(),
            side => unreachable!("no kernel of side {side}"),
        }
    }
}
