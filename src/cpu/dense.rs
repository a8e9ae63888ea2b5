//! Fully connected layers on the CPU.

use super::sharing::{Relu, Sharing};
use crate::ops::dense::Dense;

impl Dense {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        match entry {
            "backward_weight" => Sharing::rows(self.rows, self.inputs),
            "backward_bias" => Sharing::SUMS,
            "forward" => Sharing::GROUPS.overwriting(self.rows == self.outputs).relu(Relu::Joins),
            _ => Sharing::GROUPS.overwriting(self.rows == self.outputs),
        }
    }
}

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

/// Groups of 16 interleaved images.
pub mod fast {
    use super::Dense;
    use crate::cpu::products::{Correlation, GradientRows, PANEL};
    use crate::cpu::scratch::with_scratch;
    use crate::cpu::{Io, put, simd};
    use crate::ops::INTERLEAVE;

    pub fn forward(dense: &Dense, io: &mut Io<'_, f32>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias"), io.write("y"));
        let (inputs, outputs) = (dense.inputs as usize, dense.outputs as usize);
        let first = dense.first_row as usize;
        simd::dispatch(Correlation {
            outputs: dense.rows as usize,
            rows: 1,
            columns: x.len() / (inputs * INTERLEAVE),
            x,
            x_row: 0,
            x_column: inputs * INTERLEAVE,
            taps: &(0..inputs).map(|i| (i * INTERLEAVE, i)).collect::<Vec<_>>(),
            weight,
            weight_output: inputs,
            bias: Some(&bias[first..]),
            y: &mut y[first * INTERLEAVE..],
            y_output: INTERLEAVE,
            y_row: 0,
            y_column: outputs * INTERLEAVE,
            accumulate: false,
            relu: io.relu,
        });
    }

    pub fn backward_input(dense: &Dense, io: &mut Io<'_, f32>) {
        let (dy, weight, dx) = (io.read("dy"), io.read("weight"), io.write("dx"));
        let (inputs, outputs) = (dense.inputs as usize, dense.outputs as usize);
        let first = dense.first_row as usize;
        simd::dispatch(Correlation {
            outputs: inputs,
            rows: 1,
            columns: dy.len() / (outputs * INTERLEAVE),
            x: dy,
            x_row: 0,
            x_column: outputs * INTERLEAVE,
            taps: &(0..dense.rows as usize)
                .map(|o| ((first + o) * INTERLEAVE, o * inputs))
                .collect::<Vec<_>>(),
            weight,
            weight_output: 1,
            bias: None,
            y: dx,
            y_output: INTERLEAVE,
            y_row: 0,
            y_column: inputs * INTERLEAVE,
            accumulate: dense.accumulate,
            relu: false,
        });
    }

    pub fn backward_weight(dense: &Dense, io: &mut Io<'_, f32>) {
        let (x, dy, dweight) = (io.read("x"), io.read("dy"), io.write("dweight"));
        let inputs = dense.inputs as usize;
        with_scratch(x.len() / inputs * PANEL, |panel| {
            simd::dispatch(GradientRows {
                inputs,
                outputs: dense.outputs as usize,
                first: dense.first_row as usize + io.first,
                x,
                dy,
                dweight,
                accumulate: dense.accumulate,
                panel,
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
