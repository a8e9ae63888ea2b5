//! Batch normalisation on the CPU.

use crate::ops::batch_norm::BatchNorm;

/// Plain loops.
pub mod reference {
    use super::BatchNorm;
    use crate::cpu::{Io, Real};

    /// Places in `x` of the elements of channel `c`, image by image.
    fn places(norm: &BatchNorm, c: usize) -> impl Iterator<Item = usize> + Clone {
        let (channels, spatial) = (norm.channels as usize, norm.spatial as usize);
        (0..norm.images as usize)
            .flat_map(move |n| (0..spatial).map(move |s| (n * channels + c) * spatial + s))
    }

    pub fn forward<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, weight, bias) = (io.read("x"), io.read("weight"), io.read("bias"));
        let (y, saved) = (io.write("y"), io.write("saved"));
        let (running_mean, running_var) = (io.write("running_mean"), io.write("running_var"));
        let channels = norm.channels as usize;
        let count = T::of((norm.images * norm.spatial) as f32);
        let one = T::of(1.0);
        let momentum = T::of(norm.momentum);
        for c in 0..channels {
            let mut sum = T::of(0.0);
            for at in places(norm, c) {
                sum += x[at];
            }
            let mean = sum / count;
            let mut squares = T::of(0.0);
            for at in places(norm, c) {
                squares += (x[at] - mean) * (x[at] - mean);
            }
            let inverse = one / (squares / count + T::of(norm.eps)).sqrt();
            for at in places(norm, c) {
                y[at] = weight[c] * ((x[at] - mean) * inverse) + bias[c];
            }
            saved[c] = mean;
            saved[channels + c] = inverse;
            running_mean[c] = (one - momentum) * running_mean[c] + momentum * mean;
            running_var[c] = (one - momentum) * running_var[c] + momentum * (squares / (count - one));
        }
    }

    pub fn infer<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, weight, bias) = (io.read("x"), io.read("weight"), io.read("bias"));
        let (mean, variance, y) = (io.read("mean"), io.read("variance"), io.write("y"));
        for c in 0..norm.channels as usize {
            let inverse = T::of(1.0) / (variance[c] + T::of(norm.eps)).sqrt();
            for at in places(norm, c) {
                y[at] = weight[c] * ((x[at] - mean[c]) * inverse) + bias[c];
            }
        }
    }

    pub fn backward_weight<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, dy, statistics) = (io.read("x"), io.read("dy"), io.read("statistics"));
        let (dweight, dbias) = (io.write("dweight"), io.write("dbias"));
        let channels = norm.channels as usize;
        for c in 0..channels {
            let (mut with_x, mut alone) = (T::of(0.0), T::of(0.0));
            for at in places(norm, c) {
                with_x += dy[at] * ((x[at] - statistics[c]) * statistics[channels + c]);
                alone += dy[at];
            }
            dweight[c] = with_x;
            dbias[c] = alone;
        }
    }

    pub fn backward_input<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, dy, weight) = (io.read("x"), io.read("dy"), io.read("weight"));
        let (statistics, sum_dy_x, sum_dy) = (io.read("statistics"), io.read("sum_dy_x"), io.read("sum_dy"));
        let dx = io.write("dx");
        let channels = norm.channels as usize;
        let count = T::of((norm.images * norm.spatial) as f32);
        for c in 0..channels {
            let inverse = statistics[channels + c];
            for at in places(norm, c) {
                let x_hat = (x[at] - statistics[c]) * inverse;
                let shared = (sum_dy[c] + x_hat * sum_dy_x[c]) / count;
                dx[at] = weight[c] * inverse * (dy[at] - shared);
            }
        }
    }
}

/// Norms over the scalars of the pairs are too small to gain from anything but plain loops.
pub mod fast {
    pub use super::reference::{backward_input, backward_weight, forward, infer};
}
