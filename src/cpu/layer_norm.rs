//! Layer normalisation on the CPU.

/// Plain loops.
pub mod reference {
    use crate::cpu::{Io, Real, put};
    use crate::ops::layer_norm::LayerNorm;

    fn mean<T: Real>(values: impl ExactSizeIterator<Item = T>) -> T {
        let count = T::of(values.len() as f32);
        values.fold(T::of(0.0), |sum, value| sum + value) / count
    }

    /// `x_hat` of a row, and 1 over its deviation.
    fn normalized<T: Real>(op: &LayerNorm, x: &[T]) -> (Vec<T>, T) {
        let average = mean(x.iter().copied());
        let variance = mean(x.iter().map(|&x| (x - average) * (x - average)));
        let inverse = T::of(1.0) / (variance + T::of(op.eps)).sqrt();
        (x.iter().map(|&x| (x - average) * inverse).collect(), inverse)
    }

    pub fn forward<T: Real>(op: &LayerNorm, io: &mut Io<'_, T>) {
        let (x, weight, bias) = (io.read("x"), io.read("weight"), io.read("bias"));
        let features = op.features as usize;
        for (x, y) in x.chunks_exact(features).zip(io.write("y").chunks_exact_mut(features)) {
            for (f, x_hat) in normalized(op, x).0.into_iter().enumerate() {
                y[f] = weight[f] * x_hat + bias[f];
            }
        }
    }

    pub fn backward_input<T: Real>(op: &LayerNorm, io: &mut Io<'_, T>) {
        let (x, dy, weight) = (io.read("x"), io.read("dy"), io.read("weight"));
        let features = op.features as usize;
        let rows = x.chunks_exact(features).zip(dy.chunks_exact(features));
        for ((x, dy), dx) in rows.zip(io.write("dx").chunks_exact_mut(features)) {
            let (x_hat, inverse) = normalized(op, x);
            let gradients: Vec<T> = dy.iter().zip(weight).map(|(&dy, &weight)| dy * weight).collect();
            let alone = mean(gradients.iter().copied());
            let with_x = mean(gradients.iter().zip(&x_hat).map(|(&gradient, &x_hat)| gradient * x_hat));
            let of = |(&gradient, &x_hat): (&T, &T)| inverse * (gradient - (alone + x_hat * with_x));
            put(dx, &gradients.iter().zip(&x_hat).map(of).collect::<Vec<T>>(), op.accumulate);
        }
    }

    pub fn backward_weight<T: Real>(op: &LayerNorm, io: &mut Io<'_, T>) {
        let (x, dy, features) = (io.read("x"), io.read("dy"), op.features as usize);
        let (weight_parts, bias_parts) = (io.write("weight_parts"), io.write("bias_parts"));
        weight_parts.fill(T::of(0.0));
        bias_parts.fill(T::of(0.0));
        for (row, (x, dy)) in x.chunks_exact(features).zip(dy.chunks_exact(features)).enumerate() {
            let start = row / op.rows_per_part as usize * features;
            for (f, (x_hat, &dy)) in normalized(op, x).0.into_iter().zip(dy).enumerate() {
                weight_parts[start + f] += dy * x_hat;
                bias_parts[start + f] += dy;
            }
        }
    }
}

/// Rows of embeddings: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward_input, backward_weight, forward};
}
