//! The official one-shot test: 20 runs, each with 20 drawings of as many characters of one alphabet, and 20 further
//! drawings, to be told which of the characters they are.
//!
//! Format: `runNN/training/classNN.png`, `runNN/test/itemNN.png` and `runNN/class_labels.txt`, whose lines name a
//! test file and the training file of its character. Source: Lake, Salakhutdinov and Tenenbaum (2015); `all_runs.zip`
//! of the authors' repository.

use std::collections::HashMap;
use std::path::Path;

use md5::{Digest, Md5};

use super::files::{self, Files};
use super::{SHAPE, decode_all, hex, place};
use crate::data::{Album, DataError, Fit, resize};

/// Characters of a run.
pub const WAY: usize = 20;

/// MD5 of each run's ink, 20 training files and 20 test files, and places of the right ones, a byte each.
const MD5: &str = "3b910352693ae4aadaa9be0f6822399d";

/// All runs.
#[derive(Clone, Debug)]
pub struct OfficialRuns {
    /// The images that tasks name.
    pub album: Album,
    /// 20 tasks of each run, run by run.
    pub tasks: Vec<OfficialTask>,
    /// What a user should know about this data.
    pub warnings: Vec<String>,
}

/// Which of 20 characters is it?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficialTask {
    /// Number of the run, from 0.
    pub run: usize,
    /// The image in question.
    pub query: u32,
    /// An image of each character.
    pub support: [u32; WAY],
    /// Place of the right one in `support`.
    pub right: usize,
}

/// Loads the runs from the folder `all_runs` or the archive `all_runs.zip`, where [`super::load`] looks too;
/// `size` is the (height, width) that images are to be fitted into, if not their own.
///
/// # Errors
/// There is no such folder or archive; it is damaged; a file of a run is missing or not as described.
pub fn official_runs(dir: &Path, size: Option<(usize, usize)>, fit: Fit) -> Result<OfficialRuns, DataError> {
    let path = place(dir, "all_runs")?;
    let mut runs = if path.is_dir() {
        runs(&Files::of_folder(&path)?)?
    } else {
        parse_runs(&files::read_archive(&path)?, &path)?
    };
    if let Some(size) = size {
        let (shape, images) = resize::resized(runs.album.shape, &runs.album.images, size, fit)?;
        runs.album = Album::of_images(shape, images);
    }
    Ok(runs)
}

/// The runs in the bytes of an archive; `path` is for messages.
///
/// # Errors
/// As [`official_runs`].
pub fn parse_runs(bytes: &[u8], path: &Path) -> Result<OfficialRuns, DataError> {
    runs(&Files::of_archive(path, bytes, "all_runs")?)
}

fn runs(files: &Files<'_>) -> Result<OfficialRuns, DataError> {
    let names = files.names();
    let number: HashMap<&[String], usize> =
        names.iter().enumerate().map(|(number, name)| (&name[..], number)).collect();
    let mut runs: Vec<&String> =
        names.iter().map(|name| &name[0]).filter(|name| name.starts_with("run")).collect();
    runs.dedup();
    if runs.is_empty() {
        let message = "there are no runs in it".into();
        return Err(DataError::OneShotRun { path: files.path.to_owned(), message });
    }
    let (mut pictures, mut tasks) = (Vec::new(), Vec::new());
    for (run, name) in runs.into_iter().enumerate() {
        let find = |rest: &[&str]| {
            let whole: Vec<String> =
                std::iter::once(name.as_str()).chain(rest.iter().copied()).map(str::to_owned).collect();
            number.get(&whole[..]).copied().ok_or_else(|| DataError::OneShotRun {
                path: whole.iter().fold(files.path.to_owned(), |path, part| path.join(part)),
                message: "the file is missing".into(),
            })
        };
        let first = pictures.len() as u32;
        for kind in ["training/class", "test/item"] {
            let (folder, file) = kind.split_once('/').unwrap_or_default();
            for place in 1..=WAY {
                pictures.push(find(&[folder, &format!("{file}{place:02}.png")])?);
            }
        }
        let labels = find(&["class_labels.txt"])?;
        let right = right(&files.read(labels)?, name).map_err(|message| DataError::OneShotRun {
            path: files.path.join(name).join("class_labels.txt"),
            message,
        })?;
        tasks.extend(right.into_iter().enumerate().map(|(item, right)| OfficialTask {
            run,
            query: first + (WAY + item) as u32,
            support: std::array::from_fn(|place| first + place as u32),
            right,
        }));
    }
    let (images, ink) = decode_all(files, pictures)?;
    let mut md5 = Md5::new();
    ink.iter().for_each(|ink| md5.update(ink));
    tasks.iter().for_each(|task| md5.update([task.right as u8]));
    let mut warnings = Vec::new();
    if hex(&md5.finalize()) != MD5 {
        warnings.push(format!(
            "{} holds other runs than the published ones; results will not compare",
            files.path.display()
        ));
    }
    Ok(OfficialRuns { album: Album::of_images(SHAPE, images), tasks, warnings })
}

/// For each test file the place of its training file, by the lines of `class_labels.txt`.
fn right(text: &[u8], run: &str) -> Result<[usize; WAY], String> {
    let text = std::str::from_utf8(text).map_err(|_| "no text".to_owned())?;
    let mut right = [None; WAY];
    for (line, words) in text.lines().enumerate().filter(|(_, words)| !words.trim().is_empty()) {
        let place = |word: Option<&str>, kind: &str| {
            let rest = word?.strip_prefix(run)?.strip_prefix(kind)?.strip_suffix(".png")?;
            rest.parse::<usize>().ok().and_then(|place| place.checked_sub(1)).filter(|&place| place < WAY)
        };
        let mut words = words.split_whitespace();
        let (item, class) = (place(words.next(), "/test/item"), place(words.next(), "/training/class"));
        let (Some(item), Some(class), None) = (item, class, words.next()) else {
            return Err(format!("line {}: not a test file and a training file of {run}", line + 1));
        };
        if right[item].replace(class).is_some() {
            return Err(format!("line {}: item{:02}.png stands twice", line + 1, item + 1));
        }
    }
    let mut places = [0; WAY];
    for (item, (place, right)) in places.iter_mut().zip(right).enumerate() {
        *place = right.ok_or_else(|| format!("item{:02}.png is missing", item + 1))?;
    }
    Ok(places)
}
