//! `sqrt(max(sum (a - b)^2, 1e-7))` (equation 1 of the SN-LeNet-5 paper), in one kernel.

use crate::graph::{Graph, Op, ValueId};
use crate::ops::distance::DistanceKind;

pub fn build(graph: &mut Graph, embedding: ValueId) -> ValueId {
    graph.apply("distance", Op::Distance(DistanceKind::Euclidean), &[embedding])
}
