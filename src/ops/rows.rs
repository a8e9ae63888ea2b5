//! Rows of a resident table, out of a batch and into one: how an image that stands in many pairs
//! is embedded once.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `load`: row `m` of the batch is row `index[p * branches + m / group]` of the table, with
    /// `group` and `p` as in `gather`. `store`: row `m < slot.count` of the batch becomes row
    /// `slot.first + m` of the table.
    pub struct Rows {
        /// Rows of the batch.
        pub rows: u32,
        pub features: u32,
        pub branches: u32,
    }
}

impl Rows {
    fn count(&self) -> usize {
        (self.rows * self.features) as usize
    }

    /// `table` [.., features], `index` -> `y` [rows, features].
    pub fn load(&self, table: View, index: View, y: View) -> Step {
        step(
            ("rows", "load"),
            self.constants(),
            &[("table", table), ("index", index)],
            &[("y", y)],
            Cost::each(self.count(), 0, 0),
        )
    }

    /// `x` [rows, features] -> `table`, the other rows of which stay as they are.
    pub fn store(&self, x: View, table: View) -> Step {
        step(
            ("rows", "store"),
            self.constants(),
            &[("x", x)],
            &[("stored", table)],
            Cost::each(self.count(), 0, 0),
        )
    }
}
