//! Layer normalisation: each row by its own mean and variance. Ba, Kiros and Hinton (2016).

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = weight[f] (x - mean) / sqrt(variance + eps) + bias[f]`, with the row's mean and biased variance.
    pub struct LayerNorm {
        pub rows: u32,
        pub features: u32,
        pub eps: f32,
        /// Rows that one partial sum of a weight's gradient covers.
        pub rows_per_part: u32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl LayerNorm {
    /// Partial sums that [`LayerNorm::backward_weight`] leaves.
    pub fn parts(&self) -> usize {
        self.rows.div_ceil(self.rows_per_part) as usize
    }

    /// So many passes of the lanes over each of `rows` rows, and as many sums less one.
    fn cost(&self, groups: usize, rows: usize, passes: usize) -> Cost {
        let features = self.features as usize;
        let of_a_row = 1 + passes * features.div_ceil(WORKGROUP) + (passes - 1) * 6;
        Cost::groups(groups, rows * of_a_row, 3 * passes * self.rows as usize * features)
    }

    /// `x` [rows, features], `weight`, `bias` [features] -> `y` as `x`.
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        let reads = [("x", x), ("weight", weight), ("bias", bias)];
        let cost = self.cost(self.rows as usize, 1, 3);
        step(("layer_norm", "forward"), self.constants(), &reads, &[("y", y)], cost)
    }

    /// `x`, `dy`, `weight` -> `dx`.
    pub fn backward_input(&self, x: View, dy: View, weight: View, dx: View) -> Step {
        let reads = [("x", x), ("dy", dy), ("weight", weight)];
        let cost = self.cost(self.rows as usize, 1, 5);
        step(("layer_norm", "backward_input"), self.constants(), &reads, &[("dx", dx)], cost)
    }

    /// `x`, `dy` -> `weight_parts`, `bias_parts` [parts, features], which `reduce` brings together.
    pub fn backward_weight(&self, x: View, dy: View, [weight_parts, bias_parts]: [View; 2]) -> Step {
        let writes = [("weight_parts", weight_parts), ("bias_parts", bias_parts)];
        let cost = self.cost(self.parts(), self.rows_per_part.min(self.rows) as usize, 3);
        step(("layer_norm", "backward_weight"), self.constants(), &[("x", x), ("dy", dy)], &writes, cost)
    }
}
