//! `1 - a b / (|a| |b|)`, from 0 to 2; an embedding of length 0 is at right angles to all others.

use crate::graph::{Graph, ValueId};
use crate::ops::reduction::Reduction;

pub fn build(graph: &mut Graph, embedding: ValueId) -> ValueId {
    let unit = graph.normalize(embedding);
    let (a, b) = (graph.branch(0, unit), graph.branch(1, unit));
    let products = graph.multiply(a, b);
    let cosine = graph.reduce(Reduction::Sum, 1, products);
    let cosine = graph.squeeze(1, cosine);
    let minus = graph.times(-1.0, cosine);
    graph.plus(1.0, minus)
}
