//! Distance between the two embeddings of each pair.

use super::{Cost, Step, View, WORKGROUP, attributes, kinds, step};

kinds! {
    /// Which distance; equation 1 of the SN-LeNet-5 paper is the Euclidean one.
    pub enum DistanceKind {
        Euclidean = 0 as "euclidean",
        L1 = 1 as "l1",
    }
}

attributes! {
    /// Row `i` of `x` against row `pairs + i`. Euclidean: `sqrt(max(sum (a - b)^2, squared_floor))`, with
    /// gradient 0 where the sum is at or below the floor. L1: `sum |a - b|`, with sign(0) = 0.
    pub struct Distance {
        pub pairs: u32,
        pub features: u32,
        /// Place of the first pair in `y`: a batch may be computed in pieces.
        pub first: u32,
        pub kind: DistanceKind,
        /// Smallest squared distance.
        pub squared_floor: f32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Distance {
    fn count(&self) -> usize {
        (self.pairs * self.features) as usize
    }

    /// `x` [2 pairs, features] -> `y` [.., pairs, ..], a workgroup for each pair.
    pub fn forward(&self, x: View, y: View) -> Step {
        step(
            ("distance", "forward"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::groups(
                self.pairs as usize,
                (self.features as usize).div_ceil(WORKGROUP) + 8,
                3 * self.count(),
            ),
        )
    }

    /// `x`, `y`, `dy` -> `dx` [2 pairs, features].
    pub fn backward(&self, x: View, y: View, dy: View, dx: View) -> Step {
        step(
            ("distance", "backward"),
            self.constants(),
            &[("x", x), ("result", y), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(2 * self.count(), 0, 6 * self.count()),
        )
    }
}
