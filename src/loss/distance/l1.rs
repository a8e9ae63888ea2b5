//! `sum |a - b|`, in one kernel.

use crate::graph::{Graph, Op, ValueId};
use crate::ops::distance::DistanceKind;

pub fn build(graph: &mut Graph, embedding: ValueId) -> ValueId {
    graph.apply("distance", Op::Distance(DistanceKind::L1), &[embedding])
}
