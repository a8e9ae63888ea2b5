//! What a run on pairs makes smaller.

use crate::model::Comparison;
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;

/// The loss of a batch of pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PairLoss {
    /// Of a head's similarity, or of a distance without a head, as the convention says.
    Contrastive { convention: Convention, margin: f32 },
}

impl Default for PairLoss {
    /// The SN-LeNet-5 paper's.
    fn default() -> Self {
        PairLoss::Contrastive { convention: Convention::Similarity, margin: 1.0 }
    }
}

impl PairLoss {
    /// What compares two embeddings for this loss.
    pub fn comparison(self, kind: DistanceKind) -> Comparison {
        let PairLoss::Contrastive { convention, .. } = self;
        Comparison::Distance { kind, head: convention == Convention::Similarity }
    }

    /// The similarity that a distance stands for where the device computes none: `2^(-2 d / margin)`, which falls
    /// from 1 and passes one half at half the margin, where the loss of distances tells pairs apart.
    pub fn similarity(self, distance: f32) -> f32 {
        let PairLoss::Contrastive { margin, .. } = self;
        (-2.0 * distance / margin).exp2()
    }

    /// The loss of one pair, from what the network says of it, for evaluation on the host.
    pub fn of_pair(self, distance: f64, similarity: f64, same: bool) -> f64 {
        match self {
            PairLoss::Contrastive { convention, margin } => {
                let value = match convention {
                    Convention::Similarity => similarity,
                    Convention::Distance => distance,
                };
                convention.loss(value, f64::from(margin), same)
            }
        }
    }
}
