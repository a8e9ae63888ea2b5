//! What compares the embeddings of pairs, and losses with kernels of their own: micro-batch by micro-batch up to a
//! number for each pair, on all of those together from there.

use super::SQUARED_FLOOR;
use super::lower::Lowering;
use crate::graph::{Node, Op};
use crate::ops::batch_norm::{BatchNorm, MOMENTS};
use crate::ops::binary_cross_entropy::BinaryCrossEntropy;
use crate::ops::contrastive::Contrastive;
use crate::ops::distance::{Distance, DistanceKind};
use crate::ops::episode::Episode;
use crate::ops::head::Head;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::weighted_sum::WeightedSum;
use crate::ops::{Layout, Step, View};

impl Lowering<'_, '_> {
    pub(super) fn pair_forward(&mut self, node: &Node) -> Vec<Step> {
        let x = self.rows(node.inputs[0]);
        let features = self.row_len(node.inputs[0]);
        let pieces: Vec<_> = self.firsts().into_iter().zip(self.entries.clone()).zip(x).collect();
        match node.op {
            Op::Distance(kind) => {
                let y = self.output_whole(node.output());
                let launch = |((first, pairs), x)| distance(kind, first, pairs, features).forward(x, y);
                pieces.into_iter().map(launch).collect()
            }
            Op::WeightedSum => {
                let y = self.output_whole(node.output());
                let [weight, bias] = self.weights(node);
                let launch = |((first, pairs), x)| {
                    weighted_sum(first, pairs, features, false).forward(x, weight, bias, y)
                };
                pieces.into_iter().map(launch).collect()
            }
            Op::Episode { way } => {
                let y = self.output_rows(node.output());
                let launch = |(((_, pairs), x), y)| episode(pairs, features, way).forward(x, y);
                pieces.into_iter().zip(y).map(launch).collect()
            }
            _ => {
                let (label, history) = (self.fixed.train_labels, self.fixed.history);
                let launch = |((first, rows), x)| softmax(first, rows, features).forward(x, label, history);
                pieces.into_iter().map(launch).collect()
            }
        }
    }

    pub(super) fn pair_backward(&mut self, node: &Node, gradient: &Node) -> Vec<Step> {
        let x = self.rows(node.inputs[0]);
        let features = self.row_len(node.inputs[0]);
        let pieces: Vec<_> = self.firsts().into_iter().zip(self.entries.clone()).zip(x).collect();
        let label = self.fixed.train_labels;
        let targets = gradient.outputs[0].map(|value| match node.op {
            Op::Distance(_) => self.target_rows(value, features),
            _ => (self.target_rows_alone(value, features), false),
        });
        let (to, accumulate) = targets.unwrap_or_default();
        match node.op {
            Op::Distance(kind) => {
                let (y, dy) = (self.whole(node.output()), self.whole(gradient.inputs[0]));
                let launch = |(((first, pairs), x), &to)| {
                    let distance = Distance { accumulate, ..distance(kind, first, pairs, features) };
                    distance.backward(x, y, dy, to)
                };
                pieces.into_iter().zip(&to).map(launch).collect()
            }
            Op::WeightedSum => {
                let dy = self.whole(gradient.inputs[0]);
                let [weight, _] = self.weights(node);
                let dweights = self.weight_gradients(gradient);
                let mut launches = Vec::new();
                for (piece, ((first, pairs), x)) in pieces.into_iter().enumerate() {
                    let sum = |adds| weighted_sum(first, pairs, features, adds || piece > 0);
                    launches.push(sum(dweights[0].1).backward_weight(x, dy, dweights[0].0));
                    launches.push(sum(dweights[1].1).backward_bias(dy, dweights[1].0));
                    launches.extend(to.get(piece).map(|&to| sum(false).backward_input(x, weight, dy, to)));
                }
                launches
            }
            Op::Episode { way } => {
                let dy = self.rows(gradient.inputs[0]);
                let launch = |((((_, pairs), x), dy), &to)| episode(pairs, features, way).backward(x, dy, to);
                pieces.into_iter().zip(dy).zip(&to).map(launch).collect()
            }
            _ => {
                let launch =
                    |(((first, rows), x), &to)| softmax(first, rows, features).backward(x, label, to);
                pieces.into_iter().zip(&to).map(launch).collect()
            }
        }
    }

    /// A norm over a number for each pair, the head's.
    pub(super) fn scalar_norm_forward(&mut self, node: &Node) -> Vec<Step> {
        let norm = self.scalar_norm(node);
        let x = self.whole(node.inputs[0]);
        let y = self.output_whole(node.output());
        let running = self.running(node);
        if self.mode == super::Mode::Inference {
            return vec![norm.forward(x, &self.norm_views(node, running), y)];
        }
        let parts = self.builder.temporary(Layout::Plain, 1, MOMENTS);
        let statistics = [(); 2].map(|()| self.builder.temporary(Layout::Plain, 1, 1));
        let number = self.graph.nodes.iter().position(|other| std::ptr::eq(other, node)).unwrap_or(0);
        self.statistics.insert(number, statistics);
        let views = self.norm_views(node, statistics);
        vec![norm.moments(x, parts), norm.merge(parts, statistics, running), norm.forward(x, &views, y)]
    }

