//! Batch normalisation over channels, with running statistics as PyTorch keeps them.
//!
//! A sum over a batch is taken in two stages, so that no invocation loops for long and a batch may be
//! computed in pieces: `moments` and `backward_weight` leave a partial result for every few images,
//! `merge` (and `reduce`) bring those together.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = weight[c] (x - mean[c]) / sqrt(variance[c] + eps) + bias[c]`, the statistics taken over all
    /// images and places. The biased variance normalises, the unbiased one runs:
    /// `running = (1 - momentum) running + momentum statistic`.
    pub struct BatchNorm {
        /// Images of this launch, and of the whole batch that it is a piece of.
        pub images: u32,
        pub batch: u32,
        pub channels: u32,
        /// Places of a channel: height times width, 1 behind a dense layer.
        pub spatial: u32,
        /// Images that one partial result covers.
        pub images_per_part: u32,
        /// Place of this launch's first partial result among those of the whole batch, and how many those are.
        pub first_part: u32,
        pub parts_in_all: u32,
        pub eps: f32,
        pub momentum: f32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// What normalises: all views [channels].
#[derive(Clone, Copy, Debug)]
pub struct NormViews {
    pub weight: View,
    pub bias: View,
    pub mean: View,
    pub variance: View,
}

/// Values that [`BatchNorm::moments`] leaves for each channel: how many, their mean, and the sum of their
/// squared deviations from it.
pub const MOMENTS: usize = 3;

impl BatchNorm {
    /// The norm of a batch in one piece and one part.
    pub fn whole(images: u32, channels: u32, spatial: u32, eps: f32, momentum: f32) -> Self {
        let (batch, images_per_part, first_part, parts_in_all) = (images, images, 0, 1);
        let accumulate = false;
        BatchNorm {
            images,
            batch,
            channels,
            spatial,
            images_per_part,
            first_part,
            parts_in_all,
            eps,
            momentum,
            accumulate,
        }
    }

    fn count(&self) -> usize {
        (self.images * self.channels * self.spatial) as usize
    }

    /// Partial results of this launch.
    pub fn own_parts(&self) -> usize {
        self.images.div_ceil(self.images_per_part) as usize
    }

    /// A workgroup for each channel of each part, with `passes` over its values.
    fn by_parts(&self, passes: usize, flops: usize) -> Cost {
        let values = (self.images_per_part * self.spatial) as usize;
        let workgroups = self.own_parts() * self.channels as usize;
        Cost::groups(workgroups, passes * (values.div_ceil(WORKGROUP) + 8), flops * self.count())
    }

    /// `x` [images, channels, spatial] -> `parts` [parts, 3, channels], of which this launch writes its own.
    pub fn moments(&self, x: View, parts: View) -> Step {
        step(
            ("batch_norm", "moments"),
            self.constants(),
            &[("x", x)],
            &[("parts", parts)],
            self.by_parts(2, 4),
        )
    }

    /// `parts` of the whole batch -> its `mean` and biased `variance` [channels]; moves the running statistics.
    pub fn merge(
        &self,
        parts: View,
        [mean, variance]: [View; 2],
        [running_mean, running_var]: [View; 2],
    ) -> Step {
        let (channels, parts_len) = (self.channels as usize, self.parts_in_all as usize);
        step(
            ("batch_norm", "merge"),
            self.constants(),
            &[("all_parts", parts)],
            &[
                ("batch_mean", mean),
                ("batch_variance", variance),
                ("running_mean", running_mean),
                ("running_var", running_var),
            ],
            Cost::each(channels, 2 * parts_len, channels * (8 * parts_len + 10)),
        )
    }

    /// `x` [images, channels, spatial] -> `y`: in training with the statistics of the batch, in evaluation
    /// with the running ones.
    pub fn forward(&self, x: View, norm: &NormViews, y: View) -> Step {
        step(
            ("batch_norm", "forward"),
            self.constants(),
            &[
                ("x", x),
                ("weight", norm.weight),
                ("bias", norm.bias),
                ("mean", norm.mean),
                ("variance", norm.variance),
            ],
            &[("y", y)],
            Cost::each(self.count(), 0, 4 * self.count()),
        )
    }

    /// `x`, `dy` -> `weight_parts`, `bias_parts` [parts, channels], of which this launch writes its own: sums
    /// of `dy x_hat` and of `dy` with `x_hat = (x - mean) / sqrt(variance + eps)`.
    pub fn backward_weight(
        &self,
        x: View,
        dy: View,
        norm: &NormViews,
        [weight_parts, bias_parts]: [View; 2],
    ) -> Step {
        step(
            ("batch_norm", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy), ("mean", norm.mean), ("variance", norm.variance)],
            &[("weight_parts", weight_parts), ("bias_parts", bias_parts)],
            self.by_parts(1, 5),
        )
    }

    /// `dx = weight / sqrt(variance + eps) (dy - (dbias + x_hat dweight) / count)`, from the gradients
    /// `dweight` and `dbias` of the whole batch and its `count` of values.
    pub fn backward_input(
        &self,
        x: View,
        dy: View,
        norm: &NormViews,
        [dweight, dbias]: [View; 2],
        dx: View,
    ) -> Step {
        step(
            ("batch_norm", "backward_input"),
            self.constants(),
            &[
                ("x", x),
                ("dy", dy),
                ("weight", norm.weight),
                ("mean", norm.mean),
                ("variance", norm.variance),
                ("sum_dy_x", dweight),
                ("sum_dy", dbias),
            ],
            &[("dx", dx)],
            Cost::each(self.count(), 0, 7 * self.count()),
        )
    }
}
