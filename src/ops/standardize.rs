//! Images by mean and deviation of their own, in place.

use super::gather::Gather;
use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[m, j] = scale[i] y[m, j] + shift[i]`, where `i` is the image that `gather`, or `warp`, put into row `m`.
    pub struct Standardize {
        /// M, images of the batch.
        pub images: u32,
        /// Values of an image.
        pub pixels: u32,
        /// Images that stand together in a list entry: 2 for pairs, 1 for plain lists.
        pub branches: u32,
        /// First list entry of this launch, behind the slot's.
        pub first: u32,
    }
}

/// Numbers known of each image: scale and shift.
pub const STATISTICS: usize = 2;

impl Standardize {
    /// What puts the same images there, from a data set in one window.
    pub fn gather(&self) -> Gather {
        let Standardize { images, pixels, branches, first } = *self;
        Gather { images, pixels, branches, first, first_resident: 0, resident: u32::MAX }
    }

    /// `index` [.., branches] image numbers, `statistics` [data set, 2], `y` [images, pixels] -> `y`.
    pub fn forward(&self, index: View, statistics: View, y: View) -> Step {
        let count = (self.images * self.pixels) as usize;
        step(
            ("standardize", "forward"),
            self.constants(),
            &[("index", index), ("statistics", statistics)],
            &[("y", y)],
            Cost::each(count, 0, 2 * count),
        )
    }
}
