//! The sum of two tensors, as behind a shortcut, and the way back through one.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y = a + b`. Each of the two gets the sum's gradient as it is.
    pub struct Add {
        /// Elements.
        pub count: u32,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Add {
    /// `a`, `b` [count] -> `y` [count].
    pub fn forward(&self, a: View, b: View, y: View) -> Step {
        let count = self.count as usize;
        step(
            ("add", "forward"),
            self.constants(),
            &[("a", a), ("b", b)],
            &[("y", y)],
            Cost::each(count, 0, count),
        )
    }

    /// `dy` [count] -> `dx` [count] of one of the two.
    pub fn backward(&self, dy: View, dx: View) -> Step {
        let count = self.count as usize;
        let flops = if self.accumulate { count } else { 0 };
        step(("add", "backward"), self.constants(), &[("dy", dy)], &[("dx", dx)], Cost::each(count, 0, flops))
    }
}
