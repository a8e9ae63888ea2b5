//! Gradient descent with momentum.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `v = momentum v - lr (g + penalty theta)`, `theta += v`, with `momentum` and `lr` from the slot: as Keras,
    /// the velocity holds steps, not gradients, so a new rate does not scale the steps of before.
    pub struct Sgd {
        pub count: u32,
        /// So many times a parameter is added to its gradient.
        pub penalty: f32,
    }
}

/// What one launch updates: equal ranges of three buffers.
#[derive(Clone, Copy, Debug)]
pub struct SgdViews {
    pub gradient: View,
    pub parameter: View,
    pub velocity: View,
}

impl Sgd {
    /// Updates `parameter` and `velocity` [count] in place.
    pub fn forward(&self, views: &SgdViews) -> Step {
        let count = self.count as usize;
        step(
            ("sgd", "forward"),
            self.constants(),
            &[("gradient", views.gradient)],
            &[("parameter", views.parameter), ("velocity", views.velocity)],
            Cost::each(count, 0, 6 * count),
        )
    }
}
