//! What ends the program, and its exit code.

use std::process::ExitCode;

use crate::data::DataError;
use crate::executor::ExecutorError;
use crate::gpu::adapters::NoAdapter;
use crate::model::ModelError;
use crate::plan::PlanError;
use crate::train::{CheckpointError, RunError};

/// Exit code of a run that was interrupted, its checkpoint saved.
pub const INTERRUPTED: u8 = 130;

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
    #[error("{0}")]
    Output(String),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<ExecutorError> for Failure {
    fn from(error: ExecutorError) -> Self {
        Failure::Run(error.into())
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Failure::Run(error.into())
    }
}

impl Failure {
    /// The documented exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Usage(_) | Failure::Model(_) => 2,
            Failure::Plan(PlanError::TooLarge { .. } | PlanError::TooLong { .. }) => 7,
            Failure::Plan(_) => 2,
            Failure::Adapter(_) => 4,
            Failure::Output(_) => 6,
            Failure::Run(error) => match error {
                RunError::Data(DataError::UnknownDataset { .. } | DataError::NoFolder { .. }) => 2,
                RunError::TooFewPairs { .. } => 2,
                RunError::Data(_) => 3,
                RunError::Checkpoint(CheckpointError::Write { .. }) | RunError::Write { .. } => 6,
                RunError::Checkpoint(_) => 3,
                RunError::Diverged { .. } => 5,
                RunError::Executor(ExecutorError::OutOfMemory(_)) => 7,
                RunError::Executor(_) => 4,
            },
        })
    }
}
