//! Convolution with bias and activation in large register blocks, on operands laid out for them.

use super::activation::ActivationKind;
use super::conv2d::{Conv2d, nested};
use super::{Cost, ITERATION_BUDGET, Step, View, attributes, step};

attributes! {
    /// [`Conv2d`], then an activation: `y = f(z)` where `activated`, else `y = z`.
    ///
    /// Three products read what five copies have laid out; `*_at` says where each element stands, and what
    /// no element reaches is 0.
    pub struct Conv2dBlocked {
        pub images: u32,
        pub in_channels: u32,
        pub in_height: u32,
        pub in_width: u32,
        pub out_channels: u32,
        /// Side of the square kernel.
        pub kernel: u32,
        pub stride: u32,
        pub padding: u32,
        /// Images that one partial weight gradient covers.
        pub images_per_part: u32,
        pub activated: bool,
        pub activation: ActivationKind,
    }
}

/// Channels, and neighbours of a row, that one invocation keeps in registers.
const CHANNELS: usize = 8;
const NEIGHBOURS: usize = 16;
/// Iterations that store a block.
const STORES: usize = CHANNELS * NEIGHBOURS;
/// Elements of a vec4.
const VECTOR: usize = 4;
/// Invocations among which a weight gradient is shared out: enough for tens of processor cores.
const INVOCATIONS: usize = 1024;

/// Elements of `places` values of each channel, by eight channels: [ceil(channels / 8), places, 8].
pub fn blocks_len(channels: usize, places: usize) -> usize {
    channels.next_multiple_of(CHANNELS) * places
}

/// Where a channel's value at one of the `places` stands among them.
pub fn block_at(channel: usize, place: usize, places: usize) -> usize {
    (channel / CHANNELS * places + place) * CHANNELS + channel % CHANNELS
}

impl Conv2dBlocked {
    /// The convolution without activation, as other ops know it.
    pub fn conv(&self) -> Conv2d {
        Conv2d {
            images: self.images,
            in_channels: self.in_channels,
            in_height: self.in_height,
            in_width: self.in_width,
            out_channels: self.out_channels,
            groups: 1,
            kernel_height: self.kernel,
            kernel_width: self.kernel,
            stride: self.stride,
            padding_height: self.padding,
            padding_width: self.padding,
            biased: true,
            images_per_part: self.images_per_part,
            accumulate: false,
        }
    }

    /// Whether the taps of a row of the kernel fit the registers that the weight gradient has for them.
    pub fn supports(kernel: usize, stride: usize) -> bool {
        kernel.div_ceil(stride) <= NEIGHBOURS
    }

    /// Taps of the kernel that are a stride apart, at most.
    fn taps(&self) -> usize {
        self.kernel.div_ceil(self.stride) as usize
    }

    fn eighths(channels: u32) -> usize {
        (channels as usize).div_ceil(CHANNELS)
    }

    /// Elements of a row of the spread input, for one of the stride's phases.
    fn pitch(&self) -> usize {
        ((self.in_width + 2 * self.padding).div_ceil(self.stride) as usize).next_multiple_of(VECTOR)
    }

    /// Outputs that see the inputs of one phase, along a side of `length` inputs.
    fn reach(&self, length: u32) -> usize {
        ((length - 1 + self.padding) / self.stride - self.padding / self.stride + 1) as usize
    }

    /// Elements of an image's spread input: [in_channels, in_height + 2 padding, stride, pitch].
    pub fn spread_len(&self) -> usize {
        let rows = (self.in_height + 2 * self.padding) as usize;
        self.in_channels as usize * rows * self.stride as usize * self.pitch()
    }

    /// Where element `(c, i, j)` of an image's input stands among them.
    pub fn spread_at(&self, (c, i, j): (usize, usize, usize)) -> usize {
        let (padding, stride) = (self.padding as usize, self.stride as usize);
        let row = c * (self.in_height as usize + 2 * padding) + i + padding;
        let column = j + padding;
        (row * stride + column % stride) * self.pitch() + column / stride
    }

    /// Elements of an image's gradient by eight channels: [ceil(out_channels / 8), places, 8].
    pub fn blocks_len(&self) -> usize {
        blocks_len(self.out_channels as usize, self.conv().out_height() * self.conv().out_width())
    }

    /// Elements of the weight by eight outputs: [ceil(out / 8), in, kernel, stride, taps, 8].
    pub fn packed_len(&self) -> usize {
        let rows = self.in_channels as usize * (self.kernel * self.stride) as usize;
        Self::eighths(self.out_channels) * rows * self.taps() * CHANNELS
    }

    /// Where `weight[o, c, k, l]` stands among them.
    pub fn packed_at(&self, [o, c, k, l]: [usize; 4]) -> usize {
        let (kernel, stride) = (self.kernel as usize, self.stride as usize);
        let row = (o / CHANNELS * self.in_channels as usize + c) * kernel + k;
        ((row * stride + l % stride) * self.taps() + l / stride) * CHANNELS + o % CHANNELS
    }

    /// Elements of the weight by eight inputs, taps from the last to the first:
    /// [stride, stride, ceil(in / 8), out, taps, taps, 8].
    pub fn turned_len(&self) -> usize {
        let filters = Self::eighths(self.in_channels) * self.out_channels as usize;
        (self.stride * self.stride) as usize * filters * self.taps() * self.taps() * CHANNELS
    }

