//! Norms within the subnet: all pieces of a batch at once, since a norm sees the whole batch.

use super::backward::Target;
use super::build::{Builder, Fixed};
use super::subnet::{Kept, PARTS, Statistics};
use crate::model::LayerKind;
use crate::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use crate::ops::reduce::Reduce;
use crate::ops::{INTERLEAVE, ITERATION_BUDGET, Layout, Step, View, WORKGROUP};

impl Builder<'_> {
    pub(super) fn norm_forward(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &mut Kept,
        y: &[View],
        statistics: Statistics,
    ) -> Vec<Step> {
        let norms = self.norms(number, images);
        let channels = norms[0].channels as usize;
        let running = [2, 3].map(|part| self.parameter(self.stages[number].parameters[part], fixed.state));
        let x = kept.values[self.stages[number].inputs[0]].clone();
        let mut launches = Vec::new();
        let [mean, variance] = match statistics {
            Statistics::Running => running,
            Statistics::Batch => {
                let parts = self.temporary(Layout::Plain, norms[0].parts_in_all as usize, MOMENTS * channels);
                let batch = [(); 2].map(|()| self.temporary(Layout::Plain, 1, channels));
                launches.extend(norms.iter().zip(&x).map(|(norm, &x)| norm.moments(x, parts)));
                launches.push(norms[0].merge(parts, batch, running));
                batch
            }
        };
        kept.statistics[number] = Some([mean, variance]);
        let views = self.norm_views(fixed, number, [mean, variance]);
        let pieces = norms.iter().zip(x).zip(y);
        launches.extend(pieces.map(|((norm, x), &y)| norm.forward(x, &views, y)));
        launches
    }

    fn norm_views(&self, fixed: &Fixed, number: usize, [mean, variance]: [View; 2]) -> NormViews {
        let [weight, bias] = self.weights(&self.stages[number], fixed.parameters);
        NormViews { weight, bias, mean, variance }
    }

    /// A norm for each piece of the batch.
    fn norms(&self, number: usize, images: &[usize]) -> Vec<BatchNorm> {
        let stage = &self.stages[number];
        let LayerKind::BatchNorm { eps, momentum } = stage.kind else { unreachable!("asked of norms only") };
        let (channels, spatial) = (stage.input.channels, stage.input.height * stage.input.width);
        let batch: usize = images.iter().sum();
        let images_per_part = match self.options.layout {
            Layout::Interleaved => INTERLEAVE,
            Layout::Plain => {
                let most = (self.options.max_binding / (4 * MOMENTS * channels)).clamp(1, PARTS);
                let longest = ITERATION_BUDGET as usize / 4 * WORKGROUP / spatial;
                batch.div_ceil(most).min(longest.max(1))
            }
        };
        let whole = BatchNorm::whole(batch as u32, channels as u32, spatial as u32, eps, momentum);
        let mut first_part = 0;
        let pieces = images.iter().map(|&images| {
            let norm = BatchNorm {
                images: images as u32,
                images_per_part: images_per_part as u32,
                first_part,
                ..whole
            };
            first_part += norm.own_parts() as u32;
            norm
        });
        let pieces: Vec<BatchNorm> = pieces.collect();
        pieces.into_iter().map(|norm| BatchNorm { parts_in_all: first_part, ..norm }).collect()
    }

    /// The gradients of the parameters come first: those of the inputs follow from them.
    pub(super) fn norm_backward(
        &mut self,
        fixed: &Fixed,
        images: &[usize],
        number: usize,
        kept: &Kept,
        dy: &[View],
        dx: Option<&Target>,
    ) -> Vec<Step> {
        let norms = self.norms(number, images);
        let (channels, parts) = (norms[0].channels, norms[0].parts_in_all);
        let partial = [(); 2].map(|()| self.temporary(Layout::Plain, parts as usize, channels as usize));
        let stage = &self.stages[number];
        let x = &kept.values[stage.inputs[0]];
        let Some(statistics) = kept.statistics[number] else { unreachable!("it ran forward") };
        let views = self.norm_views(fixed, number, statistics);
        let gradients = self.weights(stage, fixed.gradients);
        let pieces = || norms.iter().zip(x).zip(dy).enumerate();
        let mut launches: Vec<Step> =
            pieces().map(|(_, ((norm, &x), &dy))| norm.backward_weight(x, dy, &views, partial)).collect();
        let reduce = Reduce { count: channels, parts, accumulate: false };
        launches.extend(partial.iter().zip(gradients).map(|(&from, to)| reduce.forward(from, to)));
        for (piece, ((norm, &x), &dy)) in pieces() {
            launches.extend(Target::piece(dx, piece).map(|(dx, accumulate)| {
                BatchNorm { accumulate, ..*norm }.backward_input(x, dy, &views, gradients, dx)
            }));
        }
        launches
    }
}
