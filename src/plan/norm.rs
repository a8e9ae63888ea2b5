//! Batch norms: all micro-batches at once, since a norm sees the whole batch.

use super::Mode;
use super::layers::PARTS;
use super::lower::Lowering;
use crate::graph::{Node, Op, of_image};
use crate::ops::batch_norm::{BatchNorm, MOMENTS, NormViews};
use crate::ops::reduce::Reduce;
use crate::ops::{INTERLEAVE, ITERATION_BUDGET, Layout, Step, View, WORKGROUP};

impl Lowering<'_, '_> {
    pub(super) fn norm_forward(&mut self, number: usize) -> Vec<Step> {
        let node = &self.graph.nodes[number];
        let norms = self.norms(node);
        let channels = norms[0].channels as usize;
        let x = self.rows(node.inputs[0]);
        let y = self.output_rows(node.output());
        let mut launches = Vec::new();
        let statistics = match self.mode {
            Mode::Inference => self.running(node),
            Mode::Training => {
                let parts = norms[0].parts_in_all as usize;
                let parts = self.builder.temporary(Layout::Plain, parts, MOMENTS * channels);
                let batch = [(); 2].map(|()| self.builder.temporary(Layout::Plain, 1, channels));
                launches.extend(norms.iter().zip(&x).map(|(norm, &x)| norm.moments(x, parts)));
                launches.push(norms[0].merge(parts, batch, self.running(node)));
                batch
            }
        };
        self.statistics.insert(number, statistics);
        let views = self.norm_views(node, statistics);
        let pieces = norms.iter().zip(x).zip(y);
        launches.extend(pieces.map(|((norm, x), y)| norm.forward(x, &views, y)));
        launches
    }

    pub(super) fn running(&mut self, node: &Node) -> [View; 2] {
        [3, 4].map(|input| self.whole(node.inputs[input]))
    }

    pub(super) fn norm_views(&mut self, node: &Node, [mean, variance]: [View; 2]) -> NormViews {
        let [weight, bias] = self.weights(node);
        NormViews { weight, bias, mean, variance }
    }

    /// A norm for each micro-batch.
    fn norms(&self, node: &Node) -> Vec<BatchNorm> {
        let Op::BatchNorm { eps, momentum } = node.op else { unreachable!("asked of norms only") };
        let input = of_image(self.graph.shape(node.inputs[0]));
        let (channels, spatial) = (input.channels, input.height * input.width);
        let rows = self.rows_of(node.inputs[0]);
        let batch: usize = rows.iter().sum();
        let images_per_part = match self.builder.options.layout {
            Layout::Interleaved => INTERLEAVE,
            Layout::Plain => {
                let most = (self.builder.options.max_binding / (4 * MOMENTS * channels)).clamp(1, PARTS);
                let longest = ITERATION_BUDGET as usize / 4 * WORKGROUP / spatial;
                batch.div_ceil(most).min(longest.max(1))
            }
        };
        let whole = BatchNorm::whole(batch as u32, channels as u32, spatial as u32, eps, momentum);
        let mut first_part = 0;
        let pieces = rows.iter().map(|&images| {
            let images_per_part = images_per_part as u32;
            let norm = BatchNorm { images: images as u32, images_per_part, first_part, ..whole };
            first_part += norm.own_parts() as u32;
            norm
        });
        let pieces: Vec<BatchNorm> = pieces.collect();
        pieces.into_iter().map(|norm| BatchNorm { parts_in_all: first_part, ..norm }).collect()
    }

    /// The gradients of the parameters come first: those of the inputs follow from them.
    pub(super) fn norm_backward(&mut self, of: usize, gradient: &Node) -> Vec<Step> {
        let node = &self.graph.nodes[of];
        let norms = self.norms(node);
        let (channels, parts) = (norms[0].channels, norms[0].parts_in_all);
        let partial =
            [(); 2].map(|()| self.builder.temporary(Layout::Plain, parts as usize, channels as usize));
        let (x, dy) = (self.rows(node.inputs[0]), self.rows(gradient.inputs[0]));
        let statistics = self.statistics[&of];
        let views = self.norm_views(node, statistics);
        let gradients = self.weight_gradients(gradient);
        let row_len = self.row_len(node.inputs[0]);
        let dx = gradient.outputs[0].map(|value| self.target_rows(value, row_len));
        let pieces = || norms.iter().zip(&x).zip(&dy).enumerate();
        let mut launches: Vec<Step> =
            pieces().map(|(_, ((norm, &x), &dy))| norm.backward_weight(x, dy, &views, partial)).collect();
        for (&from, &(to, accumulate)) in partial.iter().zip(&gradients) {
            launches.push(Reduce { count: channels, parts, accumulate }.forward(from, to));
        }
        let sums = [gradients[0].0, gradients[1].0];
        if let Some((views_of_dx, accumulate)) = dx {
            for (piece, ((norm, &x), &dy)) in pieces() {
                let norm = BatchNorm { accumulate, ..*norm };
                launches.push(norm.backward_input(x, dy, &views, sums, views_of_dx[piece]));
            }
        }
        launches
    }
}
