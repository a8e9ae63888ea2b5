//! Matrix products, one or a batch of them.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `c[b] = op(a[b]) op(b[b])`, `op` the matrix itself or its transpose.
    pub struct Matmul {
        pub batches: u32,
        /// Of the product.
        pub rows: u32,
        /// Columns of `op(a)`, rows of `op(b)`.
        pub inner: u32,
        pub columns: u32,
        /// Whether `a` is stored as [inner, rows], and `b` as [columns, inner].
        pub transpose_a: bool,
        pub transpose_b: bool,
        /// Add to what `c` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Results that one invocation keeps in registers along each of two axes.
const BLOCK: u32 = 4;

impl Matmul {
    /// `a` [batches, rows, inner], `b` [batches, inner, columns] -> `c` [batches, rows, columns].
    pub fn forward(&self, a: View, b: View, c: View) -> Step {
        let blocks = self.batches * self.rows.div_ceil(BLOCK) * self.columns.div_ceil(BLOCK);
        let iterations = self.inner + BLOCK * BLOCK;
        let results = self.batches as usize * self.rows as usize * self.columns as usize;
        step(
            ("matmul", "forward"),
            self.constants(),
            &[("a", a), ("b", b)],
            &[("c", c)],
            Cost::each(blocks as usize, iterations as usize, 2 * results * self.inner as usize),
        )
    }
}
