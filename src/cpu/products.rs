//! The inner loops of convolutions and dense layers, over images interleaved by 16: a SIMD lane works
//! on an image of its own, and a block of results stays in registers.

// The blocks' loops have constant bounds and unroll; iterators over two arrays read worse here.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::simd::{Kernel, Simd, lanes};
use crate::ops::INTERLEAVE;
use crate::ops::conv2d::Conv2d;

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

/// Bytes of inputs that stay in a core's second cache while others pass.
const CACHED: usize = 512 << 10;

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

/// `dweight[o, q] = sum_n dy[n, first + o] x[n, q]`: some rows of a dense layer's weight gradient.
///
/// Here a lane works on an input of its own, so that no sum runs across lanes: `x` is turned first.
pub struct GradientRows<'a> {
    pub inputs: usize,
    pub outputs: usize,
    pub first: usize,
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub dweight: &'a mut [f32],
    pub accumulate: bool,
    /// Room for [`PANEL`] inputs of every image.
    pub panel: &'a mut [f32],
}

/// Inputs of a panel of turned values.
pub const PANEL: usize = 2 * INTERLEAVE;

impl GradientRows<'_> {
    /// `O` rows by `PANEL` inputs; `panel` holds [images, `PANEL`].
    ///
    /// # Safety
    /// The rows lie within `dweight` and `dy`.
    #[inline(always)]
    unsafe fn block<S: Simd, const O: usize, const Q: usize>(
        &mut self,
        o0: usize,
        (q0, at): (usize, usize),
        panel: &[f32],
    ) {
        let mut sums = [[S::splat(0.0); Q]; O];
        for (group, x) in panel.as_chunks::<{ INTERLEAVE * PANEL }>().0.iter().enumerate() {
            let start = (group * self.outputs + self.first + o0) * INTERLEAVE;
            // SAFETY: the caller's promise; `x` has `PANEL` inputs of 16 images.
            unsafe {
                let dy = self.dy.as_ptr().add(start);
                for n in 0..INTERLEAVE {
                    let x = x.as_ptr().add(n * PANEL + at);
                    let mut values = [S::splat(0.0); Q];
                    for q in 0..Q {
                        values[q] = S::load(x.add(q * S::LANES));
                    }
                    for o in 0..O {
                        let gradient = S::splat(*dy.add(o * INTERLEAVE + n));
                        for q in 0..Q {
                            sums[o][q] = S::multiply_add(gradient, values[q], sums[o][q]);
                        }
                    }
                }
            }
        }
        for (o, sums) in sums.iter().enumerate() {
            let mut row = [0.0; PANEL];
            for (q, &sum) in sums.iter().enumerate() {
                // SAFETY: `Q` vectors are at most a panel.
                unsafe { S::store(row.as_mut_ptr().add(q * S::LANES), sum) };
            }
            let count = (Q * S::LANES).min(self.inputs - q0);
            let to = &mut self.dweight[(o0 + o) * self.inputs + q0..][..count];
            for (to, &value) in to.iter_mut().zip(&row) {
                *to = if self.accumulate { *to + value } else { value };
            }
        }
    }

    /// # Safety
    /// As [`GradientRows::block`].
    #[inline(always)]
    unsafe fn rows<S: Simd, const O: usize, const Q: usize>(
        &mut self,
        o0: &mut usize,
        rows: usize,
        q0: usize,
        panel: &[f32],
    ) {
        while rows - *o0 >= O {
            let mut at = 0;
            while at < PANEL && q0 + at < self.inputs {
                // SAFETY: the caller's promise.
                unsafe { self.block::<S, O, Q>(*o0, (q0 + at, at), panel) };
                at += Q * S::LANES;
            }
            *o0 += O;
        }
    }
}

impl Kernel for GradientRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let rows = self.dweight.len() / self.inputs;
        let groups = self.x.len() / (self.inputs * INTERLEAVE);
        assert!(self.first + rows <= self.outputs);
        assert_eq!(self.dy.len(), groups * self.outputs * INTERLEAVE);
        assert_eq!(self.panel.len(), groups * INTERLEAVE * PANEL);
        let x = lanes(self.x);
        let panel = std::mem::take(&mut self.panel);
        for q0 in (0..self.inputs).step_by(PANEL) {
            for (group, panel) in panel.chunks_exact_mut(INTERLEAVE * PANEL).enumerate() {
                for at in (0..PANEL).step_by(INTERLEAVE) {
                    // Behind the last input the panel holds zeros.
                    let mut block = [[0.0; INTERLEAVE]; INTERLEAVE];
                    let first = (q0 + at).min(self.inputs);
                    let left = (self.inputs - first).min(INTERLEAVE);
                    block[..left].copy_from_slice(&x[group * self.inputs + first..][..left]);
                    // SAFETY: 16 rows of a panel, 16 columns from `at` on.
                    unsafe { S::transpose(&block, panel[at..].as_mut_ptr(), PANEL) };
                }
            }
            let mut o = 0;
            // SAFETY: checked above.
            unsafe {
                if S::MANY_REGISTERS {
                    self.rows::<S, 12, 2>(&mut o, rows, q0, panel);
                }
                self.rows::<S, 4, 2>(&mut o, rows, q0, panel);
                self.rows::<S, 1, 2>(&mut o, rows, q0, panel);
            }
        }
    }
}
