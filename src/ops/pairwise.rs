//! Distances between each row of one matrix and each row of another.

use super::{Cost, Step, View, attributes, kinds, step};

kinds! {
    /// What is measured between rows `a` and `b`.
    pub enum PairwiseKind {
        /// `sqrt(max(sum (a - b)^2, floor))`, with gradient 0 where the sum is at or below the floor.
        Euclidean = 0 as "euclidean",
        /// `sum (a - b)^2`
        Squared = 1 as "squared",
        /// `sum |a - b|`, with sign(0) = 0.
        L1 = 2 as "l1",
        /// The inner product, a similarity.
        Inner = 3 as "inner",
    }
}

attributes! {
    /// `d[i, j]` between row `i` of `x` and row `j` of `y`. Differences are squared one by one: `|a|^2 - 2ab + |b|^2`
    /// cancels.
    pub struct Pairwise {
        /// Of `x`.
        pub rows: u32,
        /// Rows of `y`.
        pub columns: u32,
        pub features: u32,
        pub kind: PairwiseKind,
        /// Smallest squared distance.
        pub floor: f32,
        /// Whether `backward` finds distances and their gradient as [columns, rows]: so it gives the gradient of `y`.
        pub transposed: bool,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Results that one invocation keeps in registers along an axis.
const BLOCK: u32 = 4;

impl Pairwise {
    fn flops(&self) -> usize {
        3 * self.rows as usize * self.columns as usize * self.features as usize
    }

    /// `x` [rows, features], `y` [columns, features] -> `d` [rows, columns].
    pub fn forward(&self, x: View, y: View, d: View) -> Step {
        let blocks = self.rows.div_ceil(BLOCK) * self.columns.div_ceil(BLOCK);
        let iterations = self.features + BLOCK * BLOCK;
        step(
            ("pairwise", "forward"),
            self.constants(),
            &[("x", x), ("y", y)],
            &[("d", d)],
            Cost::each(blocks as usize, iterations as usize, self.flops()),
        )
    }

    /// `x`, `y`, the forward pass's `d`, its gradient `dd` -> `dx` [rows, features].
    pub fn backward(&self, x: View, y: View, d: View, dd: View, dx: View) -> Step {
        let blocks = self.rows * self.features.div_ceil(BLOCK);
        step(
            ("pairwise", "backward"),
            self.constants(),
            &[("x", x), ("y", y), ("result", d), ("dd", dd)],
            &[("dx", dx)],
            Cost::each(blocks as usize, (self.columns + BLOCK) as usize, self.flops()),
        )
    }

    /// The op whose `backward(y, x, d, dd, dy)` gives the gradient of `y`.
    pub fn turned(&self) -> Pairwise {
        Pairwise { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..*self }
    }
}
