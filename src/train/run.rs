//! A training run: epochs with validation, the best and the last weights, and the run's files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::checkpoint::{self, CheckpointError};
use super::epoch::{self, Totals};
use super::setup;
use crate::data::{DataError, Dataset, Pair, Split, pairs};
use crate::eval::{self, PairMetrics};
use crate::executor::{AdapterInfo, Executor, ExecutorError, StepResult};

/// How long and how fast to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub epochs: u64,
    /// Stops after so many training steps, if sooner.
    pub max_steps: Option<u64>,
    pub learning_rate: f64,
    pub seed: u64,
}

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("{}: cannot be written: {source}; free some space or choose another --run-dir", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "the loss of step {step} (epoch {epoch}) is {loss}: the run diverged; use a smaller --lr. \
         The checkpoints of earlier epochs are intact"
    )]
    Diverged { step: u64, epoch: u64, loss: f32 },
    #[error(
        "the data set has {found} training pairs, fewer than the {batch_size} of a batch; \
         use a smaller --batch-size"
    )]
    TooFewPairs { found: usize, batch_size: usize },
}

/// One line of `metrics.jsonl`; accuracies in percent, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochMetrics {
    pub epoch: u64,
    pub step: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    pub train_seconds: f64,
    pub val_seconds: f64,
    pub pairs_per_second: f64,
}

/// What watches a run: only the command line prints.
pub trait Watch {
    /// Before an epoch of so many steps.
    fn epoch_begins(&mut self, _epoch: u64, _steps: usize) {}
    /// After each training step.
    fn step(&mut self, _epoch: u64, _totals: &Totals) {}
    fn epoch_ends(&mut self, _metrics: &EpochMetrics, _best: bool) {}
    /// Asked after each step; true ends the run with what it has.
    fn interrupted(&self) -> bool {
        false
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub interrupted: bool,
    pub epochs: u64,
    pub steps: u64,
    pub best_epoch: u64,
    /// Of the best epoch.
    pub best: Option<EpochMetrics>,
    /// Test pairs, with the best weights.
    pub test: Option<PairMetrics>,
    pub test_seconds: f64,
    /// Training alone, mean of the epochs.
    pub seconds_per_epoch: f64,
    /// Launches counted while training.
    pub train_launches: u64,
}

/// `summary.json`; accuracies in percent.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub model: String,
    pub dataset: String,
    pub trainable: usize,
    pub state: usize,
    pub parameters: usize,
    pub seed: u64,
    pub adapter: AdapterInfo,
    pub plan: String,
    pub launches_per_step: usize,
    /// Counted while training, not derived.
    pub train_launches: u64,
    pub batch_size: usize,
    pub epochs: u64,
    pub steps: u64,
    pub best_epoch: u64,
    pub train_accuracy: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub test_accuracy: Option<f64>,
    pub threshold: f64,
    pub seconds_per_epoch: f64,
    pub test_seconds: f64,
    pub interrupted: bool,
}

/// Whether a run could draw its pairs and fill a batch: asked before anything is made for it.
///
/// # Errors
/// What would end the run.
pub fn check(dataset: &Dataset, split: &Split, seed: u64, batch_size: usize) -> Result<(), RunError> {
    let found = pairs::training(&dataset.labels, split, seed, 1)?.len();
    pairs::validation(&dataset.labels, split, seed)?;
    pairs::test(&dataset.labels, split, seed)?;
    if found < batch_size {
        return Err(RunError::TooFewPairs { found, batch_size });
    }
    Ok(())
}

/// A run in the making: an executor that holds data and weights, and a folder.
pub struct Trainer<'a> {
    pub executor: &'a mut dyn Executor,
    pub dataset: &'a Dataset,
    pub split: &'a Split,
    pub schedule: Schedule,
    pub folder: &'a Path,
    /// What the weights' files say about themselves.
    pub metadata: BTreeMap<String, String>,
    pub log_steps: bool,
}

