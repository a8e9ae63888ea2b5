//! Channels times a factor of their own for each image, as behind channel attention.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[n, c, i] = x[n, c, i] scale[n, c]`.
    pub struct Scale {
        pub images: u32,
        pub channels: u32,
        /// Places of a channel: height times width.
        pub spatial: u32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Scale {
    fn count(&self) -> usize {
        (self.images * self.channels * self.spatial) as usize
    }

    /// `x` [images, channels, spatial], `scale` [images, channels] -> `y` as `x`.
    pub fn forward(&self, x: View, scale: View, y: View) -> Step {
        step(
            ("scale", "forward"),
            self.constants(),
            &[("x", x), ("scale", scale)],
            &[("y", y)],
            Cost::each(self.count(), 0, self.count()),
        )
    }

    /// `dy`, `scale` -> `dx = dy scale`.
    pub fn backward_input(&self, dy: View, scale: View, dx: View) -> Step {
        step(
            ("scale", "backward_input"),
            self.constants(),
            &[("dy", dy), ("scale", scale)],
            &[("dx", dx)],
            Cost::each(self.count(), 0, self.count()),
        )
    }

    /// `x`, `dy` -> `dscale[n, c] = sum_i x[n, c, i] dy[n, c, i]`.
    pub fn backward_scale(&self, x: View, dy: View, dscale: View) -> Step {
        step(
            ("scale", "backward_scale"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dscale", dscale)],
            Cost::each((self.images * self.channels) as usize, self.spatial as usize, 2 * self.count()),
        )
    }
}
