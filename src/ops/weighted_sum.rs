//! A learned sum of what each feature of two embeddings differs by.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = -(bias + sum_f weight_f |a_f - b_f|)` of row `i` of `x` and row `pairs + i`, with sign(0) = 0: minus the
    /// logit of Koch, Zemel and Salakhutdinov ("Siamese Neural Networks for One-shot Image Recognition", 2015,
    /// section 3.1), so that smaller is more alike.
    pub struct WeightedSum {
        pub pairs: u32,
        pub features: u32,
        /// Place of the first pair in `y`: a batch may be computed in pieces.
        pub first: u32,
        /// Add to the parameters' gradients instead of overwriting them.
        pub accumulate: bool,
    }
}

impl WeightedSum {
    /// Shapes of `weight` and `bias`.
    pub fn parameter_shapes(&self) -> [Vec<usize>; 2] {
        [vec![1, self.features as usize], vec![1]]
    }

    fn count(&self) -> usize {
        self.pairs as usize * self.features as usize
    }

    /// `x` [2 pairs, features], `weight` [1, features], `bias` [1] -> `y` [.., pairs, ..], a workgroup for each pair.
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        step(
            ("weighted_sum", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight), ("bias", bias)],
            &[("y", y)],
            Cost::groups(
                self.pairs as usize,
                (self.features as usize).div_ceil(WORKGROUP) + 8,
                4 * self.count(),
            ),
        )
    }

    /// `x`, `weight`, `dy` -> `dx` [2 pairs, features].
    pub fn backward_input(&self, x: View, weight: View, dy: View, dx: View) -> Step {
        step(
            ("weighted_sum", "backward_input"),
            self.constants(),
            &[("x", x), ("weight", weight), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(2 * self.count(), 0, 6 * self.count()),
        )
    }

    /// `x`, `dy` -> `dweight` [1, features].
    pub fn backward_weight(&self, x: View, dy: View, dweight: View) -> Step {
        step(
            ("weighted_sum", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dweight", dweight)],
            Cost::each(self.features as usize, self.pairs as usize, 4 * self.count()),
        )
    }

    /// `dy` -> `dbias` [1], in one workgroup.
    pub fn backward_bias(&self, dy: View, dbias: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("weighted_sum", "backward_bias"),
            self.constants(),
            &[("dy", dy)],
            &[("dbias", dbias)],
            Cost::groups(1, pairs.div_ceil(WORKGROUP) + 8, pairs),
        )
    }
}
