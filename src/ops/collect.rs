//! Rows of a micro-batch into the whole batch, and back.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// Row `b own + e` of a micro-batch, with `own = rows / branches`, is row `b total + first + e` of the batch:
    /// branches stand one after the other in both. The batch is plain, the micro-batch in the layout of images.
    pub struct Collect {
        /// Rows of the micro-batch, of all branches.
        pub rows: u32,
        /// Elements of a row.
        pub values: u32,
        pub branches: u32,
        /// Place of the first entry in the batch, and how many that has.
        pub first: u32,
        pub total: u32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Collect {
    fn cost(&self) -> Cost {
        Cost::each((self.rows * self.values) as usize, 0, 0)
    }

    /// `x` [rows, values] -> `y` [branches total, values], its own rows of it.
    pub fn forward(&self, x: View, y: View) -> Step {
        step(("collect", "forward"), self.constants(), &[("x", x)], &[("y", y)], self.cost())
    }

    /// `dy` [branches total, values] -> `dx` [rows, values].
    pub fn backward(&self, dy: View, dx: View) -> Step {
        step(("collect", "backward"), self.constants(), &[("dy", dy)], &[("dx", dx)], self.cost())
    }
}
