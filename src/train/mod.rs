//! Trains: the loop over epochs, initial values, checkpoints, and the files of a run.

pub mod checkpoint;
pub mod epoch;
pub mod run;
pub mod setup;

pub use checkpoint::{CheckpointError, Weights};
pub use run::{Outcome, RunError, Schedule, Summary, Trainer, Watch};
