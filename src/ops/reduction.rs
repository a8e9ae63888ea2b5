//! Reductions of one axis: sums, means, extremes and where they are.

use super::{Cost, ITERATION_BUDGET, Step, View, WORKGROUP, attributes, kinds, step};

kinds! {
    /// What becomes of the elements along the axis. NaN among them gives NaN, and its own place of `argmax` and `argmin`.
    pub enum Reduction {
        Sum = 0 as "sum",
        Mean = 1 as "mean",
        Max = 2 as "max",
        Min = 3 as "min",
        /// `ln sum exp(x)`, the largest element taken from all of them first. One of them must be finite.
        LogSumExp = 4 as "log-sum-exp",
        /// Index of the largest element, the lowest of equal ones.
        ArgMax = 5 as "argmax",
        /// Index of the smallest element, the lowest of equal ones.
        ArgMin = 6 as "argmin",
    }
}

attributes! {
    /// `y[o, i] = reduction of x[o, .., i]`.
    pub struct AxisReduction {
        pub kind: Reduction,
        pub outer: u32,
        pub axis: u32,
        pub inner: u32,
        /// Add to what `y` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// An axis longer than this is worth a workgroup for each result.
const WIDE: usize = 4 * WORKGROUP;

impl AxisReduction {
    fn results(&self) -> usize {
        self.outer as usize * self.inner as usize
    }

    /// `x` [outer, axis, inner] -> `y` [outer, inner]. Long axes whose neighbours are near go to a workgroup each.
    pub fn forward(&self, x: View, y: View) -> Step {
        let passes = 2 * u64::from(self.axis);
        if self.axis as usize > WIDE && ((self.inner as usize) < WORKGROUP || passes > ITERATION_BUDGET) {
            return self.forward_wide(x, y);
        }
        self.step("forward", x, y, Cost::each(self.results(), passes as usize, self.flops()))
    }

    /// `x`, `y`, `dy` -> `dx` [outer, axis, inner]. Of equal extremes the first has all of the gradient, and places
    /// have none.
    pub fn backward(&self, x: View, y: View, dy: View, dx: View) -> Step {
        step(
            ("reduction", "backward"),
            self.constants(),
            &[("x", x), ("result", y), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(self.results(), 2 * self.axis as usize, 2 * self.flops()),
        )
    }

    /// The same, a workgroup for each result.
    pub(crate) fn forward_wide(&self, x: View, y: View) -> Step {
        // Two passes, and two trees.
        let iterations = 2 * (self.axis as usize).div_ceil(WORKGROUP) + 12;
        self.step("forward_wide", x, y, Cost::groups(self.results(), iterations, self.flops()))
    }

    fn flops(&self) -> usize {
        self.results() * self.axis as usize
    }

    fn step(&self, entry: &'static str, x: View, y: View, cost: Cost) -> Step {
        step(("reduction", entry), self.constants(), &[("x", x)], &[("y", y)], cost)
    }
}
