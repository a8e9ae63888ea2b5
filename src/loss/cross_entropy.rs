//! The cross-entropy of whether a pair is the same, with the probability that its comparison gives.

use super::{Comparison, Definition, Inputs, Loss, PairDistance, Verdict};
use crate::graph::{Graph, Op};
use crate::ops::binary_cross_entropy::BinaryCrossEntropy;

pub struct CrossEntropy;

impl Definition for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn comparison(&self, _: PairDistance) -> Comparison {
        Comparison::WeightedSum
    }

    fn check(&self, _: &Loss, comparison: Option<Comparison>, _: usize) -> Result<(), String> {
        match comparison {
            Some(Comparison::WeightedSum | Comparison::Exponential { .. }) => Ok(()),
            _ => {
                Err("the cross-entropy of pairs wants a probability, and this model gives a distance".into())
            }
        }
    }

    fn build(&self, _: &Loss, graph: &mut Graph, inputs: Inputs) {
        // The probability that stands in the graph says how a distance becomes one.
        let link = graph.nodes.iter().rev().find_map(|node| match node.op {
            Op::Probability { link, scale, floor } => Some(Op::BinaryCrossEntropy { link, scale, floor }),
            _ => None,
        });
        match (link, inputs.distance) {
            (Some(op), Some(distance)) => {
                graph.apply("loss", op, &[distance]);
            }
            _ => graph.refuse("loss", "a distance", "the cross-entropy of pairs wants a probability".into()),
        }
    }

    fn of_pair(&self, _: &Loss, comparison: Option<Comparison>, verdict: Verdict, same: bool) -> f64 {
        let (link, scale, floor) = comparison.unwrap_or(Comparison::WeightedSum).link();
        BinaryCrossEntropy { pairs: 1, link, scale, floor }.loss(verdict.distance, same)
    }
}
