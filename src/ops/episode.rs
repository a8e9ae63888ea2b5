//! Squared distances within episodes, as logits.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// An episode is `way` pairs in a row: `y[i, j] = -sum_f (a_f - b_f)^2` of row `i` of `x` and of the second
    /// embedding of pair `j` of the same episode. With the cross-entropy of classes behind it, prototypical networks
    /// (Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", 2017, equation 2) with one shot and
    /// one query to a class.
    pub struct Episode {
        /// Whole episodes.
        pub pairs: u32,
        pub features: u32,
        /// Pairs of an episode.
        pub way: u32,
    }
}

impl Episode {
    fn products(&self) -> usize {
        self.pairs as usize * self.way as usize * self.features as usize
    }

    /// `x` [2 pairs, features] -> `y` [pairs, way].
    pub fn forward(&self, x: View, y: View) -> Step {
        let logits = self.pairs as usize * self.way as usize;
        step(
            ("episode", "forward"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::each(logits, self.features as usize, 3 * self.products()),
        )
    }

    /// `x`, `dy` [pairs, way] -> `dx` [2 pairs, features].
    pub fn backward(&self, x: View, dy: View, dx: View) -> Step {
        let elements = 2 * self.pairs as usize * self.features as usize;
        step(
            ("episode", "backward"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(elements, self.way as usize, 6 * self.products()),
        )
    }
}
