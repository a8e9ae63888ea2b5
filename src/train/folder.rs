//! The folder of a run: one process at a time, files that are whole or absent, lines in step with
//! the checkpoint.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::output::{self, remedy};

/// Name of the file that a process locks while it trains into the folder.
const LOCK: &str = ".lock";

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{}: cannot be written: {source}; {}", path.display(), remedy(source, "--run-dir"))]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "--run-dir {}: another process is training into this folder; wait for it, or name another folder",
        path.display()
    )]
    Busy { path: PathBuf },
    #[error(
        "--run-dir {}: the folder is not empty; go on with its run by --resume, or name a new folder, \
         so that no earlier run is lost",
        path.display()
    )]
    NotEmpty { path: PathBuf },
    #[error(
        "--run-dir {}: the folder has files but no config.toml, so it is no run to resume; \
         name the folder of a run, or a new one",
        path.display()
    )]
    NoRun { path: PathBuf },
    #[error("--run-dir {}: is a file; name a folder, or a path where there is nothing yet", path.display())]
    IsFile { path: PathBuf },
    #[error("{}: {message}; restore the file, or start anew in another folder", path.display())]
    Incomplete { path: PathBuf, message: String },
    #[error("{}: line {line} is not one of this program's: {message}; restore the file, or start anew", path.display())]
    Line { path: PathBuf, line: usize, message: String },
}

/// A run's folder, held by this process until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
    /// Folders that were made for it, outermost first.
    made: Vec<PathBuf>,
    /// Whether nobody had locked it before.
    is_new: bool,
}

/// A start that was refused leaves nothing behind.
impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.is_new || self.file("config.toml").exists() {
            return;
        }
        let _ = std::fs::remove_file(self.file(LOCK));
        // Only empty ones go.
        let _ = self.made.iter().rev().try_for_each(std::fs::remove_dir);
    }
}

impl RunFolder {
    /// Takes a folder for a run of its own: new, or empty.
    ///
    /// # Errors
    /// The folder has files, is in use, or cannot be made.
    pub fn create(path: &Path) -> Result<Self, FolderError> {
        let folder = Self::take(path)?;
        if folder.entries()?.is_empty() {
            return Ok(folder);
        }
        Err(FolderError::NotEmpty { path: path.to_path_buf() })
    }

    /// Takes a folder to go on with its run; one without a run is for a new one.
    ///
    /// # Errors
    /// The folder has files but no run, is in use, or cannot be made.
    pub fn resume(path: &Path) -> Result<Self, FolderError> {
        let folder = Self::take(path)?;
        let entries = folder.entries()?;
        let is_run = |name: &String| name == "config.toml" || name.ends_with(".partial");
        if entries.is_empty() || entries.iter().any(is_run) {
            return Ok(folder);
        }
        Err(FolderError::NoRun { path: path.to_path_buf() })
    }

