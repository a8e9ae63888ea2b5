//! The contrastive loss of a distance (Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant
//! Mapping", 2006, equation 4 without its halves): the mean of `same d^2 + (1 - same) max(margin - d, 0)^2`.

use super::contrastive::MARGIN;
use super::{Comparison, Definition, Inputs, Loss, Setting, Verdict};
use crate::graph::{Graph, Op};
use crate::ops::contrastive::Convention;

pub struct Hadsell;

impl Definition for Hadsell {
    fn name(&self) -> &'static str {
        "hadsell"
    }

    fn settings(&self) -> &'static [Setting] {
        &[MARGIN]
    }

    fn check(&self, _: &Loss, comparison: Option<Comparison>, _: usize) -> Result<(), String> {
        match comparison {
            Some(Comparison::Distance { .. }) => Ok(()),
            _ => Err("the contrastive loss wants a distance, and this model gives a probability".into()),
        }
    }

    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs) {
        let op = Op::Contrastive { convention: Convention::Distance, margin: loss.get("margin") };
        graph.apply("loss", op, &inputs.distance.into_iter().collect::<Vec<_>>());
    }

    /// It passes one half at half the margin, where the loss tells pairs apart.
    fn similarity(&self, loss: &Loss, distance: f32) -> f32 {
        (-2.0 * distance / loss.get("margin")).exp2()
    }

    fn of_pair(&self, loss: &Loss, _: Option<Comparison>, verdict: Verdict, same: bool) -> f64 {
        Convention::Distance.loss(verdict.distance, f64::from(loss.get("margin")), same)
    }
}
