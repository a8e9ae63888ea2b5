//! Contrastive loss, on a similarity or on a distance.

use super::{Cost, Step, View, WORKGROUP, attributes, kinds, step};

kinds! {
    /// What the loss is computed on. The two conventions are mirror images, and mixing them up
    /// trains a network to do the opposite, so each has a name of its own.
    pub enum Convention {
        /// Equation 2 of the SN-LeNet-5 paper, on the similarity `s`:
        /// `(1 - same) s^2 + same max(margin - s, 0)^2`; a hit where `(s > 0.5) == same`.
        Similarity = 0 as "similarity",
        /// Hadsell, Chopra and LeCun (2006), equation 4 without its halves, on the distance `d`:
        /// `same d^2 + (1 - same) max(margin - d, 0)^2`; a hit where `(d < margin / 2) == same`.
        Distance = 1 as "distance",
    }
}

attributes! {
    /// Mean over the `slot.count` pairs of the batch; pairs behind them are padding.
    pub struct Contrastive {
        pub pairs: u32,
        pub margin: f32,
        pub convention: Convention,
    }
}

impl Contrastive {
    /// `x` [pairs] and the labels `same` from `slot.first` -> `history` [.., 2]: mean loss and
    /// hits of this training step, at row `slot.index`.
    pub fn forward(&self, x: View, same: View, history: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("contrastive", "forward"),
            self.constants(),
            &[("x", x), ("same", same)],
            &[("history", history)],
            Cost::groups(1, pairs.div_ceil(WORKGROUP) + 16, 5 * pairs),
        )
    }

    /// `x`, `same` -> `dx` [pairs], of the mean; 0 for padding.
    pub fn backward(&self, x: View, same: View, dx: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("contrastive", "backward"),
            self.constants(),
            &[("x", x), ("same", same)],
            &[("dx", dx)],
            Cost::each(pairs, 0, 4 * pairs),
        )
    }
}

impl Convention {
    /// The loss of one pair, for evaluation on the host.
    pub fn loss(self, value: f64, margin: f64, same: bool) -> f64 {
        let pushed = same == (self == Convention::Similarity);
        if pushed { (margin - value).max(0.0).powi(2) } else { value.powi(2) }
    }
}
