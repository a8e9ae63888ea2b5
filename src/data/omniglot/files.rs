//! The files of a folder, or of a ZIP archive, as if there were no difference.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::LIMIT;
use crate::data::DataError;

/// Most bytes of an archive.
pub const ARCHIVE_LIMIT: u64 = 1 << 30;
/// Most bytes of a file within: a drawing has some five hundred.
const FILE_LIMIT: u64 = 1 << 16;
/// Alphabet, character, drawing. Folders are looked into one deeper, to tell what lies too deep.
const DEPTH: usize = 3;

/// Names of files, and how to read them.
pub struct Files<'a> {
    /// The folder or archive.
    pub path: &'a Path,
    /// Where each file is, from there: folders, then the file.
    names: Vec<Vec<String>>,
    source: Source<'a>,
}

enum Source<'a> {
    Folder,
    /// The archive, and which of its entries each file is. A clone shares all but its place in the bytes.
    Archive(ZipArchive<Cursor<&'a [u8]>>, Vec<usize>),
}

/// A file two folders deep.
pub struct Drawing<'a> {
    pub folders: &'a [String; 2],
    /// Number of the file.
    pub number: usize,
}

impl<'a> Files<'a> {
    /// The files of a folder, sorted by name.
    ///
    /// # Errors
    /// It cannot be read, or has too many files, or an empty folder.
    pub fn of_folder(path: &'a Path) -> Result<Self, DataError> {
        let (mut names, mut folders) = (Vec::new(), Vec::new());
        walk(path, &mut Vec::new(), &mut names, &mut folders)?;
        names.sort_unstable();
        Self { path, names, source: Source::Folder }.without_gaps(&folders)
    }

    /// The files in the bytes of an archive, sorted by name; `outer` is a folder around them that may be there.
    ///
    /// # Errors
    /// It is damaged, or has too many files, or an empty folder.
    pub fn of_archive(path: &'a Path, bytes: &'a [u8], outer: &str) -> Result<Self, DataError> {
        let damaged =
            |error: ZipError| DataError::Archive { path: path.to_owned(), message: error.to_string() };
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        for entry in 0..archive.len() {
            let name = archive.name_for_index(entry).transpose().map_err(damaged)?.unwrap_or_default();
            let is_folder = name.ends_with(['/', '\\']);
            let mut parts: Vec<String> =
                name.split(['/', '\\']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if parts.first().is_some_and(|first| first == outer) {
                parts.remove(0);
            }
            if parts.is_empty() || parts.iter().any(|part| is_left_behind(part)) {
                continue;
            }
            if is_folder {
                folders.push(parts);
            } else {
                files.push((parts, entry));
            }
        }
        files.sort_unstable();
        let (names, entries) = files.into_iter().unzip();
        Self { path, names, source: Source::Archive(archive, entries) }.without_gaps(&folders)
    }

    fn without_gaps(self, folders: &[Vec<String>]) -> Result<Self, DataError> {
        if self.names.len() > LIMIT {
            let message = format!("{} files are more than the limit of {LIMIT}", self.names.len());
            return Err(DataError::Drawing { path: self.path.to_owned(), message });
        }
        let inhabited: HashSet<&[String]> =
            self.names.iter().flat_map(|name| (1..name.len()).map(|depth| &name[..depth])).collect();
        match folders.iter().find(|folder| !inhabited.contains(&folder[..])) {
            Some(folder) => {
                let message = "the folder is empty".into();
                Err(DataError::Drawing { path: self.join(folder), message })
            }
            None => Ok(self),
        }
    }

    /// The files two folders deep, sorted by name.
    ///
    /// # Errors
    /// There is none, or one that ends in `.png` lies elsewhere.
    pub fn drawings(&self) -> Result<Vec<Drawing<'_>>, DataError> {
        let mut drawings = Vec::with_capacity(self.names.len());
        for (number, name) in self.names.iter().enumerate() {
            let file = name.last().map_or(String::new(), |file| file.to_lowercase());
            match name.first_chunk() {
                // A licence, or a word to the reader.
                _ if !PICTURES.iter().any(|ending| file.ends_with(ending)) => {}
                _ if !file.ends_with(".png") => {
                    return Err(
                        self.wrong(number, "drawings are PNG files; convert it, or take it away".into())
                    );
                }
                Some(folders) if name.len() == DEPTH => drawings.push(Drawing { folders, number }),
                _ => return Err(self.wrong(number, "the drawing lies in no folder of a character".into())),
            }
        }
        if drawings.is_empty() {
            let message = "there are no drawings in it".into();
            return Err(DataError::Drawing { path: self.path.to_owned(), message });
        }
        Ok(drawings)
    }

    /// The names of all files: folders, then the file.
    pub fn names(&self) -> &[Vec<String>] {
        &self.names
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub fn read(&self, number: usize) -> Result<Vec<u8>, DataError> {
        let path = || self.join(&self.names[number]);
        let bytes = match &self.source {
            Source::Folder => File::open(path()).and_then(limited).map_err(|source| DataError::Read {
                path: path(),
                offset: 0,
                source,
            })?,
            Source::Archive(archive, entries) => {
                let mut archive = archive.clone();
                let damaged = |message| DataError::Archive { path: path(), message };
                let file = archive.by_index(entries[number]).map_err(|error| damaged(error.to_string()))?;
                limited(file).map_err(|error| damaged(error.to_string()))?
            }
        };
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(DataError::TooLong { path: path(), limit: FILE_LIMIT });
        }
        Ok(bytes)
    }

    /// The error for a file that is not what it should be.
    pub fn wrong(&self, number: usize, message: String) -> DataError {
        DataError::Drawing { path: self.join(&self.names[number]), message }
    }

    fn join(&self, name: &[String]) -> PathBuf {
        name.iter().fold(self.path.to_owned(), |path, part| path.join(part))
    }
}

/// How names of pictures end: whatever else lies beside drawings is none.
const PICTURES: [&str; 9] = [".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm"];

/// What systems, file managers and archivers leave behind in folders, by name.
fn is_left_behind(name: &str) -> bool {
    const NAMES: [&str; 5] =
        ["__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information"];
    name.starts_with('.') || NAMES.iter().any(|left| name.eq_ignore_ascii_case(left))
}

/// The bytes of an archive.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn read_archive(path: &Path) -> Result<Vec<u8>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(ARCHIVE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > ARCHIVE_LIMIT {
        return Err(DataError::TooLong { path: path.to_owned(), limit: ARCHIVE_LIMIT });
    }
    Ok(bytes)
}

/// All bytes, but not many more than a file may have.
fn limited(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Collects the files and folders below `root`/`place`, hidden ones left out.
fn walk(
    root: &Path,
    place: &mut Vec<String>,
    files: &mut Vec<Vec<String>>,
    folders: &mut Vec<Vec<String>>,
) -> Result<(), DataError> {
    let folder = place.iter().fold(root.to_owned(), |path, part| path.join(part));
    let unreadable = |source| DataError::Read { path: folder.clone(), offset: 0, source };
    for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else {
            let message = "a name that is no text".into();
            return Err(DataError::Drawing { path: entry.path(), message });
        };
        if is_left_behind(&name) {
            continue;
        }
        place.push(name);
        // Links are followed, but not deep enough for a circle to matter.
        if !entry.path().is_dir() {
            files.push(place.clone());
        } else if place.len() <= DEPTH {
            folders.push(place.clone());
            walk(root, place, files, folders)?;
        }
        place.pop();
    }
    Ok(())
}
