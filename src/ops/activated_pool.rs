//! Back through a pool and the activation before it.

use super::activation::{Activation, ActivationKind};
use super::conv2d::nested;
use super::conv2d_blocked::blocks_len;
use super::pool2d::{Pool2d, PoolKind};
use super::{Cost, Step, View, attributes, step};

attributes! {
    /// [`Pool2d::backward`], then [`Activation::backward`], for a blocked convolution. Windows do not overlap:
    /// `size <= stride`.
    pub struct ActivatedPool {
        pub images: u32,
        pub channels: u32,
        pub in_height: u32,
        pub in_width: u32,
        pub size: u32,
        pub stride: u32,
        pub kind: PoolKind,
        pub activation: ActivationKind,
    }
}

impl ActivatedPool {
    /// Of a pool without padding whose windows do not overlap, and the activation before it.
    pub fn of_parts(pool: &Pool2d, activation: ActivationKind) -> Option<Self> {
        let Pool2d { images, channels, in_height, in_width, size, stride, padding, kind, .. } = *pool;
        (size <= stride && padding == 0).then_some(ActivatedPool {
            images,
            channels,
            in_height,
            in_width,
            size,
            stride,
            kind,
            activation,
        })
    }

    /// The pool alone.
    pub fn pool(&self) -> Pool2d {
        let ActivatedPool { images, channels, in_height, in_width, size, stride, kind, .. } = *self;
        Pool2d { images, channels, in_height, in_width, size, stride, padding: 0, kind, accumulate: false }
    }

    /// Elements of an image's gradient by eight channels.
    pub fn blocks_len(&self) -> usize {
        blocks_len(self.channels as usize, (self.in_height * self.in_width) as usize)
    }

    /// The activation alone.
    pub fn part(&self) -> Activation {
        let count = self.images * self.pool().in_len() as u32;
        Activation { count, kind: self.activation, accumulate: false }
    }

    /// `x` [images, channels, in_height, in_width], the activation's output, and `dy`
    /// [images, channels, out_height, out_width] -> the gradient of the activation's input, by eight channels
    /// [images, blocks_len].
    pub fn backward(&self, x: View, dy: View, blocks: View) -> Step {
        let pool = self.pool();
        let side = |length: u32| length.div_ceil(self.stride) as usize;
        let fours = self.channels.div_ceil(8) as usize * 2;
        let cells = self.images as usize * fours * side(self.in_height) * side(self.in_width);
        let iterations = 4 * nested(&[self.size, self.size]) + nested(&[self.stride, self.stride]);
        let values = self.images as usize * pool.in_len();
        step(
            ("activated_pool", "backward"),
            self.constants(),
            &[("x", x), ("dy", dy)],
            &[("blocks", blocks)],
            Cost::each(cells, iterations, 3 * values),
        )
    }
}
