//! A training run: epochs with validation, checkpoints, and the test of the best weights.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, CheckpointError, Metadata};
use super::description::Description;
use super::epoch::{self, Totals};
use super::examples::{Answers, Examples, Measure};
use super::folder::{FolderError, Lines, RunFolder};
use super::outcome::{Outcome, Test};
use super::position::{Best, Position};
use super::rate::Rate;
use super::sampler::Sampler;
use super::setup;
use super::summary::EpochMetrics;
use crate::data::{Augmentation, DataError, Split};
use crate::eval::{self, ClassMetrics, Projection, classes, embeddings, pca};
use crate::plan::BatchLayout;
use crate::session::{Session, SessionError, StepResult};

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

/// Why a run ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(
        "the loss of step {step} (epoch {epoch}) is {loss}: the run diverged; use a smaller --lr. \
         Earlier checkpoints are intact"
    )]
    Diverged { step: u64, epoch: u64, loss: f32 },
    #[error(
        "{tensor} holds {value} after step {step} (epoch {epoch}): the run diverged; use a smaller --lr. \
         Earlier checkpoints are intact"
    )]
    NotFinite { tensor: String, value: f32, step: u64, epoch: u64 },
    #[error(
        "the network collapsed: after step {step} (epoch {epoch}) most validation tasks have the same distance \
         everywhere, as if all images were one; use a smaller --lr, more --warmup or another --loss or --seed. \
         Earlier checkpoints are intact"
    )]
    Collapsed { step: u64, epoch: u64 },
    #[error(
        "--run-dir {}: no epoch of the run is finished, so there are no best weights yet; \
         go on with it: gpu-siamese train --resume --run-dir {}", folder.display(), folder.display()
    )]
    NoEpoch { folder: PathBuf },
    #[error(
        "the data set has {found} training {}, fewer than the {batch_size} of a batch; \
         use a smaller --batch-size", Measure::of(*batch).counted()
    )]
    TooFew { batch: BatchLayout, found: usize, batch_size: usize },
}

/// What watches a run: only the command line prints.
pub trait Watch {
    /// Before an epoch of so many steps, of which `done` ran before the run was resumed.
    fn epoch_begins(&mut self, _epoch: u64, _done: u64, _steps: usize) {}
    /// After each training step.
    fn step(&mut self, _epoch: u64, _totals: &Totals) {}
    /// While pairs are scored: the share that is done.
    fn scoring(&mut self, _what: &'static str, _share: f64) {}
    fn epoch_ends(&mut self, _metrics: &EpochMetrics, _best: bool) {}
    /// Asked after each step; true ends the run with what it has.
    fn interrupted(&self) -> bool {
        false
    }
}

/// What the test images' embeddings tell, as far as they tell something.
type ClassTest = (Option<ClassMetrics>, Option<Projection>);

/// A line of `steps.jsonl`.
#[derive(Serialize, Deserialize)]
struct StepLine {
    step: u64,
    epoch: u64,
    loss: f32,
    hits: u32,
}

/// A run in the making: an executor that holds data and weights, and a folder.
pub struct Trainer<'a> {
    pub executor: &'a mut dyn Session,
    /// Its images, batches and seed are those of the executor's plan.
    pub sampler: Sampler<'a>,
    pub schedule: Schedule,
    pub folder: &'a RunFolder,
    /// What the weights' files say about themselves; epoch, step and threshold are filled in.
    pub description: Description,
    pub log_steps: bool,
    /// Where the executor's weights stand: the default for a new run.
    pub position: Position,
}

/// The files that a run adds lines to.
struct Logs {
    metrics: Lines,
    steps: Option<Lines>,
}

/// How a stretch of work ended.
#[derive(PartialEq)]
enum End {
    Done,
    Interrupted,
}

