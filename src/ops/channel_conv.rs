//! A one-dimensional convolution across the channels of vectors, as in ECA: Wang and others, "ECA-Net: Efficient
//! Channel Attention for Deep Convolutional Neural Networks", 2020, section 3.3.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y[n, c] = sum_t weight[t] x[n, c + t - (kernel - 1) / 2]`, with zeros beyond the ends; no bias.
    pub struct ChannelConv {
        pub images: u32,
        pub channels: u32,
        /// Taps; odd.
        pub kernel: u32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl ChannelConv {
    fn each(&self) -> Cost {
        let count = (self.images * self.channels) as usize;
        Cost::each(count, self.kernel as usize, 2 * count * self.kernel as usize)
    }

    /// `x` [images, channels], `weight` [1, 1, kernel] -> `y` as `x`.
    pub fn forward(&self, x: View, weight: View, y: View) -> Step {
        step(
            ("channel_conv", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight)],
            &[("y", y)],
            self.each(),
        )
    }

    /// `dy`, `weight` -> `dx`.
    pub fn backward_input(&self, dy: View, weight: View, dx: View) -> Step {
        step(
            ("channel_conv", "backward_input"),
            self.constants(),
            &[("dy", dy), ("weight", weight)],
            &[("dx", dx)],
            self.each(),
        )
    }

    /// `x`, `dy` -> `dweight`, a workgroup for each tap.
    pub fn backward_weight(&self, x: View, dy: View, dweight: View) -> Step {
        let count = (self.images * self.channels) as usize;
        step(
            ("channel_conv", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("dweight", dweight)],
            Cost::groups(
                self.kernel as usize,
                count.div_ceil(WORKGROUP) + 8,
                2 * count * self.kernel as usize,
            ),
        )
    }
}
