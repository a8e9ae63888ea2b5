//! Trains: the loop over epochs, initial values, checkpoints, and the files of a run.

pub mod checkpoint;
pub mod description;
pub mod epoch;
pub mod error;
pub mod examples;
pub mod fingerprint;
pub mod folder;
mod foreign;
pub mod outcome;
pub mod output;
pub mod position;
pub mod rate;
pub mod run;
pub mod sampler;
pub mod saving;
pub mod setup;
mod steps;
pub mod summary;
pub mod watch;

pub use checkpoint::{CheckpointError, Metadata, Weights};
pub use description::Description;
pub use error::RunError;
pub use examples::{Examples, Measure};
pub use folder::{FolderError, RunFolder};
pub use outcome::{Outcome, Test};
pub use position::Position;
pub use rate::{Decay, Rate};
pub use run::{Schedule, Trainer};
pub use sampler::Sampler;
pub use summary::{EpochMetrics, Speed, Summary};
pub use watch::Watch;
