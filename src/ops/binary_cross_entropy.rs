//! Cross-entropy of whether a pair is the same.

use super::{Cost, Step, View, WORKGROUP, attributes, kinds, step};

kinds! {
    /// How a distance `d` becomes the probability that a pair is the same.
    pub enum Link {
        /// `1 / (1 + exp(d))`: the distance is minus a logit.
        Logit = 0 as "logit",
        /// `exp(-e)` with `e = max(d / scale, floor)`.
        Exponential = 1 as "exponential",
    }
}

attributes! {
    /// `l = -ln p` where same, else `-ln(1 - p)`, with the probability `p` of the link; the mean over the
    /// `slot.count` pairs of the batch. A hit where `(p > 1/2) == same`. The exponential link has gradient 0 where
    /// `d / scale` is at or below the floor.
    pub struct BinaryCrossEntropy {
        pub pairs: u32,
        pub link: Link,
        /// Of the exponential link.
        pub scale: f32,
        pub floor: f32,
    }
}

impl BinaryCrossEntropy {
    /// `x` [pairs], distances, and the labels `same` from `slot.first` -> `history` [.., 2]: mean loss and hits of
    /// this training step, at row `slot.index`.
    pub fn forward(&self, x: View, same: View, history: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("binary_cross_entropy", "forward"),
            self.constants(),
            &[("x", x), ("same", same)],
            &[("history", history)],
            Cost::groups(1, pairs.div_ceil(WORKGROUP) + 16, 8 * pairs),
        )
    }

    /// `x`, `same` -> `dx` [pairs], of the mean; 0 for padding.
    pub fn backward(&self, x: View, same: View, dx: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("binary_cross_entropy", "backward"),
            self.constants(),
            &[("x", x), ("same", same)],
            &[("dx", dx)],
            Cost::each(pairs, 0, 8 * pairs),
        )
    }

    /// `x` [pairs] -> `y` [pairs], the probability that each pair is the same.
    pub fn similarity(&self, x: View, y: View) -> Step {
        let pairs = self.pairs as usize;
        step(
            ("binary_cross_entropy", "similarity"),
            self.constants(),
            &[("x", x)],
            &[("y", y)],
            Cost::each(pairs, 0, 4 * pairs),
        )
    }

    /// The loss of one pair, for evaluation on the host.
    pub fn loss(&self, d: f64, same: bool) -> f64 {
        match self.link {
            Link::Logit => {
                let v = if same { d } else { -d };
                v.max(0.0) + (-v.abs()).exp().ln_1p()
            }
            Link::Exponential => {
                let e = (d / f64::from(self.scale)).max(f64::from(self.floor));
                if same { e } else { -(-(-e).exp_m1()).ln() }
            }
        }
    }
}
