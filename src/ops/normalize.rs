//! Rows to length 1.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y = x / max(|x|, floor)`, row by row; rows as short as the floor have no gradient.
    pub struct Normalize {
        pub rows: u32,
        pub features: u32,
        /// Smallest length.
        pub floor: f32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Normalize {
    /// A workgroup for each row, whose lanes pass over it twice and sum up between.
    fn cost(&self) -> Cost {
        let (rows, features) = (self.rows as usize, self.features as usize);
        Cost::groups(rows, 2 * features.div_ceil(WORKGROUP) + 12, 3 * rows * features)
    }

    /// `x` [rows, features] -> `y` as `x`.
    pub fn forward(&self, x: View, y: View) -> Step {
        step(("normalize", "forward"), self.constants(), &[("x", x)], &[("y", y)], self.cost())
    }

    /// `x`, `dy` -> `dx = (dy - y (y . dy)) / |x|`.
    pub fn backward(&self, x: View, dy: View, dx: View) -> Step {
        let reads = [("x", x), ("dy", dy)];
        step(("normalize", "backward"), self.constants(), &reads, &[("dx", dx)], self.cost())
    }
}
