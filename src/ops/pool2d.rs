//! Maximum and average pooling.

use super::{Cost, Step, View, attributes, conv2d::nested, kinds, step};

kinds! {
    /// How a window becomes one value.
    pub enum PoolKind {
        Max = 0 as "max",
        Average = 1 as "average",
    }
}

attributes! {
    /// Windows of `size` by `size`, `stride` apart; what does not fill a window is left out. Padding, at most
    /// half a window, is no candidate for the maximum and counts as 0 in the average.
    /// The maximum's gradient goes to the first of equal values in row-major order.
    pub struct Pool2d {
        pub images: u32,
        pub channels: u32,
        pub in_height: u32,
        pub in_width: u32,
        pub size: u32,
        pub stride: u32,
        pub padding: u32,
        pub kind: PoolKind,
        /// Add to what `dx` holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Pool2d {
    pub fn out_height(&self) -> usize {
        ((self.in_height + 2 * self.padding - self.size) / self.stride + 1) as usize
    }

    pub fn out_width(&self) -> usize {
        ((self.in_width + 2 * self.padding - self.size) / self.stride + 1) as usize
    }

    pub fn in_len(&self) -> usize {
        (self.channels * self.in_height * self.in_width) as usize
    }

    pub fn out_len(&self) -> usize {
        self.channels as usize * self.out_height() * self.out_width()
    }

    /// `x` [images, channels, in_height, in_width] -> `y` [images, channels, out_height, out_width].
    pub fn forward(&self, x: View, y: View) -> Step {
        let count = self.images as usize * self.out_len();
        step(
            ("pool2d", "forward"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::each(count, nested(&[self.size, self.size]), count * self.area()),
        )
    }

    /// `x`, `dy` -> `dx`: each input looks at the windows that cover it.
    pub fn backward(&self, x: View, dy: View, dx: View) -> Step {
        let count = self.images as usize * self.in_len();
        // Windows over an input, and an element list for each.
        let covering = self.size.div_ceil(self.stride);
        let iterations = nested(&[covering, covering, self.size, self.size]);
        step(
            ("pool2d", "backward"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dx", dx)],
            Cost::each(count, iterations, self.images as usize * self.out_len() * self.area()),
        )
    }

    fn area(&self) -> usize {
        (self.size * self.size) as usize
    }
}
