//! NT-Xent over a labelled batch (Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of
//! Visual Representations", 2020, equation 1; with several positives as pytorch-metric-learning's `NTXentLoss`).
//!
//! With cosines `s` and temperature `t`, the mean over all ordered pairs (a, p) of one class of
//! `-s_ap / t + ln(exp(s_ap / t) + sum_n exp(s_an / t))`, `n` of other classes: the other positives are not in the sum.

use super::{BatchLayout, Comparison, Definition, Inputs, Loss, PairDistance, Setting};
use crate::graph::{Graph, ValueId};
use crate::ops::elementwise::Function;
use crate::ops::mask::MaskKind;
use crate::ops::reduction::Reduction;

pub struct NtXent;

/// What stands in for minus infinity where a mask leaves a logit out.
const NEVER: f32 = 1e30;

impl Definition for NtXent {
    fn name(&self) -> &'static str {
        "nt-xent"
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting { name: "temperature", default: 0.1, range: (1e-3, 1e3) }]
    }

    fn batch(&self) -> BatchLayout {
        BatchLayout::Labelled
    }

    fn comparison(&self, _: PairDistance) -> Comparison {
        Comparison::Distance { kind: PairDistance::COSINE, head: false }
    }

    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs) {
        let unit = graph.normalize(inputs.embedding);
        let similarities = graph.similarities(unit, unit);
        let logits = graph.times(1.0 / loss.get("temperature"), similarities);
        let positives = graph.mask(MaskKind::Positives);
        // ln sum over the negatives, one number a row, beside each positive's own logit.
        let negatives = masked(graph, logits, MaskKind::Negatives);
        let others = graph.reduce(Reduction::LogSumExp, 1, negatives);
        let above = graph.subtract(others, logits);
        let of_pair = graph.unary(Function::Softplus, 0.0, above);
        let of_positives = graph.multiply(positives, of_pair);
        let sum = graph.reduce_all(Reduction::Sum, of_positives);
        let count = graph.reduce_all(Reduction::Sum, positives);
        let count = graph.unary(Function::AtLeast, 1.0, count);
        let mean = graph.divide(sum, count);
        finish(graph, mean, logits);
    }
}

/// Logits where a mask is 1, and almost minus infinity elsewhere.
pub(super) fn masked(graph: &mut Graph, logits: ValueId, kind: MaskKind) -> ValueId {
    let mask = graph.mask(kind);
    let kept = graph.multiply(logits, mask);
    let left_out = graph.plus(-1.0, mask);
    let left_out = graph.times(NEVER, left_out);
    graph.add(kept, left_out)
}

/// Ends a graph with a loss and the number of images whose nearest other image, by these similarities
/// `[images, images]`, is of their class: the batch's Recall@1, ties wrong.
pub(super) fn finish(graph: &mut Graph, loss: ValueId, similarities: ValueId) {
    let [positives, negatives] = [MaskKind::Positives, MaskKind::Negatives].map(|kind| {
        let masked = masked(graph, similarities, kind);
        let nearest = graph.reduce(Reduction::Max, 1, masked);
        graph.squeeze(1, nearest)
    });
    let right = graph.binary(Function::Greater, positives, negatives);
    let correct = graph.reduce_all(Reduction::Sum, right);
    graph.apply("record", crate::graph::Op::Record, &[loss, correct]);
}
