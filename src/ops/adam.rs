//! The Adam optimizer (Kingma and Ba, 2015) as PyTorch computes it.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
    /// `theta -= lr (m / c1) / (sqrt(v / c2) + eps)`, with `lr`, `c1 = 1 - beta1^t` and
    /// `c2 = 1 - beta2^t` from the slot: the host computes them in f64.
    pub struct Adam {
        pub count: u32,
        pub beta1: f32,
        /// `1 - beta1`, rounded once: in f32 the subtraction would lose digits.
        pub rest1: f32,
        pub beta2: f32,
        /// `1 - beta2`, rounded once.
        pub rest2: f32,
        /// Outside the root and after the correction; Keras puts it elsewhere.
        pub eps: f32,
        /// Whether of the parameters only `slot.shrink = 1 - lr * weight_decay` is left before the step: AdamW
        /// (Loshchilov and Hutter, 2019).
        pub decays: bool,
    }
}

/// What one launch updates: equal ranges of four buffers.
#[derive(Clone, Copy, Debug)]
pub struct AdamViews {
    pub gradient: View,
    pub parameter: View,
    pub first_moment: View,
    pub second_moment: View,
}

impl Adam {
    /// Updates `parameter`, `first_moment` and `second_moment` [count] in place.
    pub fn forward(&self, views: &AdamViews) -> Step {
        let count = self.count as usize;
        step(
            ("adam", "forward"),
            self.constants(),
            &[("gradient", views.gradient)],
            &[
                ("parameter", views.parameter),
                ("first_moment", views.first_moment),
                ("second_moment", views.second_moment),
            ],
            Cost::each(count, 0, 13 * count),
        )
    }
}
