//! The three phases of a plan: training, embedding, scoring.

use super::build::{Builder, Fixed, Steps};
use super::{OptimizerOptions, PlanError};
use crate::data::Shape;
use crate::model::Network;
use crate::ops::adam::{Adam, AdamViews};
use crate::ops::batch_norm::{BatchNorm, NormViews};
use crate::ops::contrastive::Contrastive;
use crate::ops::distance::Distance;
use crate::ops::head::Head;
use crate::ops::rows::Rows;
use crate::ops::sgd::{Sgd, SgdViews};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::warp::Warp;
use crate::ops::{BufferId, Layout, Step, TENSOR_ALIGN as ALIGN, View};

/// Squared distance below which the gradient is 0 (equation 1 with its clamp).
pub(super) const SQUARED_FLOOR: f32 = 1e-7;
/// The head's norm, as PyTorch's defaults.
pub const NORM_EPS: f32 = 1e-5;
pub(super) const NORM_MOMENTUM: f32 = 0.1;

impl Builder<'_> {
    /// Bytes to numbers, through `matrices` where there are such: one launch for each window of the data set.
    fn gather(
        windows: &[(View, usize, usize)],
        input: Shape,
        (branches, first, images): (usize, usize, usize),
        (index, matrices): (View, Option<View>),
        y: View,
    ) -> Vec<Step> {
        let launch = |&(data, first_resident, resident): &(View, usize, usize)| {
            let warp = Warp {
                images: images as u32,
                channels: input.channels as u32,
                height: input.height as u32,
                width: input.width as u32,
                branches: branches as u32,
                first: first as u32,
                first_resident: first_resident as u32,
                resident: resident as u32,
            };
            match matrices {
                Some(matrices) => warp.forward(data, index, matrices, y),
                None => warp.gather().forward(data, index, y),
            }
        };
        windows.iter().map(launch).collect()
    }

    pub(super) fn train_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        piece: usize,
        features: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let pairs = self.options.batch_size;
        let mut steps = Steps::default();
        let distances = self.temporary(Layout::Plain, 1, pairs);
        let mut pieces = Vec::new();
        for first in (0..pairs).step_by(piece) {
            let count = piece.min(pairs - first);
            let images = 2 * count;
            let x = self.activation(images, network.input.len());
            let place = (2, first, images);
            let list = (fixed.train_index, fixed.train_matrices);
            steps.add("input", Self::gather(windows, network.input, place, list, x));
            let kept = self.forward(&mut steps, fixed, images, x)?;
            let distance = distance(network, count, features, first);
            steps.add("distance", vec![distance.forward(kept.embedding(), distances)]);
            pieces.push((distance, kept));
        }
        let ddistances = self.compare_and_lose(&mut steps, network, fixed, distances);
        for (number, (distance, kept)) in pieces.into_iter().enumerate() {
            let images = 2 * distance.pairs as usize;
            let embedding = kept.embedding();
            let dembedding = self.activation(images, features);
            steps.add("distance", vec![distance.backward(embedding, distances, ddistances, dembedding)]);
            self.backward(&mut steps, fixed, (images, number > 0), &kept, dembedding)?;
        }
        steps.add(self.options.optimizer.name(), self.optimizer(fixed));
        Ok(steps.0)
    }

    /// A training step on images with classes: the subnet's outputs are logits.
    pub(super) fn classify_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        piece: usize,
        classes: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let batch = self.options.batch_size;
        let mut steps = Steps::default();
        for first in (0..batch).step_by(piece) {
            let (images, later) = (piece.min(batch - first), first > 0);
            let x = self.activation(images, network.input.len());
            let list = (fixed.train_index, fixed.train_matrices);
            steps.add("input", Self::gather(windows, network.input, (1, first, images), list, x));
            let kept = self.forward(&mut steps, fixed, images, x)?;
            let (logits, dlogits) = (kept.embedding(), self.activation(images, classes));
            let loss = SoftmaxCrossEntropy {
                images: images as u32,
                classes: classes as u32,
                first: first as u32,
                accumulate: later,
            };
            steps.add(
                "loss",
                vec![
                    loss.forward(logits, fixed.train_labels, fixed.history),
                    loss.backward(logits, fixed.train_labels, dlogits),
                ],
            );
            self.backward(&mut steps, fixed, (images, later), &kept, dlogits)?;
        }
        steps.add(self.options.optimizer.name(), self.optimizer(fixed));
        Ok(steps.0)
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
        let loss = Contrastive {
            pairs: pairs as u32,
            margin: self.options.margin,
            convention: self.options.convention,
        };
        let ddistances = self.temporary(Layout::Plain, 1, pairs);
        if !network.comparison.head {
            steps.add(
                "loss",
                vec![
                    loss.forward(distances, fixed.train_labels, fixed.history),
                    loss.backward(distances, fixed.train_labels, ddistances),
                ],
            );
            return ddistances;
        }
        let mut scalars = || self.temporary(Layout::Plain, 1, pairs);
        let (normed, similarities) = (scalars(), scalars());
        let (dnormed, dsimilarities) = (scalars(), scalars());
        let saved = self.temporary(Layout::Plain, 1, 2);
        let (norm, views) = (norm(pairs), self.norm_views(fixed));
        let head = Head { pairs: pairs as u32 };
        let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
        let [dweight, dbias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.gradients));
        let [dscale, dshift] = ["head.norm.weight", "head.norm.bias"].map(|n| self.named(n, fixed.gradients));
        steps.add("head.norm", vec![norm.forward(distances, &views, saved, normed)]);
        steps.add("head.fc", vec![head.forward(normed, weight, bias, similarities)]);
        steps.add(
            "loss",
            vec![
                loss.forward(similarities, fixed.train_labels, fixed.history),
                loss.backward(similarities, fixed.train_labels, dsimilarities),
            ],
        );
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
                norm.backward_weight(distances, dnormed, saved, dscale, dshift),
                norm.backward_input(distances, dnormed, views.weight, saved, dscale, dshift, ddistances),
            ],
        );
        ddistances
    }

    fn norm_views(&self, fixed: &Fixed) -> NormViews {
        NormViews {
            weight: self.named("head.norm.weight", fixed.parameters),
            bias: self.named("head.norm.bias", fixed.parameters),
            running_mean: self.named("head.norm.running_mean", fixed.state),
            running_var: self.named("head.norm.running_var", fixed.state),
        }
    }

    /// A launch for all parameters that the optimizer treats alike, or as few as a binding allows.
    fn optimizer(&self, fixed: &Fixed) -> Vec<Step> {
        let most = (self.options.max_binding / 4 / ALIGN * ALIGN).max(ALIGN);
        let mut launches = Vec::new();
        let mut start = 0;
        for &(end, coefficient) in &self.stretches {
            for offset in (start..end).step_by(most) {
                let count = most.min(end - offset);
                let view = |buffer| View::plain(buffer, offset, count);
                launches.push(self.update(fixed, count, coefficient, view));
            }
            start = end;
        }
        launches
    }

    fn update(&self, fixed: &Fixed, count: usize, coefficient: f64, view: impl Fn(BufferId) -> View) -> Step {
        let (gradient, parameter) = (view(fixed.gradients), view(fixed.parameters));
        let [first, second] = fixed.kept.map(view);
        match self.options.optimizer {
            OptimizerOptions::Adam(adam) => Adam {
                count: count as u32,
                beta1: adam.beta1 as f32,
                rest1: (1.0 - adam.beta1) as f32,
                beta2: adam.beta2 as f32,
                rest2: (1.0 - adam.beta2) as f32,
                eps: adam.eps,
                decays: coefficient != 0.0,
            }
            .forward(&AdamViews {
                gradient,
                parameter,
                first_moment: first,
                second_moment: second,
            }),
            OptimizerOptions::Sgd(_) => Sgd { count: count as u32, penalty: coefficient as f32 }
                .forward(&SgdViews { gradient, parameter, velocity: first }),
        }
    }

    pub(super) fn embed_steps(
        &mut self,
        network: &Network,
        windows: &[(View, usize, usize)],
        fixed: &Fixed,
        images: usize,
        features: usize,
    ) -> Result<Vec<Step>, PlanError> {
        let mut steps = Steps::default();
        let x = self.activation(images, network.input.len());
        steps
            .add("input", Self::gather(windows, network.input, (1, 0, images), (fixed.embed_index, None), x));
        let kept = self.forward(&mut steps, fixed, images, x)?;
        let rows = Rows { rows: images as u32, features: features as u32, branches: 1 };
        steps.add("embedding", vec![rows.store(kept.embedding(), fixed.embeddings)]);
        Ok(steps.0)
    }

    pub(super) fn score_steps(
        &mut self,
        network: &Network,
        fixed: &Fixed,
        pairs: usize,
        features: usize,
    ) -> Vec<Step> {
        let mut steps = Steps::default();
        let embeddings = self.activation(2 * pairs, features);
        let rows = Rows { rows: 2 * pairs as u32, features: features as u32, branches: 2 };
        steps.add("embedding", vec![rows.load(fixed.embeddings, fixed.score_index, embeddings)]);
        let distances = self.temporary(Layout::Plain, 1, pairs);
        let scalar = Rows { rows: pairs as u32, features: 1, branches: 1 };
        steps.add(
            "distance",
            vec![
                distance(network, pairs, features, 0).forward(embeddings, distances),
                scalar.store(distances, fixed.distances),
            ],
        );
        if network.comparison.head {
            let normed = self.temporary(Layout::Plain, 1, pairs);
            let similarities = self.temporary(Layout::Plain, 1, pairs);
            let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
            steps.add("head.norm", vec![norm(pairs).infer(distances, &self.norm_views(fixed), normed)]);
            steps.add(
                "head.fc",
                vec![
                    Head { pairs: pairs as u32 }.forward(normed, weight, bias, similarities),
                    scalar.store(similarities, fixed.similarities),
                ],
            );
        }
        steps.0
    }
}

fn norm(pairs: usize) -> BatchNorm {
    BatchNorm { images: pairs as u32, channels: 1, spatial: 1, eps: NORM_EPS, momentum: NORM_MOMENTUM }
}

fn distance(network: &Network, pairs: usize, features: usize, first: usize) -> Distance {
    Distance {
        pairs: pairs as u32,
        features: features as u32,
        first: first as u32,
        kind: network.comparison.distance,
        squared_floor: SQUARED_FLOOR,
        accumulate: false,
    }
}
