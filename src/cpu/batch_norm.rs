//! Batch normalisation on the CPU.

use super::sharing::{Relu, Sharing};
use crate::ops::batch_norm::BatchNorm;

impl BatchNorm {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        // A later piece of the batch puts its partial results after those of the first one.
        let groups = Sharing::GROUPS.overwriting(self.first_part == 0);
        match entry {
            // Of the whole batch, into statistics that may be activations.
            "merge" => Sharing { moves: true, ..Sharing::WHOLE },
            "forward" => groups.relu(Relu::Joins),
            _ => groups,
        }
    }

    /// Images of each of this launch's parts.
    fn images_of_parts(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (images, step) = (self.images as usize, self.images_per_part as usize);
        (0..images).step_by(step).map(move |first| first..images.min(first + step))
    }
}

/// Plain loops.
pub mod reference {
    use super::BatchNorm;
    use crate::cpu::{Io, Real};
    use crate::ops::batch_norm::MOMENTS;

    /// Places in `x` of the elements of channel `c`, image by image.
    fn places(
        norm: &BatchNorm,
        images: std::ops::Range<usize>,
        c: usize,
    ) -> impl Iterator<Item = usize> + Clone {
        let (channels, spatial) = (norm.channels as usize, norm.spatial as usize);
        images.flat_map(move |n| (0..spatial).map(move |s| (n * channels + c) * spatial + s))
    }

    /// `1 / sqrt(variance + eps)`
    fn inverse<T: Real>(norm: &BatchNorm, variance: T) -> T {
        T::of(1.0) / (variance + T::of(norm.eps)).sqrt()
    }

    pub fn moments<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, parts) = (io.read("x"), io.write("parts"));
        let channels = norm.channels as usize;
        let own = parts.chunks_exact_mut(MOMENTS * channels).skip(norm.first_part as usize);
        for (part, images) in own.zip(norm.images_of_parts()) {
            let count = T::of((images.len() * norm.spatial as usize) as f32);
            for c in 0..channels {
                let mut sum = T::of(0.0);
                for at in places(norm, images.clone(), c) {
                    sum += x[at];
                }
                let mean = sum / count;
                let mut squares = T::of(0.0);
                for at in places(norm, images.clone(), c) {
                    squares += (x[at] - mean) * (x[at] - mean);
                }
                (part[c], part[channels + c], part[2 * channels + c]) = (count, mean, squares);
            }
        }
    }

    pub fn merge<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (mean, variance) = (io.write("batch_mean"), io.write("batch_variance"));
        let (running_mean, running_var) = (io.write("running_mean"), io.write("running_var"));
        let channels = norm.channels as usize;
        let parts = io.read("all_parts").chunks_exact(MOMENTS * channels);
        let (one, momentum) = (T::of(1.0), T::of(norm.momentum));
        for c in 0..channels {
            let (mut count, mut sum) = (T::of(0.0), T::of(0.0));
            for part in parts.clone() {
                count += part[c];
                sum += part[c] * part[channels + c];
            }
            let average = sum / count;
            let mut squares = T::of(0.0);
            for part in parts.clone() {
                let deviation = part[channels + c] - average;
                squares += part[2 * channels + c] + part[c] * (deviation * deviation);
            }
            mean[c] = average;
            variance[c] = squares / count;
            running_mean[c] = (one - momentum) * running_mean[c] + momentum * average;
            running_var[c] = (one - momentum) * running_var[c] + momentum * (squares / (count - one));
        }
    }

    pub fn forward<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, weight, bias) = (io.read("x"), io.read("weight"), io.read("bias"));
        let (mean, variance, y) = (io.read("mean"), io.read("variance"), io.write("y"));
        for c in 0..norm.channels as usize {
            let inverse = inverse(norm, variance[c]);
            for at in places(norm, 0..norm.images as usize, c) {
                y[at] = weight[c] * ((x[at] - mean[c]) * inverse) + bias[c];
            }
        }
    }

    pub fn backward_weight<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, dy, mean, variance) = (io.read("x"), io.read("dy"), io.read("mean"), io.read("variance"));
        let (weight_parts, bias_parts) = (io.write("weight_parts"), io.write("bias_parts"));
        let channels = norm.channels as usize;
        let first = norm.first_part as usize * channels;
        for (part, images) in norm.images_of_parts().enumerate() {
            for c in 0..channels {
                let inverse = inverse(norm, variance[c]);
                let (mut with_x, mut alone) = (T::of(0.0), T::of(0.0));
                for at in places(norm, images.clone(), c) {
                    with_x += dy[at] * ((x[at] - mean[c]) * inverse);
                    alone += dy[at];
                }
                weight_parts[first + part * channels + c] = with_x;
                bias_parts[first + part * channels + c] = alone;
            }
        }
    }

    pub fn backward_input<T: Real>(norm: &BatchNorm, io: &mut Io<'_, T>) {
        let (x, dy, weight) = (io.read("x"), io.read("dy"), io.read("weight"));
        let (mean, variance, dx) = (io.read("mean"), io.read("variance"), io.write("dx"));
        let (sum_dy_x, sum_dy) = (io.read("sum_dy_x"), io.read("sum_dy"));
        let count = T::of((norm.batch * norm.spatial) as f32);
        for c in 0..norm.channels as usize {
            let inverse = inverse(norm, variance[c]);
            for at in places(norm, 0..norm.images as usize, c) {
                let x_hat = (x[at] - mean[c]) * inverse;
                let shared = (sum_dy[c] + x_hat * sum_dy_x[c]) / count;
                let gradient = weight[c] * inverse * (dy[at] - shared);
                dx[at] = if norm.accumulate { dx[at] + gradient } else { gradient };
            }
        }
    }
}

