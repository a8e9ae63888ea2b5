//! A training run: epochs with validation, checkpoints, and the test of the best weights.

use std::time::{Duration, Instant};

use super::description::Description;
use super::epoch::Totals;
use super::error::RunError;
use super::examples::{Answers, Examples};
use super::folder::RunFolder;
use super::outcome::{Outcome, Test};
use super::position::{Best, Position};
use super::rate::Rate;
use super::sampler::Sampler;
use super::saving::{BEST, BEST_WHOLE, Logs};
use super::summary::EpochMetrics;
use super::watch::Watch;
use super::{checkpoint, setup};
use crate::data::{Augmentation, DataError};
use crate::eval::collapse::YOUNG;
use crate::eval::{Roc, best_threshold};
use crate::session::{Session, SessionError};

/// How long and how fast to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub epochs: u64,
    /// Stops after so many training steps, if sooner.
    pub max_steps: Option<u64>,
    pub rate: Rate,
    /// Stops behind so many epochs in a row without a better validation.
    pub patience: Option<u64>,
    /// What happens to training images, never to others.
    pub augment: Option<Augmentation>,
    /// Steps between checkpoints within an epoch; if `None`, there is one every [`CHECKPOINT_PAUSE`].
    pub checkpoint_steps: Option<u64>,
}

/// Most training time that a killed run loses, unless checkpoints were asked for by steps.
pub const CHECKPOINT_PAUSE: Duration = Duration::from_secs(60);

/// A run in the making: an executor that holds data and weights, and a folder.
pub struct Trainer<'a> {
    pub executor: &'a mut dyn Session,
    /// Its images, batches and seed are those of the executor's plan.
    pub sampler: Sampler<'a>,
    pub schedule: Schedule,
    pub folder: &'a RunFolder,
    /// What the weights' files say about themselves; epoch, step and thresholds are filled in.
    pub description: Description,
    pub log_steps: bool,
    /// Where the executor's weights stand: the default for a new run.
    pub position: Position,
}

/// What an epoch is measured on.
struct Measured {
    validation: Examples,
    /// Pairs for a threshold, where validation is not by pairs.
    calibration: Option<Examples>,
}

