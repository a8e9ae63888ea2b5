//! Cross-entropy of the softmax of logits, for images with classes.

use super::{Cost, Step, View, WORKGROUP, attributes, step};

attributes! {
    /// `l = ln sum_c exp(x_c) - x_label`, the mean over the `slot.count` images of the batch; a hit where the
    /// first of the largest logits is the label's. Images behind `slot.count` are padding.
    pub struct SoftmaxCrossEntropy {
        /// Images here: a batch may be computed in pieces.
        pub images: u32,
        pub classes: u32,
        /// Place of the first image in the batch.
        pub first: u32,
        /// Add loss and hits to those of an earlier piece instead of overwriting them.
        pub accumulate: bool,
    }
}

impl SoftmaxCrossEntropy {
    /// Images of this piece that are no padding.
    pub fn count(&self, batch: u32) -> usize {
        batch.saturating_sub(self.first).min(self.images) as usize
    }

    /// `x` [images, classes] and the classes `label`, the batch's from `slot.first` on -> `history` [.., 2]: mean
    /// loss and hits of this training step, at row `slot.index`. In one workgroup.
    pub fn forward(&self, x: View, label: View, history: View) -> Step {
        let (images, classes) = (self.images as usize, self.classes as usize);
        step(
            ("softmax_cross_entropy", "forward"),
            self.constants(),
            &[("x", x), ("label", label)],
            &[("history", history)],
            Cost::groups(1, images.div_ceil(WORKGROUP) * (2 * classes + 1) + 16, 4 * images * classes),
        )
    }

    /// `x`, `label` -> `dx` [images, classes], of the mean; 0 for padding.
    pub fn backward(&self, x: View, label: View, dx: View) -> Step {
        let (images, classes) = (self.images as usize, self.classes as usize);
        step(
            ("softmax_cross_entropy", "backward"),
            self.constants(),
            &[("x", x), ("label", label)],
            &[("dx", dx)],
            Cost::each(images, 3 * classes, 6 * images * classes),
        )
    }
}
