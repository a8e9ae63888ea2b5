//! What a run leaves in its folder while it goes on: checkpoints, and lines in step with them.

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Metadata};
use super::description::Description;
use super::error::RunError;
use super::folder::Lines;
use super::position::Position;
use super::run::Trainer;
use super::setup;
use super::summary::EpochMetrics;

/// The weights of the best epoch.
pub const BEST: &str = "best.safetensors";
/// Where a run stands.
pub const LAST: &str = "last.safetensors";
/// While the best epoch is one that `--max-steps` cut: the best whole one, which counts again when the run goes on.
pub const BEST_WHOLE: &str = "best-whole.safetensors";

/// The files that a run adds lines to.
pub(super) struct Logs {
    pub metrics: Lines,
    pub steps: Option<Lines>,
}

/// A line of `steps.jsonl`.
#[derive(Serialize, Deserialize)]
pub(super) struct StepLine {
    pub step: u64,
    pub epoch: u64,
    pub loss: f32,
    pub hits: u32,
}

impl Trainer<'_> {
    /// Opens the files of lines, cut back to where the run stands, and the epochs so far; brings back the best whole
    /// epoch's weights.
    pub(super) fn logs(&self) -> Result<(Vec<EpochMetrics>, Logs), RunError> {
        let Position { epochs, steps, .. } = self.position;
        if self.folder.file(BEST_WHOLE).exists() {
            self.folder.rename(BEST_WHOLE, BEST)?;
        }
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

    /// Weights, running state, moments and position: what a resumed run starts from.
    pub(super) async fn save_last(&mut self) -> Result<(), RunError> {
        self.save(LAST, Some(self.position.clone())).await
    }

    pub(super) async fn save(&mut self, name: &str, position: Option<Position>) -> Result<(), RunError> {
        let tensors = setup::read_all(self.executor, position.is_some()).await?;
        let Position { epochs, steps, best, .. } = self.position;
        let named = tensors.iter().map(|(name, values)| (name.as_str(), values.as_slice()));
        if let Some(unfit) = checkpoint::unfit(named) {
            let (tensor, value) = (unfit.tensor, unfit.value);
            let epoch = epochs + u64::from(self.position.under_way.steps > 0);
            return Err(RunError::NotFinite { tensor, value, step: steps, epoch });
        }
        let description = Description {
            threshold: best.map_or(0.5, |best| best.threshold),
            threshold_at_far: best.and_then(|best| best.threshold_at_far),
            epoch: epochs,
            step: steps,
            ..self.description.clone()
        };
        let metadata = Metadata { description, position };
        checkpoint::save(&self.folder.file(name), self.executor.plan(), &tensors, &metadata)?;
        Ok(())
    }
}
