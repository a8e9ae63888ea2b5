//! One epoch of training steps.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::data::random::{Random, Stream};
use crate::plan::{Phase, Slot};
use crate::session::{Session, SessionError, StepResult, pace};

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub steps: u64,
    pub loss: f64,
    #[serde(rename = "hits")]
    pub correct: u64,
    pub pairs: u64,
}

impl Totals {
    pub fn add(&mut self, result: &StepResult, batch_size: usize) {
        self.steps += 1;
        self.loss += f64::from(result.loss);
        self.correct += u64::from(result.correct);
        self.pairs += batch_size as u64;
    }

    /// Mean loss of a step.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.steps.max(1) as f64
    }

    /// Pairs told apart rightly, in percent.
    pub fn accuracy(&self) -> f64 {
        100.0 * self.correct as f64 / self.pairs.max(1) as f64
    }
}

/// Slots of an epoch's steps, each a whole batch; `before` training steps had run when the epoch began.
/// `rate` is the learning rate of a training step, counted from 1 over all epochs; `seed` is the run's.
pub fn slots(
    session: &dyn Session,
    steps: Range<usize>,
    before: u64,
    seed: u64,
    rate: impl Fn(u64) -> f64,
) -> Vec<Slot> {
    let plan = session.plan();
    let batch = plan.options.batch_size;
    steps
        .map(|step| {
            let t = before + step as u64 + 1;
            let mut random = Random::new(seed, Stream::Dropout, t, 0);
            Slot {
                first: (step * batch) as u32,
                count: batch as u32,
                seed_low: random.word(),
                seed_high: random.word(),
                ..plan.slot(t, rate(t))
            }
        })
        .collect()
}

/// Runs slots and adds their results to `totals`. `on_step` sees each result, with the sums so far, and answers
/// whether to go on. `meanwhile` is called once all slots are queued.
///
/// # Errors
/// What the session reports.
pub async fn run(
    session: &mut dyn Session,
    slots: &[Slot],
    totals: &mut Totals,
    on_step: &mut dyn FnMut(&StepResult, &Totals) -> bool,
    meanwhile: &mut dyn FnMut(),
) -> Result<(), SessionError> {
    let batch_size = session.plan().options.batch_size;
    let mut after = |results: &[StepResult], _: usize| {
        results.iter().fold(true, |go_on, result| {
            totals.add(result, batch_size);
            on_step(result, totals) && go_on
        })
    };
    pace::run(session, Phase::Train, slots, &mut after, meanwhile).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::train::checkpoint;

    /// A run that goes on in the middle of an epoch draws the masks that it would have drawn.
    #[test]
    fn seeds_are_those_of_the_training_step_alone() {
        let cpu = Cpu::new(checkpoint::tests::plan(), 1).unwrap();
        let seeds = |steps, before, seed| -> Vec<[u32; 2]> {
            let slots = slots(&cpu, steps, before, seed, |_| 1e-3);
            slots.iter().map(|slot| [slot.seed_low, slot.seed_high]).collect()
        };
        let whole = seeds(0..20, 100, 7);
        assert_eq!([seeds(0..6, 100, 7), seeds(6..20, 100, 7)].concat(), whole);
        assert_eq!(seeds(10..20, 90, 7), whole[..10]);
        let mut others = [whole.clone(), seeds(0..20, 100, 8), seeds(0..20, 200, 7)].concat();
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 60, "each step and each seed has its own");
    }
}
