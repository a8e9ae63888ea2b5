//! How a plan compares embeddings: from them to the loss and back, and to scores.

use super::build::{Builder, Fixed, Steps};
use super::initial::initial;
use super::loss::cross_entropy;
use super::phases::{NORM_EPS, NORM_MOMENTUM, SQUARED_FLOOR};
use super::{Initial, PairLoss, Parameter};
use crate::model::{Comparison, Network, Start};
use crate::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use crate::ops::contrastive::Contrastive;
use crate::ops::distance::{Distance, DistanceKind};
use crate::ops::episode::Episode;
use crate::ops::head::Head;
use crate::ops::rows::Rows;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::weighted_sum::WeightedSum;
use crate::ops::{Layout, Step, View};

/// Embeddings of a piece of a batch: its first pair, its pairs, all first embeddings before all second ones.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) first: usize,
    pub(super) pairs: usize,
    pub(super) embedding: View,
}

impl Builder<'_> {
    /// Parameters of the comparison.
    pub(super) fn add_comparison(&mut self, network: &Network, features: usize) {
        let parameters = match network.comparison {
            Comparison::Distance { head: true, .. } => vec![
                ("head.norm.weight", vec![1], Initial::Constant(1.0), true),
                ("head.norm.bias", vec![1], Initial::Constant(0.0), true),
                ("head.norm.running_mean", vec![1], Initial::Constant(0.0), false),
                ("head.norm.running_var", vec![1], Initial::Constant(1.0), false),
                // Similarity must fall with distance: with a random sign half of all runs stay at 50 %.
                ("head.fc.weight", vec![1, 1], Initial::Constant(-1.0), true),
                ("head.fc.bias", vec![1], Initial::Constant(0.0), true),
            ],
            Comparison::WeightedSum => {
                let [weight, bias] = weighted_sum(0, features, 0).parameter_shapes();
                let [of_weight, of_bias] = match network.start {
                    Start::Normal { .. } => initial(network.start, &weight),
                    // Again it must fall; and the logit starts as the mean difference, however many features.
                    Start::PyTorch | Start::Glorot => [-1.0 / features as f32, 0.0].map(Initial::Constant),
                };
                vec![("head.weight", weight, of_weight, true), ("head.bias", bias, of_bias, true)]
            }
            Comparison::Distance { head: false, .. } | Comparison::Exponential { .. } => Vec::new(),
        };
        for (name, shape, initial, trainable) in parameters {
            self.parameters.push(Parameter { name: name.into(), shape, initial, trainable });
        }
    }

    /// From a batch's embeddings to the loss and back to their gradients, piece by piece.
    pub(super) fn learn(
        &mut self,
        steps: &mut Steps,
        network: &Network,
        fixed: &Fixed,
        pieces: &[Piece],
        features: usize,
    ) -> Vec<View> {
        if let PairLoss::Episodes { way } = self.options.loss {
            return pieces.iter().map(|piece| self.episodes(steps, fixed, piece, features, way)).collect();
        }
        let distances = self.temporary(Layout::Plain, 1, self.options.batch_size);
        for piece in pieces {
            let launch = self.distance(network, fixed, piece, features, distances);
            steps.add("distance", vec![launch]);
        }
        let ddistances = self.compare_and_lose(steps, network, fixed, distances);
        let mut dembeddings = Vec::new();
        for piece in pieces {
            let to = self.activation(2 * piece.pairs, features);
            let launches = match network.comparison {
                Comparison::WeightedSum => {
                    let sum = weighted_sum(piece.pairs, features, piece.first);
                    let weight = self.named("head.weight", fixed.parameters);
                    let [dweight, dbias] =
                        ["head.weight", "head.bias"].map(|name| self.named(name, fixed.gradients));
                    vec![
                        sum.backward_weight(piece.embedding, ddistances, dweight),
                        sum.backward_bias(ddistances, dbias),
                        sum.backward_input(piece.embedding, weight, ddistances, to),
                    ]
                }
                Comparison::Distance { kind, .. } => {
                    vec![distance(kind, piece, features).backward(piece.embedding, distances, ddistances, to)]
                }
                Comparison::Exponential { .. } => {
                    let distance = distance(DistanceKind::L1, piece, features);
                    vec![distance.backward(piece.embedding, distances, ddistances, to)]
                }
            };
            steps.add("distance", launches);
            dembeddings.push(to);
        }
        dembeddings
    }

    /// A piece's distances, of any comparison.
    fn distance(
        &self,
        network: &Network,
        fixed: &Fixed,
        piece: &Piece,
        features: usize,
        distances: View,
    ) -> Step {
        let kind = match network.comparison {
            Comparison::WeightedSum => {
                let [weight, bias] =
                    ["head.weight", "head.bias"].map(|name| self.named(name, fixed.parameters));
                let sum = weighted_sum(piece.pairs, features, piece.first);
                return sum.forward(piece.embedding, weight, bias, distances);
            }
            Comparison::Distance { kind, .. } => kind,
            Comparison::Exponential { .. } => DistanceKind::L1,
        };
        distance(kind, piece, features).forward(piece.embedding, distances)
    }

    /// The loss of a piece's episodes, there and back. Returns the gradient of its embeddings.
    fn episodes(
        &mut self,
        steps: &mut Steps,
        fixed: &Fixed,
        &Piece { first, pairs, embedding }: &Piece,
        features: usize,
        way: usize,
    ) -> View {
        let [logits, dlogits] = [(); 2].map(|()| self.activation(pairs, way));
        let dembedding = self.activation(2 * pairs, features);
        let episode = Episode { pairs: pairs as u32, features: features as u32, way: way as u32 };
        let loss = SoftmaxCrossEntropy {
            images: pairs as u32,
            classes: way as u32,
            first: first as u32,
            accumulate: first > 0,
        };
        steps.add("distance", vec![episode.forward(embedding, logits)]);
        steps.add(
            "loss",
            vec![
                loss.forward(logits, fixed.train_labels, fixed.history),
                loss.backward(logits, fixed.train_labels, dlogits),
            ],
        );
        steps.add("distance", vec![episode.backward(embedding, dlogits, dembedding)]);
        dembedding
    }

    /// Head and loss, forward and back. Returns the gradient of the distances.
    fn compare_and_lose(
        &mut self,
        steps: &mut Steps,
        network: &Network,
        fixed: &Fixed,
        distances: View,
    ) -> View {
        let pairs = self.options.batch_size;
        let ddistances = self.temporary(Layout::Plain, 1, pairs);
        if !network.comparison.has_head() {
            steps.add("loss", self.loss(network, fixed, distances, ddistances));
            return ddistances;
        }
        let mut scalars = || self.temporary(Layout::Plain, 1, pairs);
        let (normed, similarities) = (scalars(), scalars());
        let (dnormed, dsimilarities) = (scalars(), scalars());
        let parts = self.temporary(Layout::Plain, 1, MOMENTS);
        let statistics = [(); 2].map(|()| self.temporary(Layout::Plain, 1, 1));
        let (norm, views) = (norm(pairs), self.head_norm_views(fixed, statistics));
        let head = Head { pairs: pairs as u32 };
        let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
        let [dweight, dbias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.gradients));
        let [dscale, dshift] = ["head.norm.weight", "head.norm.bias"].map(|n| self.named(n, fixed.gradients));
        steps.add(
            "head.norm",
            vec![
                norm.moments(distances, parts),
                norm.merge(parts, statistics, self.head_running(fixed)),
                norm.forward(distances, &views, normed),
            ],
        );
        steps.add("head.fc", vec![head.forward(normed, weight, bias, similarities)]);
        steps.add("loss", self.loss(network, fixed, similarities, dsimilarities));
        steps.add(
            "head.fc",
            vec![
                head.backward_weight(normed, similarities, dsimilarities, dweight, dbias),
                head.backward_input(similarities, dsimilarities, weight, dnormed),
            ],
        );
        steps.add(
            "head.norm",
            vec![
                // The batch is one part, so its sums are the gradients.
                norm.backward_weight(distances, dnormed, &views, [dscale, dshift]),
                norm.backward_input(distances, dnormed, &views, [dscale, dshift], ddistances),
            ],
        );
        ddistances
    }

    fn head_norm_views(&self, fixed: &Fixed, [mean, variance]: [View; 2]) -> NormViews {
        let [weight, bias] = ["head.norm.weight", "head.norm.bias"].map(|n| self.named(n, fixed.parameters));
        NormViews { weight, bias, mean, variance }
    }

    fn head_running(&self, fixed: &Fixed) -> [View; 2] {
        ["head.norm.running_mean", "head.norm.running_var"].map(|n| self.named(n, fixed.state))
    }

    /// The loss of a number for each pair, and that number's gradient.
    fn loss(&self, network: &Network, fixed: &Fixed, x: View, dx: View) -> Vec<Step> {
        let pairs = self.options.batch_size;
        let (same, history) = (fixed.train_labels, fixed.history);
        match self.options.loss {
            PairLoss::Contrastive { convention, margin } => {
                let loss = Contrastive { pairs: pairs as u32, margin, convention };
                vec![loss.forward(x, same, history), loss.backward(x, same, dx)]
            }
            PairLoss::CrossEntropy => {
                let loss = cross_entropy(network.comparison, pairs);
                vec![loss.forward(x, same, history), loss.backward(x, same, dx)]
            }
            PairLoss::Episodes { .. } => unreachable!("it sees embeddings, not a number for each pair"),
        }
    }

    /// Scores of pairs of embeddings.
    pub(super) fn score_steps(
        &mut self,
        network: &Network,
        fixed: &Fixed,
        pairs: usize,
        features: usize,
    ) -> Vec<Step> {
        let mut steps = Steps::default();
        let embedding = self.activation(2 * pairs, features);
        let rows = Rows { rows: 2 * pairs as u32, features: features as u32, branches: 2 };
        steps.add("embedding", vec![rows.load(fixed.embeddings, fixed.score_index, embedding)]);
        let distances = self.temporary(Layout::Plain, 1, pairs);
        let scalar = Rows { rows: pairs as u32, features: 1, branches: 1 };
        let piece = Piece { first: 0, pairs, embedding };
        let launch = self.distance(network, fixed, &piece, features, distances);
        steps.add("distance", vec![launch, scalar.store(distances, fixed.distances)]);
        match network.comparison {
            Comparison::Distance { head: true, .. } => {
                let normed = self.temporary(Layout::Plain, 1, pairs);
                let views = self.head_norm_views(fixed, self.head_running(fixed));
                let similarities = self.temporary(Layout::Plain, 1, pairs);
                let [weight, bias] =
                    ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
                steps.add("head.norm", vec![norm(pairs).forward(distances, &views, normed)]);
                steps.add(
                    "head.fc",
                    vec![
                        Head { pairs: pairs as u32 }.forward(normed, weight, bias, similarities),
                        scalar.store(similarities, fixed.similarities),
                    ],
                );
            }
            Comparison::WeightedSum | Comparison::Exponential { .. } => {
                let similarities = self.temporary(Layout::Plain, 1, pairs);
                steps.add(
                    "similarity",
                    vec![
                        cross_entropy(network.comparison, pairs).similarity(distances, similarities),
                        scalar.store(similarities, fixed.similarities),
                    ],
                );
            }
            Comparison::Distance { head: false, .. } => {}
        }
        steps.0
    }
}

fn norm(pairs: usize) -> BatchNorm {
    BatchNorm::whole(pairs as u32, 1, 1, NORM_EPS, NORM_MOMENTUM)
}

fn distance(kind: DistanceKind, piece: &Piece, features: usize) -> Distance {
    Distance {
        pairs: piece.pairs as u32,
        features: features as u32,
        first: piece.first as u32,
        kind,
        squared_floor: SQUARED_FLOOR,
        accumulate: false,
    }
}

/// A later piece adds to the gradients of the ones before it.
fn weighted_sum(pairs: usize, features: usize, first: usize) -> WeightedSum {
    WeightedSum { pairs: pairs as u32, features: features as u32, first: first as u32, accumulate: first > 0 }
}
