//! Convolutions and dense layers forward.

use std::ops::Range;

use super::CACHED;
use crate::cpu::simd::{Kernel, Simd};
use crate::ops::INTERLEAVE;

/// A tap: how far its values are from the start of `x`, and its weights from that of `weight`.
pub type Tap = (usize, usize);

/// `y[o, i, j] = start[o] + sum_t weight[o, t] x[t + (i, j)]`, each an interleaved value.
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
    pub taps: &'a [Tap],
    pub weight: &'a [f32],
    pub weight_output: usize,
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [f32],
    pub y_output: usize,
    pub y_row: usize,
    pub y_column: usize,
    /// Add to what `y` holds instead of overwriting it.
    pub accumulate: bool,
    /// Store 0 where `y <= 0`.
    pub relu: bool,
}

impl Correlation<'_> {
    /// The largest index of each slice that the loops reach must exist: the loops do not look again.
    fn check(&self) {
        if self.outputs == 0 || self.rows == 0 || self.columns == 0 {
            return;
        }
        let [o, i, j] = [self.outputs - 1, self.rows - 1, self.columns - 1];
        for &(x, weight) in self.taps {
            assert!(x + i * self.x_row + j * self.x_column + INTERLEAVE <= self.x.len());
            assert!(o * self.weight_output + weight < self.weight.len());
        }
        assert!(o * self.y_output + i * self.y_row + j * self.y_column + INTERLEAVE <= self.y.len());
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
            // Plain loops: a closure that is not inlined would pass its vectors through memory.
            let mut sums = [[S::splat(0.0); P]; O];
            if let Some(bias) = self.bias {
                for o in 0..O {
                    sums[o] = [S::splat(*bias.get_unchecked(o0 + o)); P];
                }
            }
            let x = self.x.as_ptr().add(i * self.x_row + j0 * self.x_column + lane);
            let weight = self.weight.as_ptr().add(o0 * self.weight_output);
            for &(x_tap, weight_tap) in self.taps {
                let (x, weight) = (x.add(x_tap), weight.add(weight_tap));
                let mut weights = [S::splat(0.0); O];
                for o in 0..O {
                    weights[o] = S::splat(*weight.add(o * self.weight_output));
                }
                for p in 0..P {
                    let value = S::load(x.add(p * self.x_column));
                    for o in 0..O {
                        sums[o][p] = S::multiply_add(weights[o], value, sums[o][p]);
                    }
                }
            }
            let y = self.y.as_mut_ptr().add(o0 * self.y_output + i * self.y_row + j0 * self.y_column + lane);
            for (o, row) in sums.iter().enumerate() {
                for (p, &sum) in row.iter().enumerate() {
                    let at = y.add(o * self.y_output + p * self.y_column);
                    let sum =
                        if self.accumulate { S::multiply_add(S::splat(1.0), sum, S::load(at)) } else { sum };
                    S::store(at, if self.relu { S::rectify(sum) } else { sum });
                }
            }
        }
    }

    /// Columns whose inputs stay cached while the outputs pass, row by row.
    fn columns_at_once(&self) -> usize {
        // Taps that lie side by side share their inputs with the next column's.
        let apart = |pair: &&[Tap]| pair[0].0.abs_diff(pair[1].0) > INTERLEAVE;
        let runs = 1 + self.taps.windows(2).filter(apart).count();
        let line = INTERLEAVE * size_of::<f32>();
        let inputs = (CACHED / line / runs).saturating_sub(self.taps.len() / runs);
        // Whole blocks.
        (inputs * INTERLEAVE / self.x_column.max(1) / 6 * 6).max(6)
    }

    /// # Safety
    /// As [`Correlation::block`].
    #[inline(always)]
    unsafe fn row<S: Simd, const O: usize>(
        &mut self,
        o0: usize,
        i: usize,
        columns: &Range<usize>,
        lane: usize,
    ) {
        let mut j = columns.start;
        let end = columns.end;
        // SAFETY: the caller's promise.
        unsafe {
            if S::MANY_REGISTERS {
                // Seven and eight columns are better cut near their middle.
                while O < 6 && end - j >= 6 && !matches!(end - j, 7 | 8) {
                    self.block::<S, O, 6>(o0, i, j, lane);
                    j += 6;
                }
                while end - j >= 4 {
                    self.block::<S, O, 4>(o0, i, j, lane);
                    j += 4;
                }
                while end - j == 3 {
                    self.block::<S, O, 3>(o0, i, j, lane);
                    j += 3;
                }
            }
            while end - j >= 2 {
                self.block::<S, O, 2>(o0, i, j, lane);
                j += 2;
            }
            if end > j {
                self.block::<S, O, 1>(o0, i, j, lane);
            }
        }
    }

    /// Every output of some columns of a row.
    ///
    /// # Safety
    /// As [`Correlation::block`].
    #[inline(always)]
    unsafe fn outputs<S: Simd>(&mut self, i: usize, columns: &Range<usize>, lane: usize) {
        let mut o = 0;
        // SAFETY: the caller's promise.
        unsafe {
            // One column alone fills the registers with outputs.
            if self.columns == 1 {
                while S::MANY_REGISTERS && self.outputs - o >= 16 {
                    self.block::<S, 16, 1>(o, i, 0, lane);
                    o += 16;
                }
                while self.outputs - o >= 8 {
                    self.block::<S, 8, 1>(o, i, 0, lane);
                    o += 8;
                }
            }
            while S::MANY_REGISTERS && self.outputs - o == 6 {
                self.row::<S, 6>(o, i, columns, lane);
                o += 6;
            }
            while self.outputs - o >= 4 {
                self.row::<S, 4>(o, i, columns, lane);
                o += 4;
            }
            if self.outputs - o >= 2 {
                self.row::<S, 2>(o, i, columns, lane);
                o += 2;
            }
            if self.outputs > o {
                self.row::<S, 1>(o, i, columns, lane);
            }
        }
    }
}

impl Kernel for Correlation<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check();
        let at_once = self.columns_at_once();
        for lane in (0..INTERLEAVE).step_by(S::LANES) {
            for first in (0..self.columns).step_by(at_once) {
                let columns = first..self.columns.min(first + at_once);
                for i in 0..self.rows {
                    // SAFETY: checked above.
                    unsafe { self.outputs::<S>(i, &columns, lane) };
                }
            }
        }
    }
}
