//! Adds up partial results.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[i] = sum_p x[p, i]`, in the order of the parts.
    pub struct Reduce {
        pub count: u32,
        pub parts: u32,
        /// Add to what `y` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Reduce {
    /// `x` [parts, count] -> `y` [count].
    pub fn forward(&self, x: View, y: View) -> Step {
        let (count, parts) = (self.count as usize, self.parts as usize);
        step(
            ("reduce", "forward"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::each(count, parts, count * parts),
        )
    }
}
