//! The scalar head: a learned affine map of one number per pair, then a sigmoid.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = sigmoid(weight x + bias)`. A raw `sigmoid(d)` of a distance never falls below one
    /// half, hence the affine map.
    pub struct Head {
        pub pairs: u32,
    }
}

impl Head {
    /// `x` [pairs], `weight` [1, 1], `bias` [1] -> `y` [pairs].
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("head", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight), ("bias", bias)],
            &[("y", y)],
            Cost::each(pairs, 0, 5 * pairs),
        )
    }

    /// `y`, `dy` [pairs], `weight` -> `dx` [pairs].
    pub fn backward_input(&self, y: View, dy: View, weight: View, dx: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("head", "backward_input"),
            self.constants(),
            &[("result", y), ("dy", dy), ("weight", weight)],
            &[("dx", dx)],
            Cost::each(pairs, 0, 4 * pairs),
        )
    }

    /// `x`, `y`, `dy` [pairs] -> `dweight` [1, 1], `dbias` [1], in one workgroup.
    pub fn backward_weight(&self, x: View, y: View, dy: View, dweight: View, dbias: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("head", "backward_weight"),
            self.constants(),
            &[("x", x), ("result", y), ("dy", dy)],
            &[("dweight", dweight), ("dbias", dbias)],
            Cost::groups(1, pairs.div_ceil(WORKGROUP) + 16, 6 * pairs),
        )
    }
}
