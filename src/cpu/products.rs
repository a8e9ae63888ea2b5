//! The two inner loops that convolutions and dense layers share, over images interleaved by 16: a
//! SIMD lane works on an image of its own, and a block of results stays in registers.

// The blocks' loops have constant bounds and unroll; iterators over two arrays read worse here.
#![allow(clippy::needless_range_loop)]

use super::simd::{Kernel, Simd};
use crate::ops::INTERLEAVE;

/// `y[o, i, j] = start[o] + sum_t weight[o, t] x[offsets[t] + (i, j)]`, each an interleaved value.
///
/// Strides are in floats. A convolution's taps `t` are (channel, row, column) of its kernel; a
/// dense layer's are its inputs, its columns `j` the groups of images.
pub struct Correlation<'a> {
    pub outputs: usize,
    pub rows: usize,
    pub columns: usize,
    pub x: &'a [f32],
    pub x_row: usize,
    pub x_column: usize,
    pub offsets: &'a [usize],
    pub weight: &'a [f32],
    pub weight_output: usize,
    pub weight_tap: usize,
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [f32],
    pub y_output: usize,
    pub y_row: usize,
    pub y_column: usize,
    /// Add to what `y` holds instead of overwriting it.
    pub accumulate: bool,
}

impl Correlation<'_> {
    /// The largest index of each slice that the loops reach must exist: the loops do not look again.
    fn check(&self) {
        if self.outputs == 0 || self.rows == 0 || self.columns == 0 {
            return;
        }
        let [o, i, j] = [self.outputs - 1, self.rows - 1, self.columns - 1];
        let tap = self.offsets.iter().copied().max().unwrap_or(0);
        assert!(tap + i * self.x_row + j * self.x_column + INTERLEAVE <= self.x.len());
        assert!(o * self.y_output + i * self.y_row + j * self.y_column + INTERLEAVE <= self.y.len());
        let last = self.offsets.len().saturating_sub(1);
        assert!(o * self.weight_output + last * self.weight_tap < self.weight.len());
        assert!(self.bias.is_none_or(|bias| bias.len() >= self.outputs));
    }

    /// `O` outputs by `P` columns of one row.
    ///
    /// # Safety
    /// `check` passed, and the block lies within outputs, rows and columns.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const P: usize>(
        &mut self,
        o0: usize,
        i: usize,
        j0: usize,
        lane: usize,
    ) {
        // SAFETY: all indices are at most those that `check` looked at.
        unsafe {
            let mut sums: [[S::V; P]; O] = std::array::from_fn(|o| {
                let start = self.bias.map_or(0.0, |bias| *bias.get_unchecked(o0 + o));
                [S::splat(start); P]
            });
            let x = self.x.as_ptr().add(i * self.x_row + j0 * self.x_column + lane);
            let mut weight = self.weight.as_ptr().add(o0 * self.weight_output);
            for &offset in self.offsets {
                let x = x.add(offset);
                let weights: [S::V; O] =
                    std::array::from_fn(|o| S::splat(*weight.add(o * self.weight_output)));
                for p in 0..P {
                    let value = S::load(x.add(p * self.x_column));
                    for o in 0..O {
                        sums[o][p] = S::multiply_add(weights[o], value, sums[o][p]);
                    }
                }
                // Behind the last tap it may point anywhere; nothing is read there.
                weight = weight.wrapping_add(self.weight_tap);
            }
            let y = self.y.as_mut_ptr().add(o0 * self.y_output + i * self.y_row + j0 * self.y_column + lane);
            for (o, row) in sums.iter().enumerate() {
                for (p, &sum) in row.iter().enumerate() {
                    let at = y.add(o * self.y_output + p * self.y_column);
                    let sum =
                        if self.accumulate { S::multiply_add(S::splat(1.0), sum, S::load(at)) } else { sum };
                    S::store(at, sum);
                }
            }
        }
    }

    /// # Safety
    /// As [`Correlation::block`].
    #[inline(always)]
    unsafe fn row<S: Simd, const O: usize>(&mut self, o0: usize, i: usize, lane: usize) {
        let mut j = 0;
        // SAFETY: the caller's promise.
        unsafe {
            if S::MANY_REGISTERS {
                while self.columns - j >= 6 {
                    self.block::<S, O, 6>(o0, i, j, lane);
                    j += 6;
                }
                if self.columns - j >= 4 {
                    self.block::<S, O, 4>(o0, i, j, lane);
                    j += 4;
                }
            }
            while self.columns - j >= 2 {
                self.block::<S, O, 2>(o0, i, j, lane);
                j += 2;
            }
            if self.columns > j {
                self.block::<S, O, 1>(o0, i, j, lane);
            }
        }
    }
}

