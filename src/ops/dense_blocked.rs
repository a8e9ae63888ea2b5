//! Fully connected layer with activation in large register blocks; its weight may come in windows of rows.

use super::activation::ActivationKind;
use super::dense::Dense;
use super::{Cost, Step, View, attributes, step};

attributes! {
    /// [`Dense`], then an activation: `y = f(z)` where `activated`, else `y = z`. `inputs`, `outputs`,
    /// `first_row` and `rows` are multiples of four.
    pub struct DenseBlocked {
        pub images: u32,
        pub inputs: u32,
        /// Outputs of the whole layer: the row length of `y`.
        pub outputs: u32,
        /// The window of outputs whose rows `weight` holds.
        pub first_row: u32,
        pub rows: u32,
        pub activated: bool,
        pub activation: ActivationKind,
        /// Add to what a gradient holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Rows and columns of results that one invocation keeps in registers.
const SHORT: usize = 8;
const LONG: usize = 16;
/// Iterations that store a block, as vec4, and go over it once more.
const STORES: usize = 2 * SHORT * LONG / VECTOR + SHORT;
/// Elements of a vec4.
pub const VECTOR: usize = 4;

impl DenseBlocked {
    /// The layer without activation, as other ops know it.
    pub fn dense(&self) -> Dense {
        Dense {
            images: self.images,
            inputs: self.inputs,
            outputs: self.outputs,
            first_row: self.first_row,
            rows: self.rows,
            accumulate: self.accumulate,
        }
    }

    /// Whether rows of inputs and outputs are whole vec4s.
    pub fn supports(inputs: usize, outputs: usize) -> bool {
        inputs.is_multiple_of(VECTOR) && outputs.is_multiple_of(VECTOR)
    }

    fn cost(&self, (short, long): (u32, u32), iterations: usize) -> Cost {
        let blocks = (short as usize).div_ceil(SHORT) * (long as usize).div_ceil(LONG);
        let flops = 2 * self.images as usize * self.inputs as usize * self.rows as usize;
        Cost::each(blocks, iterations + STORES, flops)
    }

    /// `x` [images, inputs], `weight` [rows, inputs], `bias` [outputs] -> `y` [images, outputs].
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        step(
            ("dense_blocked", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight), ("bias", bias)],
            &[("y", y)],
            self.cost((self.images, self.rows), self.inputs as usize / VECTOR),
        )
    }

    /// `dz` [images, outputs], `weight` [rows, inputs] -> `dx` [images, inputs].
    pub fn backward_input(&self, dz: View, weight: View, dx: View) -> Step {
        step(
            ("dense_blocked", "backward_input"),
            self.constants(),
            &[("dz", dz), ("weight", weight)],
            &[("dx", dx)],
            self.cost((self.images, self.inputs), self.rows as usize / VECTOR),
        )
    }

    /// `x`, `dz` -> `dweight` [rows, inputs].
    pub fn backward_weight(&self, x: View, dz: View, dweight: View) -> Step {
        step(
            ("dense_blocked", "backward_weight"),
            self.constants(),
            &[("x", x), ("dz", dz)],
            &[("dweight", dweight)],
            self.cost((self.rows, self.inputs), self.images as usize),
        )
    }
}
