//! What a resumed run goes on from: a checkpoint that is its own, or nothing.

use std::path::PathBuf;

use super::Failure;
use super::config::Config;
use crate::train::checkpoint::{self, CheckpointError, Weights};
use crate::train::fingerprint::{self, Fingerprint};
use crate::train::saving::{BEST, BEST_WHOLE, LAST};
use crate::train::{EpochMetrics, FolderError, Position, RunFolder};

/// The last checkpoint of a folder, checked against what stands beside it.
pub struct Resumed {
    pub path: PathBuf,
    pub weights: Weights,
    pub position: Position,
    /// Absent from runs of versions that had none.
    pub run: Option<Fingerprint>,
}

impl Resumed {
    /// Reads the checkpoint of a run. `None` where it has none yet.
    ///
    /// # Errors
    /// Some of the folder's files are missing, cut or of another run. Nothing is changed.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>, Failure> {
        let path = folder.file(LAST);
        // A killed run has nothing without its checkpoint but settings, and lines that were not due yet.
        if !path.exists() {
            let left = [BEST, "metrics.jsonl"]
                .into_iter()
                .find(|name| std::fs::metadata(folder.file(name)).is_ok_and(|file| file.len() > 0));
            return match left {
                None => Ok(None),
                Some(left) => {
                    Err(incomplete(path, &format!("is missing, though the run has come as far as {left}")))
                }
            };
        }
        let weights = checkpoint::load(&path)?;
        let Some(metadata) = weights.metadata.clone() else {
            return Err(metadata(path, "it is of another program").into());
        };
        let Some(position) = metadata.position else {
            return Err(self::metadata(path, "the position of the run is missing").into());
        };
        let run = metadata.description.run;
        if let Some(best) = &position.best {
            let kept =
                [BEST_WHOLE, BEST].map(|name| folder.file(name)).into_iter().find(|path| path.exists());
            let Some(kept) = kept else {
                return Err(incomplete(
                    folder.file(BEST),
                    &format!("is missing, the best weights so far (epoch {})", best.epoch),
                ));
            };
            let best = checkpoint::load(&kept)?.metadata.and_then(|metadata| metadata.description.run);
            if best != run {
                let what = match (&best, &run) {
                    (Some(best), Some(run)) => best.differences(run),
                    _ => "one of the two is older".into(),
                };
                return Err(incomplete(kept, &format!("is of another run than {LAST}: {what}")));
            }
        }
        let lines =
            folder.whole_lines("metrics.jsonl", |line: &EpochMetrics| line.epoch <= position.epochs)?;
        if !lines.iter().map(|line| line.epoch).eq(1..=position.epochs) {
            return Err(incomplete(
                folder.file("metrics.jsonl"),
                &format!("has {} of the run's {} whole epochs", lines.len(), position.epochs),
            ));
        }
        Ok(Some(Resumed { path, weights, position, run }))
    }

    /// Whether settings are those that the checkpoint was trained with; `text` is that of their file.
    ///
    /// # Errors
    /// Names what differs, or what the file lacks.
    pub fn check_settings(&self, settings: &Config, file: &std::path::Path) -> Result<(), Failure> {
        let Some(run) = &self.run else { return Ok(()) };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let written: toml::Table = text.parse().unwrap_or_default();
        let needed = run.settings.keys().map(String::as_str).chain(super::config::ALWAYS.iter().copied());
        let missing: Vec<&str> = needed.filter(|key| !written.contains_key(*key)).collect();
        if let Some(first) = missing.first() {
            return Err(incomplete(
                file.to_path_buf(),
                &format!(
                    "was cut: it lacks `{first}` and {} others of the run's settings",
                    missing.len() - 1
                ),
            ));
        }
        // What may change is not in the checkpoint, and the same here on both sides.
        let began = settings.with_shaping(&run.settings)?;
        settings.check_resumed(&began)
    }

    /// Whether the data are those that the checkpoint was trained on.
    ///
    /// # Errors
    /// They are others.
    pub fn check_data(&self, data: &str, settings: &Config) -> Result<(), Failure> {
        if self.run.as_ref().is_none_or(|run| run.data == data) {
            return Ok(());
        }
        let folder =
            settings.data_dir.as_ref().map_or("its seed".into(), |folder| folder.display().to_string());
        Err(incomplete(
            self.path.clone(),
            &format!(
                "was trained on other images, labels or parts of {} than there are now, from {folder}: --data-dir must \
                 name the data that the run began with",
                settings.dataset
            ),
        ))
    }
}

/// What tells a run from others.
pub fn fingerprint(
    config: &Config,
    data: String,
    weights: &[(String, Vec<f32>)],
) -> Result<Fingerprint, Failure> {
    Ok(Fingerprint { settings: config.shaping()?, data, start: fingerprint::of_weights(weights) })
}

fn incomplete(path: PathBuf, message: &str) -> Failure {
    FolderError::Incomplete { path, message: message.into() }.into()
}

fn metadata(path: PathBuf, message: &str) -> CheckpointError {
    CheckpointError::Metadata { path, message: message.into() }
}