impl Trainer<'_> {
    /// Trains from the weights that the executor holds, then tests the best ones, which it holds in the end.
    ///
    /// # Errors
    /// See [`RunError`]; the folder keeps the last checkpoint.
    pub async fn run(mut self, watch: &mut dyn Watch) -> Result<Outcome, RunError> {
        let (sampler, last) = (self.sampler, self.schedule.epochs);
        let Sampler { dataset, batch, batch_size, seed, .. } = sampler;
        let measured = Measured { validation: sampler.validation()?, calibration: sampler.calibration()? };
        // Drawn now: that they cannot be drawn must not show after hours.
        let test = sampler.test()?;
        self.executor.prepare_all().await?;
        let (mut epochs, mut logs) = self.logs()?;
        let augment = self.schedule.augment;
        let draw = move |epoch| -> Result<_, DataError> {
            let examples = sampler.training(epoch)?;
            let images = examples.len() * batch.branches();
            Ok((examples, augment.map(|augment| augment.matrices(seed, epoch, images))))
        };
        let mut ahead = None;
        for epoch in self.position.epochs + 1..=last {
            if self.stalled() {
                break;
            }
            let before = self.position.steps - self.position.under_way.steps;
            let left = self.schedule.max_steps.map_or(u64::MAX, |most| most.saturating_sub(before));
            let (drawn, matrices) = ahead.take().unwrap_or_else(|| draw(epoch))?;
            let whole = (drawn.len() / batch_size) as u64;
            let steps = whole.min(left) as usize;
            if steps == 0 {
                break;
            }
            drawn.upload(self.executor, &dataset.labels)?;
            if let Some(matrices) = &matrices {
                let [.., list] = self.executor.plan().lists();
                self.executor.write_words(list, matrices)?;
            }
            // The next epoch's are drawn while this one runs.
            let mut meanwhile = || {
                if ahead.is_none() && epoch < last {
                    ahead = Some(draw(epoch + 1));
                }
            };
            let trained = self.train(epoch, steps, before, &mut logs, watch, &mut meanwhile).await;
            let Some(pairs_per_second) = trained? else { return self.interrupted(epochs) };
            let cut = self.position.under_way.steps < whole;
            let Some((metrics, best)) =
                self.validate(epoch, pairs_per_second, cut, &measured, &mut logs, watch).await?
            else {
                return self.interrupted(epochs);
            };
            watch.epoch_ends(&metrics, best);
            epochs.push(metrics);
            if cut {
                break;
            }
        }
        let test = match (self.position.best, test) {
            (Some(_), Some(test)) => match self.test(test, watch).await? {
                Some(test) => Some(test),
                None => return self.interrupted(epochs),
            },
            _ => None,
        };
        let stopped_early = self.position.epochs < last && self.stalled();
        let learned = self.position.best.is_none_or(|best| best.better_than_chance) || !self.judged();
        Ok(Outcome { interrupted: false, stopped_early, learned, position: self.position, epochs, test })
    }

    fn interrupted(self, epochs: Vec<EpochMetrics>) -> Result<Outcome, RunError> {
        let Trainer { position, .. } = self;
        Ok(Outcome { interrupted: true, stopped_early: false, learned: true, position, epochs, test: None })
    }

    /// Whether a new epoch would be one too many without a better validation.
    fn stalled(&self) -> bool {
        let epochs = self.position.epochs;
        let since_best = self.position.best.map_or(0, |best| epochs.saturating_sub(best.epoch));
        let between_epochs = self.position.under_way.steps == 0;
        between_epochs && self.schedule.patience.is_some_and(|patience| since_best >= patience)
    }

    /// Whether the run is old enough to be judged by chance.
    fn judged(&self) -> bool {
        self.position.steps >= YOUNG.saturating_add(self.schedule.rate.warmup)
    }

    /// Training steps of the whole run, were it not stopped early.
    pub(super) fn total_steps(&self) -> u64 {
        let of_an_epoch = (self.sampler.of_an_epoch() / self.sampler.batch_size) as u64;
        let all = self.schedule.epochs.saturating_mul(of_an_epoch);
        self.schedule.max_steps.map_or(all, |most| most.min(all))
    }

    /// Ends an epoch: validates it, keeps its weights where they are the best, and saves where the run stands. Of an
    /// epoch that `--max-steps` cut, the checkpoint keeps it under way, so that a run that goes on ends as if it had
    /// never stopped there. Returns its figures and whether it is the best, or `None` where it was interrupted, with
    /// its state saved.
    async fn validate(
        &mut self,
        epoch: u64,
        pairs_per_second: f64,
        cut: bool,
        measured: &Measured,
        logs: &mut Logs,
        watch: &mut dyn Watch,
    ) -> Result<Option<(EpochMetrics, bool)>, RunError> {
        let start = Instant::now();
        let Some(val) = self.measure(&measured.validation, "validation", watch).await? else {
            self.save_last().await?;
            return Ok(None);
        };
        let (steps, totals) = (self.position.steps, self.position.under_way);
        // An epoch that was interrupted behind its last step has no time of its own.
        let seconds = if pairs_per_second > 0.0 { totals.pairs as f64 / pairs_per_second } else { 0.0 };
        let metrics = EpochMetrics {
            epoch,
            step: steps,
            train_loss: totals.mean_loss(),
            train_accuracy: totals.accuracy(),
            val_loss: val.loss,
            val_accuracy: val.accuracy,
            train_seconds: seconds,
            val_seconds: start.elapsed().as_secs_f64(),
            pairs_per_second,
            measure: self.sampler.measure,
        };
        if !val.loss.is_finite() {
            // The optimizer ran after the last loss that was looked at.
            return Err(RunError::Diverged { step: steps, epoch, loss: val.loss as f32 });
        }
        let answered = &val.answered;
        let learned =
            answered.better_than_chance || self.position.best.is_some_and(|best| best.better_than_chance);
        if answered.dead || (answered.one_sided && !learned && self.judged()) {
            return Err(RunError::Collapsed { step: steps, epoch, seen: val.answered.seen });
        }
        let beats = |best: &Best| best.beaten_by(val.accuracy, val.loss);
        let best = self.position.best.as_ref().is_none_or(beats);
        let found = if best { self.thresholds(measured, &val, watch).await? } else { None };
        if best && found.is_none() {
            self.save_last().await?;
            return Ok(None);
        }
        // Best weights without a checkpoint are what is left of a run that lost one.
        if !self.folder.file("last.safetensors").exists() {
            self.save_last().await?;
        }
        let under_way = self.position.clone();
        self.position.epochs = epoch;
        self.position.under_way = Totals::default();
        if let Some((threshold, threshold_at_far)) = found {
            if cut && self.position.best.is_some() {
                self.folder.rename(BEST, BEST_WHOLE)?;
            }
            self.position.best = Some(Best {
                epoch,
                val_accuracy: val.accuracy,
                val_loss: val.loss,
                threshold,
                threshold_at_far,
                better_than_chance: learned,
            });
            self.save(BEST, None).await?;
        }
        // Before the checkpoint: a killed run drops lines that are too many, but misses none.
        logs.metrics.add(&metrics)?;
        logs.metrics.flush()?;
        if cut {
            let ended = std::mem::replace(&mut self.position, under_way);
            self.save_last().await?;
            self.position = ended;
        } else {
            self.save_last().await?;
        }
        Ok(Some((metrics, best)))
    }

    /// Thresholds that validation pairs choose: the most accurate one, and those by false accept rate. `None` where it
    /// was interrupted.
    async fn thresholds(
        &mut self,
        measured: &Measured,
        val: &Answers,
        watch: &mut dyn Watch,
    ) -> Result<Option<(f64, Option<crate::eval::roc::ByFar>)>, RunError> {
        let scored;
        let (pairs, scores) = match &measured.calibration {
            None => (measured.validation.pairs(), &val.scores),
            Some(examples) => {
                let Some(answers) = self.measure(examples, "threshold", watch).await? else {
                    return Ok(None);
                };
                scored = answers.scores;
                (examples.pairs(), &scored)
            }
        };
        let at_far = Roc::of(pairs, scores).map(|roc| roc.figures().threshold_at_far);
        Ok(Some((best_threshold(pairs, scores), at_far)))
    }

    async fn measure(
        &mut self,
        examples: &Examples,
        what: &'static str,
        watch: &mut dyn Watch,
    ) -> Result<Option<Answers>, RunError> {
        let Position { steps, epochs, .. } = self.position;
        let mut go_on = |share| {
            watch.scoring(what, share);
            !watch.interrupted()
        };
        let measured = examples.measure(self.executor, &self.sampler.dataset.labels, &mut go_on).await;
        measured.map_err(|error| match error {
            SessionError::NotFinite { what, value } => RunError::NotFinite {
                tensor: format!("{what} of the {}", examples.measure_name()),
                value,
                step: steps,
                epoch: epochs + 1,
            },
            other => other.into(),
        })
    }

    /// Measures the best weights on the test set.
    async fn test(&mut self, examples: Examples, watch: &mut dyn Watch) -> Result<Option<Test>, RunError> {
        let path = self.folder.file(BEST);
        let best = checkpoint::load(&path)?.for_plan(self.executor.plan(), &path)?;
        setup::write_all(self.executor, &best)?;
        let start = Instant::now();
        let Some(answers) = self.measure(&examples, "test", watch).await? else { return Ok(None) };
        let Answers { accuracy, loss, scores, solved, .. } = answers;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Some(Test { examples, scores, solved, accuracy, loss, seconds, classes: None, projection: None }))
    }
}
