//! What a run on pairs makes smaller.

use super::PlanError;
use crate::model::Comparison;
use crate::ops::binary_cross_entropy::{BinaryCrossEntropy, Link};
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;

/// The loss of a batch of pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PairLoss {
    /// Of a head's similarity, or of a distance without a head, as the convention says.
    Contrastive { convention: Convention, margin: f32 },
    /// The cross-entropy of whether a pair is the same, with the probability that its comparison gives.
    CrossEntropy,
    /// An episode is `way` positive pairs of different classes, in a row: the cross-entropy of which second image
    /// belongs to a first one, with minus the squared distances as logits (Snell, Swersky and Zemel, "Prototypical
    /// Networks for Few-shot Learning", 2017, with one shot and one query to a class).
    Episodes { way: usize },
}

impl Default for PairLoss {
    /// The SN-LeNet-5 paper's.
    fn default() -> Self {
        PairLoss::Contrastive { convention: Convention::Similarity, margin: 1.0 }
    }
}

impl PairLoss {
    /// What compares two embeddings for this loss, unless a model has a comparison of its own.
    pub fn comparison(self, kind: DistanceKind) -> Comparison {
        match self {
            PairLoss::Contrastive { convention, .. } => {
                Comparison::Distance { kind, head: convention == Convention::Similarity }
            }
            PairLoss::CrossEntropy => Comparison::WeightedSum,
            PairLoss::Episodes { .. } => Comparison::Distance { kind, head: false },
        }
    }

    /// Refuses what the loss cannot be computed on.
    pub(super) fn check(self, comparison: Comparison, pairs: usize) -> Result<(), PlanError> {
        let refused = |why: String| Err(PlanError::Loss { why });
        let distance = matches!(comparison, Comparison::Distance { .. });
        match self {
            PairLoss::Contrastive { .. } if !distance => {
                refused("the contrastive loss wants a distance, and this model gives a probability".into())
            }
            PairLoss::CrossEntropy if distance => refused(
                "the cross-entropy of pairs wants a probability, and this model gives a distance".into(),
            ),
            PairLoss::Episodes { .. }
                if comparison != (Comparison::Distance { kind: DistanceKind::Euclidean, head: false }) =>
            {
                refused("episodes compare by the Euclidean distance, without a head".into())
            }
            PairLoss::Episodes { way } if way < 2 => refused(format!(
                "an episode of {way} leaves nothing to choose from; it takes 2 pairs or more"
            )),
            PairLoss::Episodes { way } if !pairs.is_multiple_of(way) => {
                let fitting = (pairs / way).max(1) * way;
                refused(format!(
                    "{pairs} pairs make no whole number of episodes of {way}; take a batch of {fitting}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Pairs that must stay together where a batch is cut into pieces.
    pub(super) fn unit(self) -> usize {
        match self {
            PairLoss::Episodes { way } => way,
            _ => 1,
        }
    }

    /// The similarity that a distance stands for where the device computes none: `2^(-2 d / margin)`, which falls
    /// from 1 and passes one half at half the margin, where the loss of distances tells pairs apart. Episodes have
    /// no margin, and take it for 1.
    pub fn similarity(self, distance: f32) -> f32 {
        (-2.0 * distance / self.margin()).exp2()
    }

    fn margin(self) -> f32 {
        match self {
            PairLoss::Contrastive { margin, .. } => margin,
            PairLoss::CrossEntropy | PairLoss::Episodes { .. } => 1.0,
        }
    }

    /// The loss of one pair, from what the network says of it, for evaluation on the host. Of episodes, which are
    /// more than pairs, it is the cross-entropy of the pair with [`Self::similarity`].
    pub fn of_pair(self, comparison: Comparison, (distance, similarity): (f64, f64), same: bool) -> f64 {
        match self {
            PairLoss::Contrastive { convention, margin } => {
                let value = match convention {
                    Convention::Similarity => similarity,
                    Convention::Distance => distance,
                };
                convention.loss(value, f64::from(margin), same)
            }
            PairLoss::CrossEntropy => cross_entropy(comparison, 1).loss(distance, same),
            PairLoss::Episodes { .. } => {
                let scale = 0.5 / std::f32::consts::LN_2;
                let exponential = Comparison::Exponential { scale };
                cross_entropy(exponential, 1).loss(distance, same)
            }
        }
    }
}

/// The least exponent of the exponential link: two images may be the same to the last pixel.
const EXPONENT_FLOOR: f32 = 1e-6;

/// The cross-entropy of pairs, with the probability that a comparison gives.
pub(super) fn cross_entropy(comparison: Comparison, pairs: usize) -> BinaryCrossEntropy {
    let (link, scale) = match comparison {
        Comparison::Exponential { scale } => (Link::Exponential, scale),
        Comparison::WeightedSum | Comparison::Distance { .. } => (Link::Logit, 1.0),
    };
    BinaryCrossEntropy { pairs: pairs as u32, link, scale, floor: EXPONENT_FLOOR }
}
