//! Weight gradients as products of planes.

use std::ops::Range;

use super::CACHED;
use crate::cpu::simd::{Kernel, Simd};
use crate::ops::INTERLEAVE;

/// `dweight[o, q] = sum_{i, j, lanes} dy[o, i, j] x[q, i, j]`: the weight gradient of both.
///
/// Of large planes a few rows at a time, all their products before the next ones: else each block of four by four
/// would fetch its planes from memory again.
///
/// Strides are in floats. A convolution calls it for each row and column of its kernel, with its channels
/// as `q`.
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
    pub dweight_tap: usize,
}

impl OuterProducts<'_> {
    fn check(&self) {
        if self.outputs == 0 || self.taps == 0 {
            return;
        }
        let [o, q] = [self.outputs - 1, self.taps - 1];
        assert!(o * self.dweight_output + q * self.dweight_tap < self.dweight.len());
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let [i, j] = [self.rows - 1, self.columns - 1];
        assert!(o * self.dy_output + i * self.dy_row + j * self.dy_column + INTERLEAVE <= self.dy.len());
        assert!(q * self.x_tap + i * self.x_row + j * self.x_column + INTERLEAVE <= self.x.len());
    }

    /// Rows whose inputs stay cached.
    fn rows_at_once(&self) -> usize {
        let row = self.taps * self.columns * INTERLEAVE * size_of::<f32>();
        (CACHED / row.max(1)).max(1)
    }

    /// Adds what some rows give to `O` outputs by `Q` taps.
    ///
    /// # Safety
    /// `check` passed, and the block lies within outputs and taps, the rows within those there are.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const Q: usize>(
        &mut self,
        rows: Range<usize>,
        o0: usize,
        q0: usize,
    ) {
        // SAFETY: all indices are at most those that `check` looked at.
        unsafe {
            let mut totals = [[0f32; Q]; O];
            for lane in (0..INTERLEAVE).step_by(S::LANES) {
                let mut sums = [[S::splat(0.0); Q]; O];
                for i in rows.clone() {
                    let mut dy = self.dy.as_ptr().add(o0 * self.dy_output + i * self.dy_row + lane);
                    let mut x = self.x.as_ptr().add(q0 * self.x_tap + i * self.x_row + lane);
                    for _ in 0..self.columns {
                        let mut gradients = [S::splat(0.0); O];
                        for o in 0..O {
                            gradients[o] = S::load(dy.add(o * self.dy_output));
                        }
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
                    let at = (o0 + o) * self.dweight_output + (q0 + q) * self.dweight_tap;
                    *self.dweight.get_unchecked_mut(at) += total;
                }
            }
        }
    }

    /// # Safety
    /// As [`OuterProducts::block`].
    #[inline(always)]
    unsafe fn row<S: Simd, const O: usize>(&mut self, rows: &Range<usize>, o0: usize) {
        let mut q = 0;
        // SAFETY: the caller's promise.
        unsafe {
            if S::MANY_REGISTERS {
                while self.taps - q >= 4 {
                    self.block::<S, O, 4>(rows.clone(), o0, q);
                    q += 4;
                }
            }
            while self.taps - q >= 2 {
                self.block::<S, O, 2>(rows.clone(), o0, q);
                q += 2;
            }
            if self.taps > q {
                self.block::<S, O, 1>(rows.clone(), o0, q);
            }
        }
    }
}

impl Kernel for OuterProducts<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        self.check();
        let at_once = self.rows_at_once();
        for first in (0..self.rows).step_by(at_once) {
            let rows = first..self.rows.min(first + at_once);
            let mut o = 0;
            // SAFETY: checked above.
            unsafe {
                while self.outputs - o >= 4 {
                    self.row::<S, 4>(&rows, o);
                    o += 4;
                }
                if self.outputs - o >= 2 {
                    self.row::<S, 2>(&rows, o);
                    o += 2;
                }
                if self.outputs > o {
                    self.row::<S, 1>(&rows, o);
                }
            }
        }
    }
}
