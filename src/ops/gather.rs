//! Resident image bytes, by index, into a batch of numbers in [0, 1].

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y[m, j] = byte j of image index[p * branches + m / group] / 255`, where
    /// `group = images / branches` and `p = slot.first + first + m % group`.
    ///
    /// With two branches the list holds pairs and the batch has branch A first; with one it is a
    /// plain list. Positions past `slot.first + slot.count` repeat the last one, so that a short
    /// batch is padded with finite values.
    pub struct Gather {
        /// M, images written.
        pub images: u32,
        /// Bytes of an image; it starts at a whole word.
        pub pixels: u32,
        /// Images that stand together in a list entry: 2 for pairs, 1 for plain lists.
        pub branches: u32,
        /// First list entry of this launch, behind the slot's.
        pub first: u32,
        /// The window of the data set that `data` holds; other images are left to other launches.
        pub first_resident: u32,
        pub resident: u32,
    }
}

impl Gather {
    /// Words of one stored image.
    pub fn words(&self) -> usize {
        words(self.pixels as usize)
    }

    /// `data` [resident, words] packed bytes, `index` list of image numbers -> `y` [images, pixels].
    pub fn forward(&self, data: View, index: View, y: View) -> Step {
        let count = self.images as usize * self.words();
        step(
            ("gather", "forward"),
            self.constants(),
            &[("data", data), ("index", index)],
            &[("y", y)],
            Cost::each(count, 4, self.images as usize * self.pixels as usize),
        )
    }
}

/// 32-bit words that hold one image of `pixels` bytes.
pub fn words(pixels: usize) -> usize {
    pixels.div_ceil(4)
}