impl Trainer<'_> {
    /// Trains from the weights that the executor holds, then tests the best ones.
    ///
    /// # Errors
    /// See [`RunError`]; the folder keeps what earlier epochs left.
    pub fn run(&mut self, watch: &mut dyn Watch) -> Result<Outcome, RunError> {
        let labels = &self.dataset.labels;
        let validation = pairs::validation(labels, self.split, self.schedule.seed)?;
        // Drawn now: that they cannot be drawn must not show after hours.
        let test = pairs::test(labels, self.split, self.schedule.seed)?;
        let batch_size = self.executor.plan().options.batch_size;
        let mut outcome = Outcome {
            interrupted: false,
            epochs: 0,
            steps: 0,
            best_epoch: 0,
            best: None,
            test: None,
            test_seconds: 0.0,
            seconds_per_epoch: 0.0,
            train_launches: 0,
        };
        let mut train_seconds = 0.0;
        let mut metrics_file = self.create("metrics.jsonl")?;
        let mut steps_file = if self.log_steps { Some(self.create("steps.jsonl")?) } else { None };
        for epoch in 1..=self.schedule.epochs {
            let drawn = pairs::training(labels, self.split, self.schedule.seed, epoch)?;
            let left = self.schedule.max_steps.map_or(u64::MAX, |most| most - outcome.steps);
            let steps = ((drawn.len() / batch_size) as u64).min(left) as usize;
            if steps == 0 {
                break;
            }
            setup::upload_pairs(self.executor, &drawn)?;
            watch.epoch_begins(epoch, steps);
            let launches = self.executor.launches();
            let start = Instant::now();
            let totals = self.train_epoch(epoch, steps, outcome.steps, watch, steps_file.as_mut())?;
            let seconds = start.elapsed().as_secs_f64();
            outcome.train_launches += self.executor.launches() - launches;
            outcome.steps += totals.steps;
            outcome.interrupted = totals.steps < steps as u64;
            if outcome.interrupted {
                break;
            }
            outcome.epochs = epoch;
            train_seconds += seconds;
            let start = Instant::now();
            let val = self.evaluate(&validation)?;
            if !val.loss.is_finite() {
                // The optimizer ran after the last loss that was looked at.
                return Err(RunError::Diverged { step: outcome.steps, epoch, loss: val.loss as f32 });
            }
            let metrics = EpochMetrics {
                epoch,
                step: outcome.steps,
                train_loss: totals.mean_loss(),
                train_accuracy: totals.accuracy(),
                val_loss: val.loss,
                val_accuracy: val.accuracy,
                train_seconds: seconds,
                val_seconds: start.elapsed().as_secs_f64(),
                pairs_per_second: totals.pairs as f64 / seconds,
            };
            let best = outcome.best.as_ref().is_none_or(|best| better(&metrics, best));
            if best {
                self.save("best.safetensors", false, &outcome)?;
            }
            self.save("last.safetensors", true, &outcome)?;
            self.line(&mut metrics_file, "metrics.jsonl", &metrics)?;
            watch.epoch_ends(&metrics, best);
            if best {
                outcome.best_epoch = epoch;
                outcome.best = Some(metrics);
            }
        }
        outcome.seconds_per_epoch = train_seconds / outcome.epochs.max(1) as f64;
        if outcome.interrupted {
            self.save("last.safetensors", true, &outcome)?;
        } else if outcome.best.is_some() {
            self.test(&test, &mut outcome)?;
        }
        Ok(outcome)
    }

    /// Scores the test pairs with the best weights.
    fn test(&mut self, pairs: &[Pair], outcome: &mut Outcome) -> Result<(), RunError> {
        let path = self.folder.join("best.safetensors");
        let best = checkpoint::load(&path)?.for_plan(self.executor.plan(), &path)?;
        setup::write_all(self.executor, &best)?;
        let start = Instant::now();
        outcome.test = Some(self.evaluate(pairs)?);
        outcome.test_seconds = start.elapsed().as_secs_f64();
        Ok(())
    }

    fn evaluate(&mut self, pairs: &[Pair]) -> Result<PairMetrics, RunError> {
        let scores = eval::score(self.executor, pairs)?;
        let options = &self.executor.plan().options;
        Ok(eval::metrics(pairs, &scores, options.convention, options.margin))
    }

    /// Runs an epoch's steps until one diverges or somebody interrupts.
    fn train_epoch(
        &mut self,
        epoch: u64,
        steps: usize,
        done: u64,
        watch: &mut dyn Watch,
        steps_file: Option<&mut std::fs::File>,
    ) -> Result<Totals, RunError> {
        let slots = epoch::slots(self.executor, steps, done, self.schedule.learning_rate);
        let mut log = steps_file.map(std::io::BufWriter::new);
        let mut unwritten = None;
        let mut bad = None;
        let totals = epoch::run(self.executor, &slots, &mut |result, so_far| {
            if !result.loss.is_finite() && bad.is_none() {
                bad = Some(*result);
            }
            if let Some(log) = &mut log {
                let StepResult { number, loss, hits } = *result;
                let step = done + number as u64 + 1;
                let line = serde_json::json!({"step": step, "epoch": epoch, "loss": loss, "hits": hits});
                unwritten = unwritten.take().or(writeln!(log, "{line}").err());
            }
            watch.step(epoch, so_far);
            bad.is_none() && unwritten.is_none() && !watch.interrupted()
        });
        if let Some(mut log) = log {
            unwritten = unwritten.or(log.flush().err());
        }
        let totals = totals?;
        if let Some(source) = unwritten {
            return Err(RunError::Write { path: self.folder.join("steps.jsonl"), source });
        }
        match bad {
            Some(StepResult { number, loss, .. }) => {
                Err(RunError::Diverged { step: done + number as u64 + 1, epoch, loss })
            }
            None => Ok(totals),
        }
    }

    fn save(&mut self, name: &str, moments: bool, outcome: &Outcome) -> Result<(), RunError> {
        let tensors = setup::read_all(self.executor, moments)?;
        let mut metadata = self.metadata.clone();
        metadata.insert("epoch".into(), outcome.epochs.to_string());
        metadata.insert("step".into(), outcome.steps.to_string());
        checkpoint::save(&self.folder.join(name), self.executor.plan(), &tensors, &metadata)?;
        Ok(())
    }

    fn create(&self, name: &str) -> Result<std::fs::File, RunError> {
        let path = self.folder.join(name);
        std::fs::File::create(&path).map_err(|source| RunError::Write { path, source })
    }

    fn line(&self, file: &mut std::fs::File, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let written = serde_json::to_string(value)
            .map_err(std::io::Error::from)
            .and_then(|json| writeln!(file, "{json}"));
        written.map_err(|source| RunError::Write { path: self.folder.join(name), source })
    }

    /// What the run's `summary.json` says.
    pub fn summary(&self, outcome: &Outcome) -> Summary {
        let plan = self.executor.plan();
        Summary {
            model: plan.model.clone(),
            dataset: self.dataset.name.clone(),
            trainable: plan.trainable(),
            state: plan.state(),
            parameters: plan.trainable() + plan.state(),
            seed: self.schedule.seed,
            adapter: self.executor.adapter().clone(),
            plan: plan.options.kind.name().into(),
            launches_per_step: plan.train.len(),
            train_launches: outcome.train_launches,
            batch_size: plan.options.batch_size,
            epochs: outcome.epochs,
            steps: outcome.steps,
            best_epoch: outcome.best_epoch,
            train_accuracy: outcome.best.as_ref().map(|best| best.train_accuracy),
            val_accuracy: outcome.best.as_ref().map(|best| best.val_accuracy),
            test_accuracy: outcome.test.map(|test| test.accuracy),
            threshold: 0.5,
            seconds_per_epoch: outcome.seconds_per_epoch,
            test_seconds: outcome.test_seconds,
            interrupted: outcome.interrupted,
        }
    }
}

/// Higher validation accuracy, then lower validation loss, then the earlier epoch.
fn better(new: &EpochMetrics, best: &EpochMetrics) -> bool {
    new.val_accuracy > best.val_accuracy
        || (new.val_accuracy == best.val_accuracy && new.val_loss < best.val_loss)
}