impl Trainer<'_> {
    /// Trains from the weights that the executor holds, then tests the best ones.
    ///
    /// # Errors
    /// See [`RunError`]; the folder keeps the last checkpoint.
    pub async fn run(mut self, watch: &mut dyn Watch) -> Result<Outcome, RunError> {
        let (sampler, last) = (self.sampler, self.schedule.epochs);
        let Sampler { dataset, batch, batch_size, seed, .. } = sampler;
        let validation = sampler.validation()?;
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
            let steps = ((drawn.len() / batch_size) as u64).min(left) as usize;
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
            let pairs_per_second = match trained? {
                Some(speed) => speed,
                None => return self.interrupted(epochs),
            };
            let start = Instant::now();
            let Some(val) = self.measure(&validation, "validation", watch).await? else {
                self.save_last().await?;
                return self.interrupted(epochs);
            };
            let totals = self.position.under_way;
            // An epoch that was interrupted behind its last step has no time of its own.
            let seconds = if pairs_per_second > 0.0 { totals.pairs as f64 / pairs_per_second } else { 0.0 };
            let metrics = EpochMetrics {
                epoch,
                step: self.position.steps,
                train_loss: totals.mean_loss(),
                train_accuracy: totals.accuracy(),
                val_loss: val.loss,
                val_accuracy: val.accuracy,
                train_seconds: seconds,
                val_seconds: start.elapsed().as_secs_f64(),
                pairs_per_second,
                measure: sampler.measure,
            };
            if !val.loss.is_finite() {
                // The optimizer ran after the last loss that was looked at.
                let (step, loss) = (self.position.steps, val.loss as f32);
                return Err(RunError::Diverged { step, epoch, loss });
            }
            if val.solved.is_some_and(|solved| solved.figures.collapsed) {
                return Err(RunError::Collapsed { step: self.position.steps, epoch });
            }
            self.position.epochs = epoch;
            self.position.under_way = Totals::default();
            let beats = |best: &Best| best.beaten_by(val.accuracy, val.loss);
            let best = self.position.best.as_ref().is_none_or(beats);
            if best {
                let threshold = match &validation {
                    Examples::Pairs(pairs) => eval::best_threshold(pairs, &val.scores),
                    _ => 0.5,
                };
                self.position.best =
                    Some(Best { epoch, val_accuracy: val.accuracy, val_loss: val.loss, threshold });
                self.save("best.safetensors", false).await?;
            }
            // Before the checkpoint: a killed run drops lines that are too many, but misses none.
            logs.metrics.add(&metrics)?;
            logs.metrics.flush()?;
            self.save_last().await?;
            watch.epoch_ends(&metrics, best);
            epochs.push(metrics);
        }
        let test = match (self.position.best, test) {
            (Some(_), Some(test)) => match self.test(test, watch).await? {
                Some(test) => Some(test),
                None => return self.interrupted(epochs),
            },
            _ => None,
        };
        let stopped_early = self.position.epochs < last && self.stalled();
        Ok(Outcome { interrupted: false, stopped_early, position: self.position, epochs, test })
    }

    fn interrupted(self, epochs: Vec<EpochMetrics>) -> Result<Outcome, RunError> {
        Ok(Outcome { interrupted: true, stopped_early: false, position: self.position, epochs, test: None })
    }

    /// Whether a new epoch would be one too many without a better validation.
    fn stalled(&self) -> bool {
        let epochs = self.position.epochs;
        let since_best = self.position.best.map_or(0, |best| epochs.saturating_sub(best.epoch));
        let between_epochs = self.position.under_way.steps == 0;
        between_epochs && self.schedule.patience.is_some_and(|patience| since_best >= patience)
    }

    /// Training steps of the whole run, were it not stopped early.
    fn total_steps(&self) -> u64 {
        let of_an_epoch = (self.sampler.of_an_epoch() / self.sampler.batch_size) as u64;
        let all = self.schedule.epochs.saturating_mul(of_an_epoch);
        self.schedule.max_steps.map_or(all, |most| most.min(all))
    }

    /// Opens the files of lines, cut back to where the run stands, and the epochs so far.
    fn logs(&self) -> Result<(Vec<EpochMetrics>, Logs), RunError> {
        let Position { epochs, steps, .. } = self.position;
        let lines = self.folder.lines("metrics.jsonl", |line: &EpochMetrics| line.epoch <= epochs)?;
        let metrics = Lines::append(self.folder.file("metrics.jsonl"))?;
        let steps = match self.log_steps {
            true => {
                self.folder.lines("steps.jsonl", |line: &StepLine| line.step <= steps)?;
                Some(Lines::append(self.folder.file("steps.jsonl"))?)
            }
            false => None,
        };
        Ok((lines, Logs { metrics, steps }))
    }

    /// Trains to the end of an epoch of `steps` steps, with checkpoints on the way. Returns pairs per
    /// second, or `None` where the run was interrupted, with its state saved.
    async fn train(
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

    async fn measure(
        &mut self,
        examples: &Examples,
        what: &'static str,
        watch: &mut dyn Watch,
    ) -> Result<Option<Answers>, RunError> {
        let mut go_on = |share| {
            watch.scoring(what, share);
            !watch.interrupted()
        };
        Ok(examples.measure(self.executor, &self.sampler.dataset.labels, &mut go_on).await?)
    }

    /// Measures the best weights on the test set.
    async fn test(&mut self, examples: Examples, watch: &mut dyn Watch) -> Result<Option<Test>, RunError> {
        let path = self.folder.file("best.safetensors");
        let best = checkpoint::load(&path)?.for_plan(self.executor.plan(), &path)?;
        setup::write_all(self.executor, &best)?;
        let start = Instant::now();
        let Some(answers) = self.measure(&examples, "test", watch).await? else { return Ok(None) };
        let Answers { accuracy, loss, scores, solved } = answers;
        let seconds = start.elapsed().as_secs_f64();
        let Some((classes, projection)) = self.classes(watch).await? else { return Ok(None) };
        Ok(Some(Test { examples, scores, solved, accuracy, loss, seconds, classes, projection }))
    }

    /// What the embeddings of training and test images tell of classes. A classifier's logits are no embeddings, and
    /// classes that tasks are made of have no training images.
    async fn classes(&mut self, watch: &mut dyn Watch) -> Result<Option<ClassTest>, RunError> {
        if self.sampler.measure != Measure::Pairs {
            return Ok(Some((None, None)));
        }
        let Sampler { dataset, split: Split { train, test, .. }, .. } = self.sampler;
        let mut embedded = Vec::new();
        for (images, what) in [(train, "embeddings of training images"), (test, "embeddings of test images")]
        {
            let mut go_on = |share| {
                watch.scoring(what, share);
                !watch.interrupted()
            };
            embedded.push(embeddings::embeddings(self.executor, images, &mut go_on).await?);
        }
        let [Some(trained), Some(tested)] = &embedded[..] else { return Ok(None) };
        let labels = |images: &[u32]| -> Vec<u32> {
            images.iter().filter_map(|&image| dataset.labels.get(image as usize).copied()).collect()
        };
        let (train_labels, test_labels) = (labels(train), labels(test));
        let metrics = classes::metrics(trained, &train_labels, tested, &test_labels);
        Ok(Some((metrics, pca::project(tested, &test_labels))))
    }

    /// Weights, running state, moments and position: what a resumed run starts from.
    async fn save_last(&mut self) -> Result<(), RunError> {
        self.save("last.safetensors", true).await
    }

    async fn save(&mut self, name: &str, checkpoint: bool) -> Result<(), RunError> {
        let tensors = setup::read_all(self.executor, checkpoint).await?;
        let Position { epochs, steps, best, .. } = self.position;
        for (tensor, values) in &tensors {
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                let (tensor, epoch) = (tensor.clone(), epochs + u64::from(self.position.under_way.steps > 0));
                return Err(RunError::NotFinite { tensor, value, step: steps, epoch });
            }
        }
        let description = Description {
            threshold: best.map_or(0.5, |best| best.threshold),
            epoch: epochs,
            step: steps,
            ..self.description.clone()
        };
        let position = checkpoint.then(|| self.position.clone());
        let metadata = Metadata { description, position };
        checkpoint::save(&self.folder.file(name), self.executor.plan(), &tensors, &metadata)?;
        Ok(())
    }
}
