//! Which entries of a batch belong together, from their labels, as matrices of 0 and 1.

use super::{Cost, Step, View, attributes, kinds, step};

kinds! {
    /// When entry `i, j` is 1.
    pub enum MaskKind {
        /// Two entries have the same label.
        Positives = 0 as "positives",
        /// Two entries have other labels.
        Negatives = 1 as "negatives",
        /// `i == j`
        Diagonal = 2 as "diagonal",
        /// The label of `i` is `j`.
        OneHot = 3 as "one-hot",
        /// A column of the labels themselves, as numbers: of pairs, 1 where they are the same.
        Same = 4 as "same",
    }
}

attributes! {
    /// Entries behind `slot.count` are padding: their rows are 0, and so are their columns where columns are entries.
    pub struct Mask {
        pub kind: MaskKind,
        pub rows: u32,
        /// Entries of the batch; classes of `OneHot`; 1 of `Same`.
        pub columns: u32,
    }
}

impl Mask {
    /// `label`, the batch's from `slot.first` on -> `y` [rows, columns].
    pub fn forward(&self, label: View, y: View) -> Step {
        let cost = Cost::each(self.rows as usize * self.columns as usize, 0, 0);
        step(("mask", "forward"), self.constants(), &[("label", label)], &[("y", y)], cost)
    }
}
