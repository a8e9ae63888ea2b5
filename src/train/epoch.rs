//! One epoch of training steps.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::data::random::{Random, Stream};
use crate::executor::{Executor, ExecutorError, StepResult};
use crate::plan::{Phase, Slot};

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub steps: u64,
    pub loss: f64,
    pub hits: u64,
    pub pairs: u64,
}

impl Totals {
    pub fn add(&mut self, result: &StepResult, batch_size: usize) {
        self.steps += 1;
        self.loss += f64::from(result.loss);
        self.hits += u64::from(result.hits);
        self.pairs += batch_size as u64;
    }

    /// Mean loss of a step.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.steps.max(1) as f64
    }

    /// Pairs told apart rightly, in percent.
    pub fn accuracy(&self) -> f64 {
        100.0 * self.hits as f64 / self.pairs.max(1) as f64
    }
}

/// Slots of an epoch's steps, each a whole batch; `before` training steps had run when the epoch began.
/// `rate` is the learning rate of a training step, counted from 1 over all epochs; `seed` is the run's.
pub fn slots(
    executor: &dyn Executor,
    steps: Range<usize>,
    before: u64,
    seed: u64,
    rate: impl Fn(u64) -> f64,
) -> Vec<Slot> {
    let plan = executor.plan();
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

/// Runs slots and adds their results to `totals`. `on_step` sees each result, with the sums so far,
/// and answers whether to go on.
///
/// # Errors
/// What the executor reports.
pub fn run(
    executor: &mut dyn Executor,
    slots: &[Slot],
    totals: &mut Totals,
    on_step: &mut dyn FnMut(&StepResult, &Totals) -> bool,
) -> Result<(), ExecutorError> {
    let batch_size = executor.plan().options.batch_size;
    executor.run(Phase::Train, slots, &mut |result| {
        totals.add(&result, batch_size);
        on_step(&result, totals)
    })
}
