//! The three phases of a plan: training, embedding, scoring.

use super::build::{Builder, Fixed, Steps};
use super::subnet::Statistics;
use super::{OptimizerOptions, PlanError};
use crate::data::Shape;
use crate::model::Network;
use crate::ops::adam::{Adam, AdamViews};
use crate::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use crate::ops::contrastive::Contrastive;
use crate::ops::distance::Distance;
use crate::ops::head::Head;
use crate::ops::rows::Rows;
use crate::ops::sgd::{Sgd, SgdViews};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::standardize::Standardize;
use crate::ops::warp::Warp;
use crate::ops::{BufferId, Layout, Step, TENSOR_ALIGN as ALIGN, View};

/// Squared distance below which the gradient is 0 (equation 1 with its clamp).
pub(super) const SQUARED_FLOOR: f32 = 1e-7;
/// The head's norm, as PyTorch's defaults.
pub const NORM_EPS: f32 = 1e-5;
pub(super) const NORM_MOMENTUM: f32 = 0.1;

impl Builder<'_> {
    /// Bytes to numbers, through `matrices` where there are such: one launch for each window of the data set, and one
    /// more where images are standardized.
    fn gather(
        &self,
        fixed: &Fixed,
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
        let standardize = Standardize {
            images: images as u32,
            pixels: input.len() as u32,
            branches: branches as u32,
            first: first as u32,
        };
        let standardized = fixed.statistics.map(|statistics| standardize.forward(index, statistics, y));
        windows.iter().map(launch).chain(standardized).collect()
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
        let firsts: Vec<usize> = (0..pairs).step_by(piece).collect();
        let images: Vec<usize> = firsts.iter().map(|first| 2 * piece.min(pairs - first)).collect();
        let mut inputs = Vec::new();
        for (&first, &images) in firsts.iter().zip(&images) {
            let x = self.activation(images, network.input.len());
            let place = (2, first, images);
            let list = (fixed.train_index, fixed.train_matrices);
            steps.add("input", self.gather(fixed, windows, network.input, place, list, x));
            inputs.push(x);
        }
        let kept = self.forward(&mut steps, fixed, &images, inputs, Statistics::Batch)?;
        let compared: Vec<_> = firsts
            .iter()
            .zip(&images)
            .zip(kept.embedding())
            .map(|((&first, &images), &embedding)| {
                (distance(network, images / 2, features, first), embedding)
            })
            .collect();
        let forward = compared.iter().map(|(distance, embedding)| distance.forward(*embedding, distances));
        steps.add("distance", forward.collect());
        let ddistances = self.compare_and_lose(&mut steps, network, fixed, distances);
        let mut dembeddings = Vec::new();
        for (distance, embedding) in compared {
            let dembedding = self.activation(2 * distance.pairs as usize, features);
            steps.add("distance", vec![distance.backward(embedding, distances, ddistances, dembedding)]);
            dembeddings.push(dembedding);
        }
        self.backward(&mut steps, fixed, &images, &kept, dembeddings)?;
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
        let firsts: Vec<usize> = (0..batch).step_by(piece).collect();
        let images: Vec<usize> = firsts.iter().map(|first| piece.min(batch - first)).collect();
        let mut inputs = Vec::new();
        for (&first, &images) in firsts.iter().zip(&images) {
            let x = self.activation(images, network.input.len());
            let list = (fixed.train_index, fixed.train_matrices);
            steps.add("input", self.gather(fixed, windows, network.input, (1, first, images), list, x));
            inputs.push(x);
        }
        let kept = self.forward(&mut steps, fixed, &images, inputs, Statistics::Batch)?;
        let mut dlogits = Vec::new();
        for ((&first, &images), &logits) in firsts.iter().zip(&images).zip(kept.embedding()) {
            let to = self.activation(images, classes);
            let loss = SoftmaxCrossEntropy {
                images: images as u32,
                classes: classes as u32,
                first: first as u32,
                accumulate: first > 0,
            };
            steps.add(
                "loss",
                vec![
                    loss.forward(logits, fixed.train_labels, fixed.history),
                    loss.backward(logits, fixed.train_labels, to),
                ],
            );
            dlogits.push(to);
        }
        self.backward(&mut steps, fixed, &images, &kept, dlogits)?;
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
        steps.add(
            "input",
            self.gather(fixed, windows, network.input, (1, 0, images), (fixed.embed_index, None), x),
        );
        let kept = self.forward(&mut steps, fixed, &[images], vec![x], Statistics::Running)?;
        let rows = Rows { rows: images as u32, features: features as u32, branches: 1 };
        steps.add("embedding", vec![rows.store(kept.embedding()[0], fixed.embeddings)]);
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
            let views = self.head_norm_views(fixed, self.head_running(fixed));
            let similarities = self.temporary(Layout::Plain, 1, pairs);
            let [weight, bias] = ["head.fc.weight", "head.fc.bias"].map(|n| self.named(n, fixed.parameters));
            steps.add("head.norm", vec![norm(pairs).forward(distances, &views, normed)]);
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
    BatchNorm::whole(pairs as u32, 1, 1, NORM_EPS, NORM_MOMENTUM)
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