    /// Where `weight[o, c, k, l]` stands among them.
    pub fn turned_at(&self, [o, c, k, l]: [usize; 4]) -> usize {
        let (stride, taps) = (self.stride as usize, self.taps());
        let phase = k % stride * stride + l % stride;
        let filters = phase * Self::eighths(self.in_channels) + c / CHANNELS;
        let row = (filters * self.out_channels as usize + o) * taps + taps - 1 - k / stride;
        (row * taps + taps - 1 - l / stride) * CHANNELS + c % CHANNELS
    }

    /// Most elements that any per-image tensor of the op has.
    pub fn largest(&self) -> usize {
        self.spread_len().max(self.blocks_len())
    }

    /// Invocations of [`Conv2dBlocked::backward_weight`] for one part.
    pub fn weight_blocks(&self) -> usize {
        let rows = (self.in_channels * self.kernel * self.stride.min(self.kernel)) as usize;
        let places = if self.taps() <= 2 { self.taps() } else { self.taps().next_multiple_of(VECTOR) };
        let rows_of_a_block = NEIGHBOURS / places;
        Self::eighths(self.out_channels) * rows.div_ceil(rows_of_a_block)
    }

    /// Shares the images out among parts of the weight gradient, at most `most` of them.
    pub fn in_parts(self, most: usize) -> Self {
        let conv = self.conv();
        let parts = INVOCATIONS.div_ceil(self.weight_blocks()).min(most.max(1));
        // A part's loops must fit the budget, however large the batch.
        let of_an_image = 1 + conv.out_height() * (1 + conv.out_width());
        let longest = (ITERATION_BUDGET as usize / 2 / of_an_image).max(1);
        Self { images_per_part: (self.images as usize).div_ceil(parts).min(longest) as u32, ..self }
    }

    fn flops(&self) -> usize {
        let conv = self.conv();
        2 * self.images as usize * conv.out_len() * conv.filter_len()
    }

    /// Blocks of a plane of results: of one length each, and of as many rows as fit.
    fn blocks_of_plane(height: usize, width: usize) -> usize {
        let even = width.div_ceil(width.div_ceil(NEIGHBOURS)).next_multiple_of(VECTOR);
        height.div_ceil(NEIGHBOURS / even) * width.div_ceil(even)
    }

    fn copy(&self, entry: &'static str, (name, from): (&'static str, View), len: usize, to: View) -> Step {
        step(
            ("conv2d_blocked", entry),
            self.constants(),
            &[(name, from)],
            &[("laid_out", to)],
            Cost::each(len / VECTOR, 0, 0),
        )
    }

    /// `x` -> [images, spread_len]
    pub fn spread_input(&self, x: View, to: View) -> Step {
        self.copy("spread_input", ("x", x), self.images as usize * self.spread_len(), to)
    }

    /// `dz` -> [images, blocks_len]
    pub fn block_gradient(&self, dz: View, to: View) -> Step {
        self.copy("block_gradient", ("dz", dz), self.images as usize * self.blocks_len(), to)
    }

    /// `weight` -> [packed_len]
    pub fn pack(&self, weight: View, to: View) -> Step {
        self.copy("pack", ("weight", weight), self.packed_len(), to)
    }

    /// `weight` -> [turned_len]
    pub fn pack_turned(&self, weight: View, to: View) -> Step {
        self.copy("pack_turned", ("weight", weight), self.turned_len(), to)
    }

    /// Spread input, packed weight, `bias` -> `y` [images, out_channels, out_height, out_width].
    pub fn forward(&self, spread: View, filters: View, bias: View, y: View) -> Step {
        let conv = self.conv();
        let planes = self.images as usize * Self::eighths(self.out_channels);
        let blocks = planes * Self::blocks_of_plane(conv.out_height(), conv.out_width());
        let taps = self.taps() as u32;
        let iterations =
            nested(&[self.in_channels, self.kernel, self.stride.min(self.kernel), taps]) + STORES;
        step(
            ("conv2d_blocked", "forward"),
            self.constants(),
            &[("spread", spread), ("elements", spread), ("filters", filters), ("bias", bias)],
            &[("y", y)],
            Cost::each(blocks, iterations, self.flops()),
        )
    }

    /// Gradient by eight channels, turned weight -> `dx` [images, in_channels, in_height, in_width].
    pub fn backward_input(&self, blocked: View, filters: View, dx: View) -> Step {
        let phases = (self.stride * self.stride) as usize;
        let planes = self.images as usize * phases * Self::eighths(self.in_channels);
        let blocks = planes * Self::blocks_of_plane(self.reach(self.in_height), self.reach(self.in_width));
        let taps = self.taps() as u32;
        step(
            ("conv2d_blocked", "backward_input"),
            self.constants(),
            &[("blocked", blocked), ("filters", filters)],
            &[("dx", dx)],
            Cost::each(blocks, nested(&[self.out_channels, taps, taps]) + STORES, self.flops()),
        )
    }

    /// Spread input, gradient by eight channels -> `parts` [parts, weight_len], as
    /// [`Conv2d::backward_weight`] makes them, and `bias_parts` [parts, out_channels].
    pub fn backward_weight(&self, spread: View, blocks: View, parts: View, bias_parts: View) -> Step {
        let conv = self.conv();
        step(
            ("conv2d_blocked", "backward_weight"),
            self.constants(),
            &[("spread", spread), ("elements", spread), ("blocks", blocks)],
            &[("parts", parts), ("bias_parts", bias_parts)],
            Cost::each(
                conv.parts() * self.weight_blocks(),
                nested(&[self.images_per_part, conv.out_height() as u32, conv.out_width() as u32]) + STORES,
                self.flops(),
            ),
        )
    }
}