impl Kernel for Correlation<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check();
        for lane in (0..INTERLEAVE).step_by(S::LANES) {
            for i in 0..self.rows {
                let mut o = 0;
                // SAFETY: checked above.
                unsafe {
                    while self.outputs - o >= 4 {
                        self.row::<S, 4>(o, i, lane);
                        o += 4;
                    }
                    if self.outputs - o >= 2 {
                        self.row::<S, 2>(o, i, lane);
                        o += 2;
                    }
                    if self.outputs > o {
                        self.row::<S, 1>(o, i, lane);
                    }
                }
            }
        }
    }
}

/// `dweight[o, q] = sum_{i, j, lanes} dy[o, i, j] x[q, i, j]`: the weight gradient of both.
///
/// Strides are in floats. A convolution calls it for each (channel, row) of its kernel, with the
/// kernel's columns as `q`; a dense layer has its inputs as `q` and groups of images as columns.
pub struct OuterProducts<'a> {
    pub outputs: usize,
    pub taps: usize,
    pub rows: usize,
    pub columns: usize,
    pub dy: &'a [f32],
    pub dy_output: usize,
    pub dy_row: usize,
    pub dy_column: usize,
    pub x: &'a [f32],
    pub x_tap: usize,
    pub x_row: usize,
    pub x_column: usize,
    pub dweight: &'a mut [f32],
    pub dweight_output: usize,
}

impl OuterProducts<'_> {
    fn check(&self) {
        if self.outputs == 0 || self.taps == 0 {
            return;
        }
        let [o, q] = [self.outputs - 1, self.taps - 1];
        assert!(o * self.dweight_output + q < self.dweight.len());
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let [i, j] = [self.rows - 1, self.columns - 1];
        assert!(o * self.dy_output + i * self.dy_row + j * self.dy_column + INTERLEAVE <= self.dy.len());
        assert!(q * self.x_tap + i * self.x_row + j * self.x_column + INTERLEAVE <= self.x.len());
    }

    /// Adds `O` outputs by `Q` taps.
    ///
    /// # Safety
    /// `check` passed, and the block lies within outputs and taps.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const Q: usize>(&mut self, o0: usize, q0: usize) {
        // SAFETY: all indices are at most those that `check` looked at.
        unsafe {
            let mut totals = [[0f32; Q]; O];
            for lane in (0..INTERLEAVE).step_by(S::LANES) {
                let mut sums = [[S::splat(0.0); Q]; O];
                for i in 0..self.rows {
                    let mut dy = self.dy.as_ptr().add(o0 * self.dy_output + i * self.dy_row + lane);
                    let mut x = self.x.as_ptr().add(q0 * self.x_tap + i * self.x_row + lane);
                    for _ in 0..self.columns {
                        let gradients: [S::V; O] =
                            std::array::from_fn(|o| S::load(dy.add(o * self.dy_output)));
                        for q in 0..Q {
                            let value = S::load(x.add(q * self.x_tap));
                            for o in 0..O {
                                sums[o][q] = S::multiply_add(gradients[o], value, sums[o][q]);
                            }
                        }
                        dy = dy.wrapping_add(self.dy_column);
                        x = x.wrapping_add(self.x_column);
                    }
                }
                for o in 0..O {
                    for q in 0..Q {
                        totals[o][q] += S::sum(sums[o][q]);
                    }
                }
            }
            for (o, row) in totals.iter().enumerate() {
                for (q, &total) in row.iter().enumerate() {
                    *self.dweight.get_unchecked_mut((o0 + o) * self.dweight_output + q0 + q) += total;
                }
            }
        }
    }

    /// # Safety
    /// As [`OuterProducts::block`].
    #[inline(always)]
    unsafe fn row<S: Simd, const O: usize>(&mut self, o0: usize) {
        let mut q = 0;
        // SAFETY: the caller's promise.
        unsafe {
            if S::MANY_REGISTERS {
                while self.taps - q >= 5 {
                    self.block::<S, O, 5>(o0, q);
                    q += 5;
                }
            }
            while self.taps - q >= 2 {
                self.block::<S, O, 2>(o0, q);
                q += 2;
            }
            if self.taps > q {
                self.block::<S, O, 1>(o0, q);
            }
        }
    }
}

impl Kernel for OuterProducts<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check();
        let mut o = 0;
        // SAFETY: checked above.
        unsafe {
            while self.outputs - o >= 4 {
                self.row::<S, 4>(o);
                o += 4;
            }
            if self.outputs - o >= 2 {
                self.row::<S, 2>(o);
                o += 2;
            }
            if self.outputs > o {
                self.row::<S, 1>(o);
            }
        }
    }
}
