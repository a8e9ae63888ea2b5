//! Every file that the program writes: whole or not at all, where files can be so.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

/// Writes a file. A regular one is replaced by a whole one, written aside, synced and renamed; it keeps its mode and
/// its owner, and what a symbolic link names is replaced, not the link. A pipe, a device or an open descriptor
/// (`/dev/stdout`) is written to as it is.
///
/// # Errors
/// What the file system reports; a regular file is then as it was.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let target = Target::of(path)?;
    match &target {
        Target::Direct(path) => OpenOptions::new().append(true).open(path)?.write_all(contents),
        Target::Aside { file, before } => {
            let (aside, mut written) = target.aside(file)?;
            let whole = (|| {
                written.write_all(contents)?;
                if let Some(before) = before {
                    keep(&written, before)?;
                }
                written.sync_all()?;
                std::fs::rename(&aside, file)
            })();
            if let Err(error) = whole {
                // Half a file helps nobody, and its room may be what is missing.
                let _ = std::fs::remove_file(&aside);
                return Err(error);
            }
            // The rename itself lies in the folder. Not every system can sync one.
            #[cfg(unix)]
            if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        }
    }
}

/// Whether a file could be written now: asked before the work, not after it. Leaves nothing behind.
///
/// # Errors
/// What the file system reports.
pub fn check(path: &Path) -> Result<()> {
    let target = Target::of(path)?;
    // Opening a pipe would wait for its reader, and its end would be the reader's end.
    if let Target::Aside { file, .. } = &target {
        let (aside, _) = target.aside(file)?;
        std::fs::remove_file(aside)?;
    }
    Ok(())
}

/// What a user can do about it. `elsewhere` names the flag that chooses another place.
pub fn remedy(error: &Error, elsewhere: &str) -> String {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            format!("free some space or choose another {elsewhere}")
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("the file system is mounted read-only: choose another {elsewhere}")
        }
        ErrorKind::NotFound => {
            format!("its folder is not there (any more): make it, or choose another {elsewhere}")
        }
        ErrorKind::PermissionDenied => {
            format!("allow writing there, or choose another {elsewhere}")
        }
        _ => format!("choose another {elsewhere}"),
    }
}

/// How a path is written to.
enum Target {
    /// A regular file, or none yet, links followed.
    Aside {
        file: PathBuf,
        before: Option<Metadata>,
    },
    Direct(PathBuf),
}

/// Links that lead to links, at most.
const LINKS: usize = 40;

impl Target {
    fn of(path: &Path) -> Result<Self> {
        let mut file = path.to_path_buf();
        for _ in 0..LINKS {
            // An open descriptor has a name there, but is more than the file behind it.
            if cfg!(unix) && (file.starts_with("/dev/fd") || file.starts_with("/proc")) && file.exists() {
                return Ok(Target::Direct(file));
            }
            match std::fs::symlink_metadata(&file) {
                Ok(before) if before.is_symlink() => {
                    let named = std::fs::read_link(&file)?;
                    // A relative link is one from its own folder.
                    file = file.parent().unwrap_or(Path::new("")).join(named);
                }
                Ok(before) if before.is_file() => {
                    OpenOptions::new().write(true).open(&file)?;
                    return Ok(Target::Aside { file, before: Some(before) });
                }
                Ok(before) if before.is_dir() => return Err(ErrorKind::IsADirectory.into()),
                Ok(_) => return Ok(Target::Direct(file)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Target::Aside { file, before: None });
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::other("a symbolic link leads to itself"))
    }

    /// The new file beside the one that it is to replace.
    fn aside(&self, file: &Path) -> Result<(PathBuf, File)> {
        let mut aside = file.as_os_str().to_owned();
        aside.push(".partial");
        let aside = PathBuf::from(aside);
        // What a killed process left; were it a link, what it names would be lost.
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = OpenOptions::new().write(true).create_new(true).open(&aside)?;
        Ok((aside, written))
    }
}

/// Gives a new file the mode and, where that is allowed, the owner of the old one.
fn keep(new: &File, before: &Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let _ = fchown(new, Some(before.uid()), Some(before.gid()));
    }
    new.set_permissions(before.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_the_file_as_it_was() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        write(&path, b"good").unwrap();
        // A folder stands where the new file would be written first.
        std::fs::create_dir(parent.path().join("file.partial")).unwrap();
        assert!(write(&path, b"new").is_err() && check(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"good");
        assert!(write(parent.path(), b"new").is_err() && check(parent.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn modes_and_links_stay_and_pipes_and_devices_are_written_to() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        write(&at("file"), b"old").unwrap();
        std::fs::set_permissions(at("file"), PermissionsExt::from_mode(0o640)).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        symlink("../file", at("folder/link")).unwrap();
        symlink("folder/link", at("link")).unwrap();
        symlink("later", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        check(&at("link")).unwrap();
        write(&at("link"), b"through two links").unwrap();
        write(&at("dangling"), b"new").unwrap();
        assert!(write(&at("circle"), b"").is_err());
        assert_eq!(std::fs::read(at("file")).unwrap(), b"through two links");
        assert_eq!(std::fs::read(at("later")).unwrap(), b"new");
        assert_eq!(std::fs::metadata(at("file")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(["link", "folder/link", "dangling"].iter().all(|name| at(name).is_symlink()));

        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let (pipe, reader) = (at("pipe"), at("pipe"));
        let read = std::thread::spawn(move || std::fs::read(reader).unwrap());
        check(&pipe).unwrap();
        write(&pipe, b"through a pipe").unwrap();
        assert_eq!(read.join().unwrap(), b"through a pipe");
        assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), b"away").unwrap();
        if Path::new("/dev/full").exists() {
            assert_eq!(write(Path::new("/dev/full"), b"x").unwrap_err().kind(), ErrorKind::StorageFull);
        }
        let left: Vec<_> =
            std::fs::read_dir(parent.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".partial")), "{left:?}");
    }
}