    /// The batch is one part, so its sums are the gradients.
    pub(super) fn scalar_norm_backward(&mut self, of: usize, node: &Node, gradient: &Node) -> Vec<Step> {
        let norm = self.scalar_norm(node);
        let (x, dy) = (self.whole(node.inputs[0]), self.whole(gradient.inputs[0]));
        let statistics = self.statistics[&of];
        let views = self.norm_views(node, statistics);
        let dweights = self.weight_gradients(gradient);
        let sums = [dweights[0].0, dweights[1].0];
        let mut launches = vec![norm.backward_weight(x, dy, &views, sums)];
        if let Some(value) = gradient.outputs[0] {
            let (dx, accumulate) = self.target_whole(value);
            launches.push(BatchNorm { accumulate, ..norm }.backward_input(x, dy, &views, sums, dx));
        }
        launches
    }

    fn scalar_norm(&self, node: &Node) -> BatchNorm {
        let Op::BatchNorm { eps, momentum } = node.op else { unreachable!("asked of norms only") };
        BatchNorm::whole(self.len(node.inputs[0]) as u32, 1, 1, eps, momentum)
    }

    pub(super) fn head_forward(&mut self, node: &Node) -> Vec<Step> {
        let x = self.whole(node.inputs[0]);
        let [weight, bias] = self.weights(node);
        let y = self.output_whole(node.output());
        vec![Head { pairs: x.len as u32 }.forward(x, weight, bias, y)]
    }

    pub(super) fn head_backward(&mut self, node: &Node, gradient: &Node) -> Vec<Step> {
        let (x, y, dy) =
            (self.whole(node.inputs[0]), self.whole(node.output()), self.whole(gradient.inputs[0]));
        let [weight, _] = self.weights(node);
        let dweights = self.weight_gradients(gradient);
        let head = Head { pairs: x.len as u32 };
        let mut launches = vec![head.backward_weight(x, y, dy, dweights[0].0, dweights[1].0)];
        if let Some(value) = gradient.outputs[0] {
            let dx = self.target_whole_alone(value);
            launches.push(head.backward_input(y, dy, weight, dx));
        }
        launches
    }

    /// A loss of a number for each pair, into the step's metrics.
    pub(super) fn loss_forward(&mut self, node: &Node) -> Vec<Step> {
        let x = self.whole(node.inputs[0]);
        let (same, history) = (self.fixed.train_labels, self.fixed.history);
        vec![match node.op {
            Op::Contrastive { convention, margin } => {
                Contrastive { pairs: x.len as u32, margin, convention }.forward(x, same, history)
            }
            op => cross_entropy(op, x).forward(x, same, history),
        }]
    }

    pub(super) fn loss_backward(&mut self, node: &Node, gradient: &Node) -> Vec<Step> {
        let x = self.whole(node.inputs[0]);
        let same = self.fixed.train_labels;
        let Some(value) = gradient.outputs[0] else { return Vec::new() };
        let dx = self.target_whole_alone(value);
        vec![match node.op {
            Op::Contrastive { convention, margin } => {
                Contrastive { pairs: x.len as u32, margin, convention }.backward(x, same, dx)
            }
            op => cross_entropy(op, x).backward(x, same, dx),
        }]
    }

    pub(super) fn probability(&mut self, node: &Node) -> Vec<Step> {
        let x = self.whole(node.inputs[0]);
        let y = self.output_whole(node.output());
        vec![cross_entropy(node.op, x).similarity(x, y)]
    }
}

/// The cross-entropy of pairs, or the probability that it rests on.
fn cross_entropy(op: Op, x: View) -> BinaryCrossEntropy {
    let (Op::Probability { link, scale, floor } | Op::BinaryCrossEntropy { link, scale, floor }) = op else {
        unreachable!("asked of the cross-entropy of pairs only")
    };
    BinaryCrossEntropy { pairs: x.len as u32, link, scale, floor }
}

fn distance(kind: DistanceKind, first: usize, pairs: usize, features: usize) -> Distance {
    let (pairs, features, first) = (pairs as u32, features as u32, first as u32);
    Distance { pairs, features, first, kind, squared_floor: SQUARED_FLOOR, accumulate: false }
}

fn weighted_sum(first: usize, pairs: usize, features: usize, accumulate: bool) -> WeightedSum {
    WeightedSum { pairs: pairs as u32, features: features as u32, first: first as u32, accumulate }
}

fn episode(pairs: usize, features: usize, way: usize) -> Episode {
    Episode { pairs: pairs as u32, features: features as u32, way: way as u32 }
}

/// A later micro-batch adds its loss to that of the ones before it.
fn softmax(first: usize, rows: usize, classes: usize) -> SoftmaxCrossEntropy {
    let (images, classes) = (rows as u32, classes as u32);
    SoftmaxCrossEntropy { images, classes, first: first as u32, accumulate: first > 0 }
}
