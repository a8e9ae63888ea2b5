//! Rows of a dense layer's weight gradient.

use crate::cpu::simd::{Kernel, Simd, lanes};
use crate::ops::INTERLEAVE;

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
