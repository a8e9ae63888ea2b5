//! Rows of a table by index.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[i] = x[index[slot.first + i]]`: rows of a table by the labels of a batch. Each index must be one of a row.
    pub struct Take {
        /// Rows taken.
        pub rows: u32,
        pub table_rows: u32,
        pub features: u32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Take {
    /// `x` [table_rows, features], the words `index` [..] -> `y` [rows, features].
    pub fn forward(&self, x: View, index: View, y: View) -> Step {
        step(
            ("take", "forward"),
            self.constants(),
            &[("x", x), ("index", index)],
            &[("y", y)],
            Cost::each((self.rows * self.features) as usize, 0, 0),
        )
    }

    /// `dy`, `index` -> `dx` [table_rows, features]: each row's sum over where it was taken to.
    pub fn backward(&self, dy: View, index: View, dx: View) -> Step {
        step(
            ("take", "backward"),
            self.constants(),
            &[("dy", dy), ("index", index)],
            &[("dx", dx)],
            Cost::each(
                (self.table_rows * self.features) as usize,
                self.rows as usize,
                (self.rows * self.features) as usize,
            ),
        )
    }
}
