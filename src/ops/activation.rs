//! Elementwise activations: rectifier, hyperbolic tangent, logistic sigmoid.

use super::{Cost, Step, View, attributes, kinds, step};

kinds! {
    /// Which function is applied.
    pub enum ActivationKind {
        Relu = 0 as "relu",
        Tanh = 1 as "tanh",
        Sigmoid = 2 as "sigmoid",
    }
}

attributes! {
    /// `y = f(x)`; the derivative is taken from `y`: relu 1 where y > 0, else 0 (so 0 at 0);
    /// tanh 1 - y^2; sigmoid y (1 - y).
    pub struct Activation {
        /// Elements.
        pub count: u32,
        pub kind: ActivationKind,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Activation {
    /// `x` [count] -> `y` [count].
    pub fn forward(&self, x: View, y: View) -> Step {
        let count = self.count as usize;
        step(
            ("activation", "forward"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::each(count, 0, count),
        )
    }

    /// `y`, `dy` [count] -> `dx` [count].
    pub fn backward(&self, y: View, dy: View, dx: View) -> Step {
        let count = self.count as usize;
        step(
            ("activation", "backward"),
            self.constants(),
            &[("result", y), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(count, 0, 2 * count),
        )
    }
}
