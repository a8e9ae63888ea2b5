//! The training steps of an epoch, with checkpoints on the way.

use std::time::{Duration, Instant};

use super::epoch::{self, Totals};
use super::error::RunError;
use super::run::{CHECKPOINT_PAUSE, Trainer};
use super::saving::{Logs, StepLine};
use super::watch::Watch;
use crate::session::StepResult;

/// How a stretch of work ended.
#[derive(PartialEq)]
enum End {
    Done,
    Interrupted,
}

impl Trainer<'_> {
    /// Trains to the end of an epoch of `steps` steps, with checkpoints on the way. Returns pairs per
    /// second, or `None` where the run was interrupted, with its state saved.
    pub(super) async fn train(
        &mut self,
        epoch: u64,
        steps: usize,
        before: u64,
        logs: &mut Logs,
        watch: &mut dyn Watch,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Option<f64>, RunError> {
        let resumed = self.position.under_way;
        watch.epoch_begins(epoch, resumed.steps, steps);
        let mut training = Duration::ZERO;
        while self.position.under_way.steps < steps as u64 {
            let start = Instant::now();
            let end = self.stretch(epoch, steps, before, logs, watch, meanwhile).await?;
            training += start.elapsed();
            if end == End::Interrupted || self.position.under_way.steps < steps as u64 {
                if let Some(lines) = &mut logs.steps {
                    lines.flush()?;
                }
                self.save_last().await?;
            }
            if end == End::Interrupted {
                return Ok(None);
            }
        }
        if let Some(lines) = &mut logs.steps {
            lines.flush()?;
        }
        let pairs = self.position.under_way.pairs - resumed.pairs;
        Ok(Some(pairs as f64 / training.as_secs_f64().max(1e-9)))
    }

    /// Trains until a checkpoint is due, the epoch ends, a step diverges or somebody interrupts.
    async fn stretch(
        &mut self,
        epoch: u64,
        steps: usize,
        before: u64,
        logs: &mut Logs,
        watch: &mut dyn Watch,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<End, RunError> {
        let first = self.position.under_way.steps as usize;
        let last = match self.schedule.checkpoint_steps {
            Some(every) => {
                let next = (self.position.steps / every + 1).saturating_mul(every);
                steps.min((next - before) as usize)
            }
            None => steps,
        };
        let by_time = self.schedule.checkpoint_steps.is_none();
        let (rate, total) = (self.schedule.rate, self.total_steps());
        let slots =
            epoch::slots(self.executor, first..last, before, self.sampler.seed, |t| rate.at(t, total));
        let (start, launches) = (Instant::now(), self.executor.launches());
        let (mut bad, mut unwritten, mut end) = (None, None, End::Done);
        let totals = &mut self.position.under_way;
        let mut on_step = |&StepResult { loss, correct: hits }: &StepResult, so_far: &Totals| {
            let step = before + so_far.steps;
            if !loss.is_finite() && bad.is_none() {
                bad = Some(RunError::Diverged { step, epoch, loss });
            }
            if let Some(lines) = &mut logs.steps
                && unwritten.is_none()
            {
                unwritten = lines.add(&StepLine { step, epoch, loss, hits }).err();
            }
            watch.step(epoch, so_far);
            if watch.interrupted() {
                end = End::Interrupted;
            }
            let due = by_time && start.elapsed() >= CHECKPOINT_PAUSE;
            bad.is_none() && unwritten.is_none() && end == End::Done && !due
        };
        epoch::run(self.executor, &slots, totals, &mut on_step, meanwhile).await?;
        self.position.steps = before + self.position.under_way.steps;
        self.position.train_launches += self.executor.launches() - launches;
        if let Some(error) = unwritten {
            return Err(error.into());
        }
        match bad {
            Some(error) => Err(error),
            None => Ok(end),
        }
    }
}
