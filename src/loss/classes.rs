//! The cross-entropy of classes, of classifiers: their embeddings are logits.

use super::{BatchLayout, Definition, Inputs, Loss};
use crate::graph::{Graph, Op};

pub struct Classes;

impl Definition for Classes {
    fn name(&self) -> &'static str {
        "classes"
    }

    fn batch(&self) -> BatchLayout {
        BatchLayout::Labelled
    }

    fn build(&self, _: &Loss, graph: &mut Graph, inputs: Inputs) {
        graph.apply("loss", Op::SoftmaxCrossEntropy, &[inputs.embedding]);
    }
}
