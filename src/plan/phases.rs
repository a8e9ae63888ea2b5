//! The phases of a plan: training and embedding; how embeddings are compared is next door.

use super::build::{Builder, Fixed, Steps};
use super::comparison::Piece;
use super::subnet::Statistics;
use super::{OptimizerOptions, PlanError};
use crate::data::Shape;
use crate::model::Network;
use crate::ops::adam::{Adam, AdamViews};
use crate::ops::rows::Rows;
use crate::ops::sgd::{Sgd, SgdViews};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::standardize::Standardize;
use crate::ops::warp::Warp;
use crate::ops::{BufferId, Step, TENSOR_ALIGN as ALIGN, View};

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
        let piece = |((&first, &images), &embedding)| Piece { first, pairs: images / 2, embedding };
        let pieces: Vec<Piece> = firsts.iter().zip(&images).zip(kept.embedding()).map(piece).collect();
        let dembeddings = self.learn(&mut steps, network, fixed, &pieces, features);
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
}
