//! Episodes: `way` positive pairs of different classes in a row, and the cross-entropy of which second image belongs to
//! a first one, with minus the squared distances as logits (Snell, Swersky and Zemel, "Prototypical Networks for
//! Few-shot Learning", 2017, with one shot and one query to a class).

use super::{Comparison, Definition, Inputs, Loss, PairDistance, Setting};
use crate::graph::{Graph, Op};

pub struct Episodes;

impl Episodes {
    pub fn way(loss: &Loss) -> usize {
        loss.get("way") as usize
    }
}

impl Definition for Episodes {
    fn name(&self) -> &'static str {
        "episodes"
    }

    fn settings(&self) -> &'static [Setting] {
        &[Setting { name: "way", default: 20.0, range: (2.0, 65536.0) }]
    }

    fn check(&self, loss: &Loss, comparison: Option<Comparison>, pairs: usize) -> Result<(), String> {
        let way = Episodes::way(loss);
        if comparison != Some(Comparison::Distance { kind: PairDistance::EUCLIDEAN, head: false }) {
            return Err("episodes compare by the Euclidean distance, without a head".into());
        }
        if !pairs.is_multiple_of(way) {
            let fitting = (pairs / way).max(1) * way;
            return Err(format!(
                "{pairs} pairs make no whole number of episodes of {way}; use --batch-size {fitting}"
            ));
        }
        Ok(())
    }

    fn unit(&self, loss: &Loss) -> usize {
        Episodes::way(loss)
    }

    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs) {
        let logits = graph.apply("distance", Op::Episode { way: Episodes::way(loss) }, &[inputs.embedding]);
        graph.apply("loss", Op::SoftmaxCrossEntropy, &[logits]);
    }
}
