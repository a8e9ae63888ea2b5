//! The contrastive loss of a similarity, equation 2 of the SN-LeNet-5 paper: the mean of
//! `(1 - same) s^2 + same max(margin - s, 0)^2`.

use super::{Comparison, Definition, Inputs, Loss, PairDistance, Setting, Verdict};
use crate::graph::{Graph, Op};
use crate::ops::contrastive::Convention;

pub struct Contrastive;

/// Of both contrastive losses.
pub(super) const MARGIN: Setting = Setting { name: "margin", default: 1.0, range: (1e-6, 1e6) };

impl Definition for Contrastive {
    fn name(&self) -> &'static str {
        "contrastive"
    }

    fn settings(&self) -> &'static [Setting] {
        &[MARGIN]
    }

    fn comparison(&self, distance: PairDistance) -> Comparison {
        Comparison::Distance { kind: distance, head: true }
    }

    fn check(&self, _: &Loss, comparison: Option<Comparison>, _: usize) -> Result<(), String> {
        match comparison {
            Some(Comparison::Distance { head: true, .. }) => Ok(()),
            _ => Err("the contrastive loss wants a distance with a head, and this model gives a probability"
                .into()),
        }
    }

    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs) {
        let op = Op::Contrastive { convention: Convention::Similarity, margin: loss.get("margin") };
        graph.apply("loss", op, &inputs.similarity.into_iter().collect::<Vec<_>>());
    }

    fn similarity(&self, loss: &Loss, distance: f32) -> f32 {
        (-2.0 * distance / loss.get("margin")).exp2()
    }

    fn of_pair(&self, loss: &Loss, _: Option<Comparison>, verdict: Verdict, same: bool) -> f64 {
        Convention::Similarity.loss(verdict.similarity, f64::from(loss.get("margin")), same)
    }
}
