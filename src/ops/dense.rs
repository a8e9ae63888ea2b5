//! Fully connected layer; its weight may come in windows of rows.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[n, o] = bias[o] + sum_i x[n, i] weight[o, i]` for the `rows` outputs from `first_row`.
    pub struct Dense {
        pub images: u32,
        pub inputs: u32,
        /// Outputs of the whole layer: the row length of `y`.
        pub outputs: u32,
        /// The window of outputs whose rows `weight` holds.
        pub first_row: u32,
        pub rows: u32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Results that one invocation keeps in registers along each of two axes.
const BLOCK: usize = 4;
/// Iterations that store a block.
const STORES: usize = BLOCK * BLOCK;

impl Dense {
    /// Shape of `weight` [outputs, inputs] and of `bias` [outputs].
    pub fn parameter_shapes(&self) -> [Vec<usize>; 2] {
        let outputs = self.outputs as usize;
        [vec![outputs, self.inputs as usize], vec![outputs]]
    }

    fn flops(&self) -> usize {
        2 * self.images as usize * self.inputs as usize * self.rows as usize
    }

    fn blocks(a: u32, b: u32) -> usize {
        (a as usize).div_ceil(BLOCK) * (b as usize).div_ceil(BLOCK)
    }

    /// `x` [images, inputs], `weight` [rows, inputs], `bias` [outputs] -> `y` [images, outputs].
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        step(
            ("dense", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight), ("bias", bias)],
            &[("y", y)],
            Cost::each(Self::blocks(self.images, self.rows), self.inputs as usize + STORES, self.flops()),
        )
    }

    /// `dy` [images, outputs], `weight` [rows, inputs] -> `dx` [images, inputs].
    pub fn backward_input(&self, dy: View, weight: View, dx: View) -> Step {
        step(
            ("dense", "backward_input"),
            self.constants(),
            &[("dy", dy), ("weight", weight)],
            &[("dx", dx)],
            Cost::each(Self::blocks(self.images, self.inputs), self.rows as usize + STORES, self.flops()),
        )
    }

    /// `x`, `dy` -> `dweight` [rows, inputs].
    pub fn backward_weight(&self, x: View, dy: View, dweight: View) -> Step {
        step(
            ("dense", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dweight", dweight)],
            Cost::each(Self::blocks(self.rows, self.inputs), self.images as usize + STORES, self.flops()),
        )
    }

    /// `dy` -> `dbias` [outputs], for all outputs whatever the window.
    pub fn backward_bias(&self, dy: View, dbias: View) -> Step {
        step(
            ("dense", "backward_bias"),
            self.constants(),
            &[("dy", dy)],
            &[("dbias", dbias)],
            Cost::each(
                self.outputs as usize,
                self.images as usize,
                self.images as usize * self.outputs as usize,
            ),
        )
    }
}
