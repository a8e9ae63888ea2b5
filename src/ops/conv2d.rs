//! Two-dimensional convolution (cross-correlation) with groups, stride, zero padding and, where asked for, bias.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `y[n, o, i, j] = bias[o] + sum_{c, k, l} x[n, g C + c, i s + k - p, j s + l - q] weight[o, c, k, l]`, where
    /// `C = in_channels / groups` and `g` is the group of output `o`. With as many groups as channels each has a
    /// filter of its own (a depthwise convolution). There is one stride: no network here has two.
    pub struct Conv2d {
        pub images: u32,
        pub in_channels: u32,
        pub in_height: u32,
        pub in_width: u32,
        pub out_channels: u32,
        /// Stretches of input and output channels that have nothing to do with one another; divides both.
        pub groups: u32,
        pub kernel_height: u32,
        pub kernel_width: u32,
        pub stride: u32,
        pub padding_height: u32,
        pub padding_width: u32,
        /// Whether there is a bias.
        pub biased: bool,
        /// Images that one partial weight gradient covers.
        pub images_per_part: u32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

/// Results that one invocation keeps in registers: 4 channels by 8 neighbours, or 8 channels by 4 taps.
const SHORT: usize = 4;
const LONG: usize = 8;
/// Iterations that store a block.
const STORES: usize = SHORT * LONG;

impl Conv2d {
    pub fn out_height(&self) -> usize {
        ((self.in_height + 2 * self.padding_height - self.kernel_height) / self.stride + 1) as usize
    }

    pub fn out_width(&self) -> usize {
        ((self.in_width + 2 * self.padding_width - self.kernel_width) / self.stride + 1) as usize
    }

    /// Elements of one image's input.
    pub fn in_len(&self) -> usize {
        (self.in_channels * self.in_height * self.in_width) as usize
    }

    /// Elements of one image's output.
    pub fn out_len(&self) -> usize {
        self.out_channels as usize * self.out_height() * self.out_width()
    }

    /// Elements of `weight` for one output channel.
    pub fn filter_len(&self) -> usize {
        self.group_inputs() * self.kernel_area()
    }

    /// Input channels that one output sees.
    pub fn group_inputs(&self) -> usize {
        (self.in_channels / self.groups) as usize
    }

    /// Output channels that see the same inputs.
    pub fn group_outputs(&self) -> usize {
        (self.out_channels / self.groups) as usize
    }

    /// Taps of the kernel on one channel.
    pub fn kernel_area(&self) -> usize {
        (self.kernel_height * self.kernel_width) as usize
    }

    pub fn weight_len(&self) -> usize {
        self.out_channels as usize * self.filter_len()
    }

    /// Partial weight gradients that [`Conv2d::backward_weight`] writes.
    pub fn parts(&self) -> usize {
        self.images.div_ceil(self.images_per_part) as usize
    }

    /// Shape of `weight` [out, in / groups, height, width] and of `bias` [out].
    pub fn parameter_shapes(&self) -> [Vec<usize>; 2] {
        let (out, [height, width]) = (self.out_channels as usize, [self.kernel_height, self.kernel_width]);
        [vec![out, self.group_inputs(), height as usize, width as usize], vec![out]]
    }

    fn flops(&self) -> usize {
        2 * self.images as usize * self.out_len() * self.filter_len()
    }

    /// `x` [images, in_channels, in_height, in_width], `weight`, `bias` -> `y` [images, out_channels, ..].
    /// Without a bias nothing looks at what stands in its place: `weight` will do.
    pub fn forward(&self, x: View, weight: View, bias: View, y: View) -> Step {
        let blocks = self.images as usize
            * self.groups as usize
            * self.group_outputs().div_ceil(SHORT)
            * self.out_height()
            * self.out_width().div_ceil(LONG);
        step(
            ("conv2d", "forward"),
            self.constants(),
            &[("x", x), ("weight", weight), ("bias", bias)],
            &[("y", y)],
            Cost::each(
                blocks,
                nested(&[self.group_inputs() as u32, self.kernel_height, self.kernel_width]) + STORES,
                self.flops(),
            ),
        )
    }

    /// `dy`, `weight` -> `dx`: each input gathers what it touched, so no atomics are needed.
    pub fn backward_input(&self, dy: View, weight: View, dx: View) -> Step {
        let blocks = self.images as usize
            * self.groups as usize
            * self.group_inputs().div_ceil(SHORT)
            * self.in_height as usize
            * (self.in_width as usize).div_ceil(LONG);
        step(
            ("conv2d", "backward_input"),
            self.constants(),
            &[("dy", dy), ("weight", weight)],
            &[("dx", dx)],
            Cost::each(
                blocks,
                nested(&[self.group_outputs() as u32, self.kernel_height, self.kernel_width]) + STORES,
                self.flops(),
            ),
        )
    }

    /// `x`, `dy` -> `parts` [parts, weight_len]: one partial gradient for every
    /// `images_per_part` images; `reduce` adds them up.
    pub fn backward_weight(&self, x: View, dy: View, parts: View) -> Step {
        let blocks = self.parts()
            * self.groups as usize
            * self.group_outputs().div_ceil(LONG)
            * self.filter_len().div_ceil(SHORT);
        let iterations =
            nested(&[self.images_per_part, self.out_height() as u32, self.out_width() as u32]) + STORES;
        step(
            ("conv2d", "backward_weight"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("parts", parts)],
            Cost::each(blocks, iterations, self.flops()),
        )
    }

    /// `dy` -> `dbias` [out_channels], a workgroup for each channel.
    pub fn backward_bias(&self, dy: View, dbias: View) -> Step {
        let pixels = self.out_height() * self.out_width();
        step(
            ("conv2d", "backward_bias"),
            self.constants(),
            &[("dy", dy)],
            &[("dbias", dbias)],
            Cost::groups(
                self.out_channels as usize,
                nested(&[self.images, pixels.div_ceil(WORKGROUP) as u32]) + 8,
                self.images as usize * self.out_len(),
            ),
        )
    }
}

/// Iterations of nested loops, counting each level's own.
pub(crate) fn nested(lengths: &[u32]) -> usize {
    let mut total = 0;
    let mut product = 1;
    for &length in lengths {
        product *= length as usize;
        total += product;
    }
    total
}
