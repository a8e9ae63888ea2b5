//! What compares two embeddings: a distance, with or without a learned head, or a probability.

use super::PairDistance;
use crate::graph::{Graph, Initialization, Initializer, Op, ValueId};
use crate::ops::binary_cross_entropy::Link;

/// eps and momentum of the head's norm, PyTorch's defaults.
pub const NORM_EPS: f32 = 1e-5;
const NORM_MOMENTUM: f32 = 0.1;

/// The least exponent of the exponential link: two images may be the same to the last pixel.
const EXPONENT_FLOOR: f32 = 1e-6;

/// How two embeddings become one number.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Comparison {
    /// A distance. With a head, batch norm over it, then a learned affine map and a sigmoid. Without one the
    /// distance itself is what the loss sees.
    Distance { kind: PairDistance, head: bool },
    /// A learned weighted sum of absolute feature differences, the logit of a probability (Koch, Zemel and
    /// Salakhutdinov, 2015). As a distance it counts negative.
    WeightedSum,
    /// The probability `exp(-max(D / scale, 1e-6))` of the L1 distance `D`, without parameters.
    Exponential { scale: f32 },
}

/// What a comparison gives of each pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// `[entries]`
    pub distance: ValueId,
    /// `[entries]`, in (0, 1); none where the distance stands alone.
    pub similarity: Option<ValueId>,
}

impl Comparison {
    /// Whether a head stands behind the distance.
    pub fn has_head(self) -> bool {
        matches!(self, Comparison::Distance { head: true, .. })
    }

    /// Whether it gives a similarity, or nothing but a distance.
    pub fn gives_similarity(self) -> bool {
        !matches!(self, Comparison::Distance { head: false, .. })
    }

    /// How a distance becomes a probability.
    pub(super) fn link(self) -> (Link, f32, f32) {
        match self {
            Comparison::Exponential { scale } => (Link::Exponential, scale, EXPONENT_FLOOR),
            Comparison::WeightedSum | Comparison::Distance { .. } => (Link::Logit, 1.0, EXPONENT_FLOOR),
        }
    }

    /// Adds it to a graph, behind embeddings `[images, features]`.
    pub fn build(self, graph: &mut Graph, embedding: ValueId) -> Compared {
        let probability = |graph: &mut Graph, distance| {
            let (link, scale, floor) = self.link();
            graph.apply("similarity", Op::Probability { link, scale, floor }, &[distance])
        };
        match self {
            Comparison::Distance { kind, head } => {
                let distance = kind.build(graph, embedding);
                let similarity = head.then(|| similarity_head(graph, distance));
                Compared { distance, similarity }
            }
            Comparison::WeightedSum => {
                let features = crate::graph::of_image(graph.shape(embedding)).channels;
                let [of_weight, of_bias] = match graph.initialization {
                    Initialization::Normal { dense, bias: (mean, deviation), .. } => {
                        [(0.0, dense), (mean, deviation)]
                            .map(|(mean, deviation)| Initializer::Normal { mean, deviation })
                    }
                    // Similarity must fall with distance; and the logit starts as the mean difference.
                    _ => [-1.0 / features as f32, 0.0].map(Initializer::Constant),
                };
                let weight = graph.parameter("head.weight", &[1, features], of_weight);
                let bias = graph.parameter("head.bias", &[1], of_bias);
                let distance = graph.apply("distance", Op::WeightedSum, &[embedding, weight, bias]);
                Compared { distance, similarity: Some(probability(graph, distance)) }
            }
            Comparison::Exponential { .. } => {
                let distance = PairDistance::L1.build(graph, embedding);
                Compared { distance, similarity: Some(probability(graph, distance)) }
            }
        }
    }
}

/// `sigmoid(a norm(d) + b)` with `a` from -1: similarity must fall with distance, and with a random sign half of all
/// runs stay at 50 %.
fn similarity_head(graph: &mut Graph, distance: ValueId) -> ValueId {
    let normed = graph.batch_norm("head.norm", distance, NORM_EPS, NORM_MOMENTUM);
    let weight = graph.parameter("head.fc.weight", &[1, 1], Initializer::Constant(-1.0));
    let bias = graph.parameter("head.fc.bias", &[1], Initializer::Constant(0.0));
    graph.apply("head.fc", Op::Head, &[normed, weight, bias])
}
