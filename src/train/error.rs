//! Why a run ends badly.

use std::path::PathBuf;

use super::checkpoint::CheckpointError;
use super::examples::Measure;
use super::folder::FolderError;
use crate::data::DataError;
use crate::plan::BatchLayout;
use crate::session::SessionError;

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
        "the network collapsed: after step {step} (epoch {epoch}) it makes nearly the same of all images: {seen}; use a \
         smaller --lr, more --warmup or another --loss or --seed, and where none helps look whether images and labels \
         can be learned at all. Earlier checkpoints are intact"
    )]
    Collapsed { step: u64, epoch: u64, seen: String },
    #[error(
        "the network collapsed: after {step} steps its best validation (epoch {epoch}) is no better than chance: \
         {accuracy:.2} % of {} right; use another --lr, --loss or --seed, and where none helps look whether images and \
         labels can be learned at all", measure.name()
    )]
    LearnedNothing { step: u64, epoch: u64, accuracy: f64, measure: Measure },
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

impl RunError {
    /// Whether it tells of the training itself: a result, if a bad one.
    pub fn is_of_training(&self) -> bool {
        matches!(
            self,
            RunError::Diverged { .. }
                | RunError::NotFinite { .. }
                | RunError::Collapsed { .. }
                | RunError::LearnedNothing { .. }
                | RunError::Session(SessionError::NotFinite { .. })
        )
    }
}
