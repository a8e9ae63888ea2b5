//! Resident image bytes, each image through an affine map of its own, into a batch of numbers in [0, 1].

use super::gather::{Gather, words};
use super::{Cost, Step, View, attributes, step};

attributes! {
    /// Image `m` as `gather` finds it, read at `(u, v) = matrix (x, y)`, in integers to 1/256 of a pixel; bilinear
    /// between the four bytes around that place, 0 outside. See [`crate::data::augment::sample`].
    pub struct Warp {
        /// M, images written.
        pub images: u32,
        pub channels: u32,
        pub height: u32,
        pub width: u32,
        /// Images that stand together in a list entry: 2 for pairs, 1 for plain lists.
        pub branches: u32,
        /// First list entry of this launch, behind the slot's.
        pub first: u32,
        /// The window of the data set that `data` holds; other images are left to other launches.
        pub first_resident: u32,
        pub resident: u32,
    }
}

/// Words of a map.
pub const MATRIX: usize = 6;

impl Warp {
    /// Bytes of an image.
    pub fn pixels(&self) -> usize {
        (self.channels * self.height * self.width) as usize
    }

    /// Words of one stored image.
    pub fn words(&self) -> usize {
        words(self.pixels())
    }

    /// The same images as they are.
    pub fn gather(&self) -> Gather {
        let Warp { images, branches, first, first_resident, resident, .. } = *self;
        Gather { images, pixels: self.pixels() as u32, branches, first, first_resident, resident }
    }

    /// `data` [resident, words] packed bytes, `index` [.., branches] image numbers, `matrices` [.., branches, 6]
    /// -> `y` [images, channels, height, width].
    pub fn forward(&self, data: View, index: View, matrices: View, y: View) -> Step {
        let count = self.images as usize * self.pixels();
        step(
            ("warp", "forward"),
            self.constants(),
            &[("data", data), ("index", index), ("matrices", matrices)],
            &[("y", y)],
            Cost::each(count, 0, 2 * count),
        )
    }
}
