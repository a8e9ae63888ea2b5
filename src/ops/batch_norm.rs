//! Batch normalisation over channels, with running statistics as PyTorch keeps them.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = weight[c] (x - mean[c]) / sqrt(var[c] + eps) + bias[c]`, the statistics taken over all
    /// images and places. The biased variance normalises, the unbiased one runs:
    /// `running = (1 - momentum) running + momentum statistic`.
    pub struct BatchNorm {
        pub images: u32,
        pub channels: u32,
        /// Places of a channel: height times width, 1 behind a dense layer.
        pub spatial: u32,
        pub eps: f32,
        pub momentum: f32,
    }
}

/// Views of the parameters and the running state, in the order of the kernels' arguments.
#[derive(Clone, Copy, Debug)]
pub struct NormViews {
    pub weight: View,
    pub bias: View,
    pub running_mean: View,
    pub running_var: View,
}

impl BatchNorm {
    fn count(&self) -> usize {
        (self.images * self.channels * self.spatial) as usize
    }

    /// Loop iterations of `passes` passes over one channel by one workgroup.
    fn iterations(&self, passes: usize) -> usize {
        passes * ((self.images * self.spatial) as usize).div_ceil(WORKGROUP) + 16
    }

    /// Training: `x` [images, channels, spatial] -> `y`, and `saved` [2, channels] (mean and
    /// reciprocal standard deviation, for the backward pass); moves the running statistics.
    pub fn forward(&self, x: View, norm: &NormViews, saved: View, y: View) -> Step {
        step(
            ("batch_norm", "forward"),
            self.constants(),
            &[("x", x), ("weight", norm.weight), ("bias", norm.bias)],
            &[
                ("y", y),
                ("saved", saved),
                ("running_mean", norm.running_mean),
                ("running_var", norm.running_var),
            ],
            Cost::groups(self.channels as usize, self.iterations(3), 8 * self.count()),
        )
    }

    /// Evaluation: `x` -> `y` with the running statistics.
    pub fn infer(&self, x: View, norm: &NormViews, y: View) -> Step {
        step(
            ("batch_norm", "infer"),
            self.constants(),
            &[
                ("x", x),
                ("weight", norm.weight),
                ("bias", norm.bias),
                ("mean", norm.running_mean),
                ("variance", norm.running_var),
            ],
            &[("y", y)],
            Cost::each(self.count(), 0, 4 * self.count()),
        )
    }

    /// `x`, `dy`, `saved` -> `dweight`, `dbias` [channels], a workgroup for each channel.
    pub fn backward_weight(&self, x: View, dy: View, saved: View, dweight: View, dbias: View) -> Step {
        step(
            ("batch_norm", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy), ("statistics", saved)],
            &[("dweight", dweight), ("dbias", dbias)],
            Cost::groups(self.channels as usize, self.iterations(1), 5 * self.count()),
        )
    }

    /// `dx = weight / std (dy - (dbias + x_hat dweight) / count)`, from this batch's `dweight` and
    /// `dbias`, so [`BatchNorm::backward_weight`] runs first.
    #[allow(clippy::too_many_arguments)]
    pub fn backward_input(
        &self,
        x: View,
        dy: View,
        weight: View,
        saved: View,
        dweight: View,
        dbias: View,
        dx: View,
    ) -> Step {
        step(
            ("batch_norm", "backward_input"),
            self.constants(),
            &[
                ("x", x),
                ("dy", dy),
                ("weight", weight),
                ("statistics", saved),
                ("sum_dy_x", dweight),
                ("sum_dy", dbias),
            ],
            &[("dx", dx)],
            Cost::each(self.count(), 0, 7 * self.count()),
        )
    }
}