    /// The next free folder under `parent`, as in `runs/3-sn-lenet5-glyphs`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn numbered(parent: &Path, suffix: &str) -> Result<Self, FolderError> {
        let unwritable = |path: &Path, source| FolderError::Write { path: path.to_path_buf(), source };
        let mut made = make(parent).map_err(|source| unwritable(parent, source))?;
        let taken = std::fs::read_dir(parent)
            .map_err(|source| unwritable(parent, source))?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.split('-').next()?.parse::<u64>().ok())
            .max()
            .unwrap_or(0);
        let mut number = taken.saturating_add(1);
        loop {
            let path = parent.join(format!("{number}-{suffix}"));
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    let mut folder = Self::create(&path)?;
                    made.push(path);
                    folder.made = made;
                    return Ok(folder);
                }
                // Another run was quicker.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(unwritable(&path, error)),
            }
        }
    }

    fn take(path: &Path) -> Result<Self, FolderError> {
        let unwritable = |source| FolderError::Write { path: path.to_path_buf(), source };
        if path.is_file() {
            return Err(FolderError::IsFile { path: path.to_path_buf() });
        }
        let made = make(path).map_err(unwritable)?;
        let is_new = !path.join(LOCK).exists();
        // The operating system frees the lock of a process that was killed.
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(RunFolder { path: path.to_path_buf(), _lock: lock, made, is_new }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy { path: path.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }

    /// Names of the folder's files, without the lock.
    fn entries(&self) -> Result<Vec<String>, FolderError> {
        let unreadable = |source| FolderError::Write { path: self.path.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
            if name != LOCK {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Replaces a file by a whole one.
    ///
    /// # Errors
    /// [`FolderError::Write`]
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), FolderError> {
        let path = self.file(name);
        output::write(&path, contents).map_err(|source| FolderError::Write { path, source })
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// [`FolderError::Write`]
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let path = self.file(to);
        std::fs::rename(self.file(from), &path).map_err(|source| FolderError::Write { path, source })
    }

    /// Reads a file of one JSON object a line and cuts off, from the first line on that `keep`
    /// refuses, what a killed process wrote after its last checkpoint. Returns the lines kept.
    ///
    /// # Errors
    /// A line that is no `T`, except an unfinished last one; a file that cannot be read or cut.
    pub fn lines<T: DeserializeOwned>(
        &self,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, FolderError> {
        let (lines, kept, text) = self.parse(name, keep)?;
        if kept < text.len() {
            self.write(name, &text.as_bytes()[..kept])?;
        }
        Ok(lines)
    }

    /// The same lines, but nothing is cut off.
    ///
    /// # Errors
    /// As [`Self::lines`].
    pub fn whole_lines<T: DeserializeOwned>(
        &self,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, FolderError> {
        Ok(self.parse(name, keep)?.0)
    }

    /// Lines up to the first that `keep` refuses, how many bytes they have, and the whole text.
    fn parse<T: DeserializeOwned>(
        &self,
        name: &str,
        keep: impl Fn(&T) -> bool,
    ) -> Result<(Vec<T>, usize, String), FolderError> {
        let path = self.file(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(FolderError::Write { path, source }),
        };
        let (mut lines, mut length) = (Vec::new(), 0);
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                break;
            }
            let value: T = serde_json::from_str(line).map_err(|error| FolderError::Line {
                path: path.clone(),
                line: number + 1,
                message: error.to_string(),
            })?;
            if !keep(&value) {
                break;
            }
            length += line.len();
            lines.push(value);
        }
        Ok((lines, length, text))
    }
}

/// Makes a folder and those around it; returns the new ones, outermost first.
fn make(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists());
    let mut made: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
    made.reverse();
    std::fs::create_dir_all(path)?;
    Ok(made)
}

/// A file to which a run adds a JSON object a line.
pub struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    /// Adds to the file, or starts it.
    ///
    /// # Errors
    /// [`FolderError::Write`]
    pub fn append(path: PathBuf) -> Result<Self, FolderError> {
        match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => Ok(Lines { file: BufWriter::new(file), path }),
            Err(source) => Err(FolderError::Write { path, source }),
        }
    }

    /// Adds a line, which may stay in memory until [`Self::flush`].
    ///
    /// # Errors
    /// [`FolderError::Write`]
    pub fn add(&mut self, value: &impl Serialize) -> Result<(), FolderError> {
        let written = serde_json::to_string(value)
            .map_err(std::io::Error::from)
            .and_then(|json| writeln!(self.file, "{json}"));
        self.checked(written)
    }

    /// Brings all lines to the disk.
    ///
    /// # Errors
    /// [`FolderError::Write`]
    pub fn flush(&mut self) -> Result<(), FolderError> {
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        self.checked(flushed)
    }

    fn checked(&self, outcome: std::io::Result<()>) -> Result<(), FolderError> {
        outcome.map_err(|source| FolderError::Write { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        step: u64,
    }

    #[test]
    fn a_folder_is_held_by_one() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let held = RunFolder::create(&path).unwrap();
        assert!(matches!(RunFolder::resume(&path), Err(FolderError::Busy { .. })));
        drop(held);
        RunFolder::resume(&path).unwrap();
    }

    #[test]
    fn a_folder_with_files_is_no_place_for_a_new_run() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join("notes"), "mine").unwrap();
        assert!(matches!(RunFolder::create(parent.path()), Err(FolderError::NotEmpty { .. })));
        assert!(matches!(RunFolder::resume(parent.path()), Err(FolderError::NoRun { .. })));
        std::fs::write(parent.path().join("config.toml"), "").unwrap();
        RunFolder::resume(parent.path()).unwrap();
    }

    /// But nothing that was there before goes, and no run.
    #[test]
    fn what_was_made_for_nothing_goes_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/run");
        drop(RunFolder::create(&path).unwrap());
        assert!(!parent.path().join("a").exists());
        drop(RunFolder::numbered(&parent.path().join("runs"), "net").unwrap());
        assert!(!parent.path().join("runs").exists());
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("notes"), "mine").unwrap();
        assert!(RunFolder::create(&path).is_err());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1, "the lock goes, the notes stay");
        std::fs::remove_file(path.join("notes")).unwrap();
        RunFolder::create(&path).unwrap().write("config.toml", b"").unwrap();
        assert!(path.join("config.toml").exists());
    }

    #[test]
    fn numbers_go_on() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::create_dir(parent.path().join("7-old")).unwrap();
        let next = || {
            let folder = RunFolder::numbered(parent.path(), "net").unwrap();
            folder.write("config.toml", b"").unwrap();
            folder.path().to_path_buf()
        };
        assert_eq!(next(), parent.path().join("8-net"));
        assert_eq!(next(), parent.path().join("9-net"));
    }

    #[test]
    fn lines_behind_the_checkpoint_are_cut_off() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path()).unwrap();
        let path = folder.file("steps.jsonl");
        let whole = "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n";
        std::fs::write(&path, format!("{whole}{{\"st")).unwrap();
        let kept: Vec<Line> = folder.lines("steps.jsonl", |_| true).unwrap();
        assert_eq!(kept.len(), 3);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        let kept: Vec<Line> = folder.lines("steps.jsonl", |line: &Line| line.step <= 2).unwrap();
        assert_eq!(kept, [Line { step: 1 }, Line { step: 2 }]);
        let mut lines = Lines::append(path.clone()).unwrap();
        lines.add(&Line { step: 3 }).unwrap();
        lines.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path()).unwrap();
        std::fs::write(folder.file("metrics.jsonl"), "{\"step\":1}\nhello\n").unwrap();
        let error = folder.lines("metrics.jsonl", |_: &Line| true).unwrap_err();
        assert!(matches!(error, FolderError::Line { line: 2, .. }), "{error}");
    }
}
