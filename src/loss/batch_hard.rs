//! Batch-hard triplets (Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017,
//! equation 5): for each image the farthest of its class and the nearest of another one.
//!
//! The mean of `max(d_ap - d_an + margin, 0)` over the images that have both. Which ones those are has no gradient; of
//! equal distances the first counts, on every device.

use super::nt_xent::{finish, masked};
use super::{BatchLayout, Definition, Inputs, Loss, Setting};
use crate::graph::{Graph, Op};
use crate::ops::elementwise::Function;
use crate::ops::mask::MaskKind;
use crate::ops::pairwise::PairwiseKind;
use crate::ops::reduction::Reduction;

pub struct BatchHard;

/// Smallest squared distance with a gradient.
const FLOOR: f32 = 1e-12;

impl Definition for BatchHard {
    fn name(&self) -> &'static str {
        "batch-hard"
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting { name: "margin", default: 1.0, range: (1e-6, 1e6) }]
    }

    fn batch(&self) -> BatchLayout {
        BatchLayout::Labelled
    }

    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs) {
        let op = Op::Pairwise { kind: PairwiseKind::Euclidean, floor: FLOOR };
        let distances = graph.apply("distances", op, &[inputs.embedding, inputs.embedding]);
        let nearness = graph.times(-1.0, distances);
        // Both as maxima: of the distances of one class, and of the nearness of others.
        let of_class = masked(graph, distances, MaskKind::Positives);
        let farthest = graph.reduce(Reduction::Max, 1, of_class);
        let of_others = masked(graph, nearness, MaskKind::Negatives);
        let nearest = graph.reduce(Reduction::Max, 1, of_others);
        let difference = graph.add(farthest, nearest);
        let difference = graph.plus(loss.get("margin"), difference);
        let above = graph.unary(Function::AtLeast, 0.0, difference);
        // Rows that lack either mask are left out of the mean.
        let [positives, negatives] = [MaskKind::Positives, MaskKind::Negatives].map(|kind| {
            let mask = graph.mask(kind);
            graph.reduce(Reduction::Max, 1, mask)
        });
        let anchors = graph.multiply(positives, negatives);
        let kept = graph.multiply(anchors, above);
        let sum = graph.reduce_all(Reduction::Sum, kept);
        let count = graph.reduce_all(Reduction::Sum, anchors);
        let count = graph.unary(Function::AtLeast, 1.0, count);
        let mean = graph.divide(sum, count);
        finish(graph, mean, nearness);
    }
}
