//! What ends the program, and its exit code.

use std::path::Path;

use crate::data::DataError;
use crate::gpu::adapters::NoAdapter;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::session::SessionError;
use crate::train::{CheckpointError, FolderError, RunError, output};

/// Exit code of a run that was interrupted, its checkpoint saved.
pub const INTERRUPTED: u8 = 130;

/// Exit code of a run that diverged, and where a network has collapsed.
pub const DIVERGED: u8 = 5;

/// Exit code where data or weights are bad or missing.
pub const BAD_DATA: u8 = 3;

/// Why the program ends with another code than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Adapter(#[from] NoAdapter),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(
        "the run needs about {} of memory, and {what} has {} free; use a smaller --batch-size or data set, \
         or another --adapter",
        size(*needed),
        size(*free)
    )]
    Memory { what: String, needed: u64, free: u64 },
    #[error("{0}")]
    Output(String),
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        Failure::Run(error.into())
    }
}

impl Failure {
    /// A file that cannot be written; `elsewhere` names the flag that chooses another.
    pub fn unwritable(path: &Path, elsewhere: &str, error: &std::io::Error) -> Self {
        let remedy = output::remedy(error, elsewhere);
        Failure::Output(format!("{}: cannot be written: {error}; {remedy}", path.display()))
    }

    /// The documented exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Model(_) => 2,
            Failure::Plan(
                PlanError::TooLarge { .. } | PlanError::TooLong { .. } | PlanError::Unfusable { .. },
            ) => 7,
            Failure::Plan(_) => 2,
            Failure::Adapter(_) => 4,
            Failure::Memory { .. } => 7,
            Failure::Output(_) => 6,
            Failure::Run(error) => match error {
                RunError::Data(
                    DataError::UnknownDataset { .. }
                    | DataError::NoFolder { .. }
                    | DataError::ImageSize { .. }
                    | DataError::NoAlphabets { .. }
                    | DataError::TooFewGroups { .. }
                    | DataError::NotSquare { .. }
                    | DataError::Sampling { .. },
                ) => 2,
                RunError::TooFew { .. } => 2,
                RunError::NoEpoch { .. } => BAD_DATA,
                RunError::Data(_) => BAD_DATA,
                RunError::Checkpoint(CheckpointError::Write { .. }) => 6,
                RunError::Checkpoint(_) => 3,
                RunError::Folder(FolderError::Write { .. }) => 6,
                RunError::Folder(FolderError::Line { .. } | FolderError::Incomplete { .. }) => 3,
                RunError::Folder(_) => 2,
                RunError::Session(SessionError::OutOfMemory(_)) => 7,
                error if error.is_of_training() => DIVERGED,
                _ => 4,
            },
        }
    }
}