/// Groups of 16 interleaved images; scalars of pairs, which lie alike in both layouts, by plain loops.
pub mod fast {
    use super::{BatchNorm, reference};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes, lanes_mut};
    use crate::ops::INTERLEAVE;
    use crate::ops::batch_norm::MOMENTS;

    pub use reference::merge;

    impl BatchNorm {
        fn of_scalars(&self) -> bool {
            self.channels * self.spatial == 1
        }

        /// Images of a group that are more than padding; `first` is the operands' first image.
        fn lanes_of(&self, first: usize, group: usize) -> usize {
            (self.images as usize).saturating_sub(first + group * INTERLEAVE).min(INTERLEAVE)
        }

        /// Elements of a group.
        fn group_len(&self) -> usize {
            (self.channels * self.spatial) as usize
        }

        fn inverses(&self, variance: &[f32]) -> Vec<f32> {
            variance.iter().map(|variance| 1.0 / (variance + self.eps).sqrt()).collect()
        }
    }

    /// Sum of `value(at)` for each place of a plane, of lanes that are images. Four sums side by side: one
    /// alone would wait for itself.
    #[inline(always)]
    fn sum_of<S: Simd>(places: usize, images: usize, value: impl Fn(usize, usize) -> S::V) -> f32 {
        let mut sums = [0.0; INTERLEAVE];
        for lane in (0..INTERLEAVE).step_by(S::LANES) {
            let mut four = [S::splat(0.0); 4];
            let whole = places / 4 * 4;
            for at in (0..whole).step_by(4) {
                for (n, sum) in four.iter_mut().enumerate() {
                    *sum = S::add(*sum, value(at + n, lane));
                }
            }
            for at in whole..places {
                four[0] = S::add(four[0], value(at, lane));
            }
            S::set_part(&mut sums, lane, S::add(S::add(four[0], four[1]), S::add(four[2], four[3])));
        }
        if images < INTERLEAVE {
            sums[images..].fill(0.0);
        }
        let mut width = INTERLEAVE / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }

    /// Count, mean and squared deviations of each channel of a group.
    struct Moments<'a> {
        x: &'a [Lanes],
        images: usize,
        part: &'a mut [f32],
    }

    impl Kernel for Moments<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Moments { x, images, part } = self;
            let channels = part.len() / MOMENTS;
            let places = x.len() / channels;
            let count = (images * places) as f32;
            for (c, plane) in x.chunks_exact(places).enumerate() {
                let sum = sum_of::<S>(places, images, |at, lane| S::part(&plane[at], lane));
                let mean = sum / count;
                let minus_mean = S::splat(-mean);
                let squares = sum_of::<S>(places, images, |at, lane| {
                    let deviation = S::add(S::part(&plane[at], lane), minus_mean);
                    S::multiply_add(deviation, deviation, S::splat(0.0))
                });
                (part[c], part[channels + c], part[2 * channels + c]) = (count, mean, squares);
            }
        }
    }

    pub fn moments(norm: &BatchNorm, io: &mut Io<'_, f32>) {
        if norm.of_scalars() && norm.parts_in_all == 1 {
            return reference::moments(norm, io);
        }
        assert_eq!(norm.images_per_part as usize, INTERLEAVE, "a part is a group of interleaved images");
        let (x, parts, first) = (io.read("x"), io.write("parts"), io.first);
        let own = parts.chunks_exact_mut(MOMENTS * norm.channels as usize).skip(norm.first_part as usize);
        for (group, (part, x)) in own.zip(lanes(x).chunks_exact(norm.group_len())).enumerate() {
            simd::dispatch(Moments { x, images: norm.lanes_of(first, group), part });
        }
    }

    /// `y = scale[c] x + shift[c]` on planes of a channel each.
    struct Forward<'a> {
        x: &'a [Lanes],
        y: &'a mut [Lanes],
        places: usize,
        scale: &'a [f32],
        mean: &'a [f32],
        bias: &'a [f32],
        relu: bool,
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward { x, y, places, scale, mean, bias, relu } = self;
            let channels = scale.iter().zip(mean).zip(bias).cycle();
            let planes = y.chunks_exact_mut(places).zip(x.chunks_exact(places));
            for ((y, x), ((&scale, &mean), &bias)) in planes.zip(channels) {
                let (scale, minus_mean, bias) = (S::splat(scale), S::splat(-mean), S::splat(bias));
                for (y, x) in y.iter_mut().zip(x) {
                    for lane in (0..INTERLEAVE).step_by(S::LANES) {
                        let deviation = S::add(S::part(x, lane), minus_mean);
                        let value = S::multiply_add(scale, deviation, bias);
                        S::set_part(y, lane, if relu { S::rectify(value) } else { value });
                    }
                }
            }
        }
    }

    pub fn forward(norm: &BatchNorm, io: &mut Io<'_, f32>) {
        let (weight, bias, mean) = (io.read("weight"), io.read("bias"), io.read("mean"));
        let scale = norm.inverses(io.read("variance"));
        let (x, y, relu) = (io.read("x"), io.write("y"), io.relu);
        if norm.of_scalars() {
            for (y, &x) in y.iter_mut().zip(x) {
                let value = weight[0] * ((x - mean[0]) * scale[0]) + bias[0];
                *y = if relu && value <= 0.0 { 0.0 } else { value };
            }
            return;
        }
        let scale: Vec<f32> = scale.iter().zip(weight).map(|(inverse, weight)| inverse * weight).collect();
        let places = norm.spatial as usize;
        simd::dispatch(Forward { x: lanes(x), y: lanes_mut(y), places, scale: &scale, mean, bias, relu });
    }

    /// Sums of `dy x_hat` and of `dy` for each channel of a group. The gradient of padding is 0.
    struct BackwardWeight<'a> {
        x: &'a [Lanes],
        dy: &'a [Lanes],
        places: usize,
        mean: &'a [f32],
        inverse: &'a [f32],
        weight_part: &'a mut [f32],
        bias_part: &'a mut [f32],
    }

    impl Kernel for BackwardWeight<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let BackwardWeight { x, dy, places, mean, inverse, weight_part, bias_part } = self;
            for (c, (x, dy)) in x.chunks_exact(places).zip(dy.chunks_exact(places)).enumerate() {
                let minus_mean = S::splat(-mean[c]);
                let with_x = sum_of::<S>(places, INTERLEAVE, |at, lane| {
                    let deviation = S::add(S::part(&x[at], lane), minus_mean);
                    S::multiply_add(deviation, S::part(&dy[at], lane), S::splat(0.0))
                });
                weight_part[c] = with_x * inverse[c];
                bias_part[c] = sum_of::<S>(places, INTERLEAVE, |at, lane| S::part(&dy[at], lane));
            }
        }
    }

    pub fn backward_weight(norm: &BatchNorm, io: &mut Io<'_, f32>) {
        if norm.of_scalars() && norm.parts_in_all == 1 {
            return reference::backward_weight(norm, io);
        }
        assert_eq!(norm.images_per_part as usize, INTERLEAVE, "a part is a group of interleaved images");
        let (x, dy, mean) = (lanes(io.read("x")), lanes(io.read("dy")), io.read("mean"));
        let inverse = norm.inverses(io.read("variance"));
        let (channels, places) = (norm.channels as usize, norm.spatial as usize);
        let [weight_parts, bias_parts] = ["weight_parts", "bias_parts"]
            .map(|name| io.write(name).chunks_exact_mut(channels).skip(norm.first_part as usize));
        let parts = weight_parts.zip(bias_parts);
        let groups = x.chunks_exact(norm.group_len()).zip(dy.chunks_exact(norm.group_len()));
        for ((weight_part, bias_part), (x, dy)) in parts.zip(groups) {
            let inverse = &inverse;
            simd::dispatch(BackwardWeight { x, dy, places, mean, inverse, weight_part, bias_part });
        }
    }

    /// `dx = scale[c] dy + slope[c] (x - mean[c]) + shift[c]` on planes of a channel each.
    struct BackwardInput<'a> {
        x: &'a [Lanes],
        dy: &'a [Lanes],
        dx: &'a mut [Lanes],
        places: usize,
        mean: &'a [f32],
        /// For each channel.
        factors: &'a [[f32; 3]],
        accumulate: bool,
    }

    impl Kernel for BackwardInput<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let BackwardInput { x, dy, dx, places, mean, factors, accumulate } = self;
            let planes = dx.chunks_exact_mut(places).zip(x.chunks_exact(places).zip(dy.chunks_exact(places)));
            for ((dx, (x, dy)), (factors, &mean)) in planes.zip(factors.iter().zip(mean).cycle()) {
                let [scale, slope, shift] = factors.map(S::splat);
                let minus_mean = S::splat(-mean);
                for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                    for lane in (0..INTERLEAVE).step_by(S::LANES) {
                        let deviation = S::add(S::part(x, lane), minus_mean);
                        let shared = S::multiply_add(slope, deviation, shift);
                        let mut gradient = S::multiply_add(scale, S::part(dy, lane), shared);
                        if accumulate {
                            gradient = S::add(S::part(dx, lane), gradient);
                        }
                        S::set_part(dx, lane, gradient);
                    }
                }
            }
        }
    }

    pub fn backward_input(norm: &BatchNorm, io: &mut Io<'_, f32>) {
        if norm.of_scalars() && norm.parts_in_all == 1 {
            io.pad("dx", 0.0, norm.images as usize, 1);
            return reference::backward_input(norm, io);
        }
        let (x, dy, dx, first) = (io.read("x"), io.read("dy"), io.write("dx"), io.first);
        let (weight, mean, inverse) =
            (io.read("weight"), io.read("mean"), norm.inverses(io.read("variance")));
        let (sum_dy_x, sum_dy) = (io.read("sum_dy_x"), io.read("sum_dy"));
        let count = (norm.batch * norm.spatial) as f32;
        let factors: Vec<[f32; 3]> = (0..norm.channels as usize)
            .map(|c| {
                let scale = weight[c] * inverse[c];
                [scale, -scale * inverse[c] * sum_dy_x[c] / count, -scale * sum_dy[c] / count]
            })
            .collect();
        let (places, accumulate) = (norm.spatial as usize, norm.accumulate);
        let groups = lanes_mut(dx).chunks_exact_mut(norm.group_len());
        let inputs = lanes(x).chunks_exact(norm.group_len()).zip(lanes(dy).chunks_exact(norm.group_len()));
        for (group, (dx, (x, dy))) in groups.zip(inputs).enumerate() {
            let factors = &factors;
            simd::dispatch(BackwardInput { x, dy, dx, places, mean, factors, accumulate });
            // What only pads the last group must not count in any sum.
            let images = norm.lanes_of(first, group);
            if images < INTERLEAVE {
                dx.iter_mut().for_each(|lanes| lanes[images..].fill(0.0));
            }
        }
    }
}
