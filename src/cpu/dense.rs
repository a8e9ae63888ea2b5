//! Fully connected layers on the CPU.

use crate::ops::dense::Dense;

/// Plain loops.
pub mod reference {
    use super::Dense;
    use crate::cpu::{Io, Real, put};

    pub fn forward<T: Real>(dense: &Dense, io: &mut Io<'_, T>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let (inputs, first) = (dense.inputs as usize, dense.first_row as usize);
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(dense.outputs as usize)) {
            for (o, row) in weight.chunks_exact(inputs).enumerate() {
                let mut sum = bias[first + o];
                for (&x, &w) in x.iter().zip(row) {
                    sum += x * w;
                }
                y[first + o] = sum;
            }
        }
    }

    pub fn backward_input<T: Real>(dense: &Dense, io: &mut Io<'_, T>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        let (inputs, first) = (dense.inputs as usize, dense.first_row as usize);
        for (dy, dx) in dy.chunks_exact(dense.outputs as usize).zip(dx.chunks_exact_mut(inputs)) {
            let mut sums = vec![T::of(0.0); inputs];
            for (o, row) in weight.chunks_exact(inputs).enumerate() {
                for (sum, &w) in sums.iter_mut().zip(row) {
                    *sum += dy[first + o] * w;
                }
            }
            put(dx, &sums, dense.accumulate);
        }
    }

    pub fn backward_weight<T: Real>(dense: &Dense, io: &mut Io<'_, T>) {
        let (x, dy, dweight) = (io.read("x"), io.read("dy"), io.write("dweight"));
        let (inputs, first) = (dense.inputs as usize, dense.first_row as usize);
        let mut sums = vec![T::of(0.0); dweight.len()];
        for (x, dy) in x.chunks_exact(inputs).zip(dy.chunks_exact(dense.outputs as usize)) {
            for (o, row) in sums.chunks_exact_mut(inputs).enumerate() {
                for (sum, &x) in row.iter_mut().zip(x) {
                    *sum += dy[first + o] * x;
                }
            }
        }
        put(dweight, &sums, dense.accumulate);
    }

    pub fn backward_bias<T: Real>(dense: &Dense, io: &mut Io<'_, T>) {
        let (dy, dbias) = (io.read("dy"), io.write("dbias"));
        let mut sums = vec![T::of(0.0); dbias.len()];
        for dy in dy.chunks_exact(dense.outputs as usize) {
            for (sum, &gradient) in sums.iter_mut().zip(dy) {
                *sum += gradient;
            }
        }
        put(dbias, &sums, dense.accumulate);
    }
}

/// Groups of 16 interleaved images; four groups at a time share each weight that is read.
pub mod fast {
    use super::Dense;
    use crate::cpu::products::{Correlation, OuterProducts};
    use crate::cpu::{Io, put, simd};
    use crate::ops::INTERLEAVE;
    use rayon::prelude::*;

    /// Groups that one task works on: fixed, so that the bits do not depend on the threads.
    const GROUPS: usize = 4;

    pub fn forward(dense: &Dense, io: &mut Io<'_, f32>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let (inputs, outputs) = (dense.inputs as usize, dense.outputs as usize);
        let first = dense.first_row as usize;
        let offsets: Vec<usize> = (0..inputs).map(|i| i * INTERLEAVE).collect();
        let tasks = y.par_chunks_mut(GROUPS * outputs * INTERLEAVE);
        tasks.zip(x.par_chunks(GROUPS * inputs * INTERLEAVE)).for_each(|(y, x)| {
            simd::dispatch(Correlation {
                outputs: dense.rows as usize,
                rows: 1,
                columns: x.len() / (inputs * INTERLEAVE),
                x,
                x_row: 0,
                x_column: inputs * INTERLEAVE,
                offsets: &offsets,
                weight,
                weight_output: inputs,
                weight_tap: 1,
                bias: Some(&bias[first..]),
                y: &mut y[first * INTERLEAVE..],
                y_output: INTERLEAVE,
                y_row: 0,
                y_column: outputs * INTERLEAVE,
                accumulate: false,
            });
        });
    }

    pub fn backward_input(dense: &Dense, io: &mut Io<'_, f32>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        let (inputs, outputs) = (dense.inputs as usize, dense.outputs as usize);
        let first = dense.first_row as usize;
        let offsets: Vec<usize> = (0..dense.rows as usize).map(|o| (first + o) * INTERLEAVE).collect();
        let tasks = dx.par_chunks_mut(GROUPS * inputs * INTERLEAVE);
        tasks.zip(dy.par_chunks(GROUPS * outputs * INTERLEAVE)).for_each(|(dx, dy)| {
            simd::dispatch(Correlation {
                outputs: inputs,
                rows: 1,
                columns: dy.len() / (outputs * INTERLEAVE),
                x: dy,
                x_row: 0,
                x_column: outputs * INTERLEAVE,
                offsets: &offsets,
                weight,
                weight_output: 1,
                weight_tap: inputs,
                bias: None,
                y: dx,
                y_output: INTERLEAVE,
                y_row: 0,
                y_column: inputs * INTERLEAVE,
                accumulate: dense.accumulate,
            });
        });
    }

    pub fn backward_weight(dense: &Dense, io: &mut Io<'_, f32>) {
        /// Rows of the weight that one task works on.
        const ROWS: usize = 4;
        let (x, dy, dweight) = (io.read("x"), io.read("dy"), io.write("dweight"));
        let (inputs, outputs) = (dense.inputs as usize, dense.outputs as usize);
        dweight.par_chunks_mut(ROWS * inputs).enumerate().for_each(|(task, dweight)| {
            if !dense.accumulate {
                dweight.fill(0.0);
            }
            simd::dispatch(OuterProducts {
                outputs: dweight.len() / inputs,
                taps: inputs,
                rows: 1,
                columns: x.len() / (inputs * INTERLEAVE),
                dy: &dy[(dense.first_row as usize + task * ROWS) * INTERLEAVE..],
                dy_output: INTERLEAVE,
                dy_row: 0,
                dy_column: outputs * INTERLEAVE,
                x,
                x_tap: INTERLEAVE,
                x_row: 0,
                x_column: inputs * INTERLEAVE,
                dweight,
                dweight_output: inputs,
            });
        });
    }

    pub fn backward_bias(dense: &Dense, io: &mut Io<'_, f32>) {
        let (dy, dbias) = (io.read("dy"), io.write("dbias"));
        let outputs = dense.outputs as usize;
        let mut lanes = vec![0.0; outputs * INTERLEAVE];
        for group in dy.chunks_exact(outputs * INTERLEAVE) {
            for (sum, gradient) in lanes.iter_mut().zip(group) {
                *sum += gradient;
            }
        }
        let sums: Vec<f32> = lanes.chunks_exact(INTERLEAVE).map(|lanes| lanes.iter().sum()).collect();
        put(dbias, &sums, dense.accumulate);
    }
}
