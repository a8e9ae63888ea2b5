//! CIFAR-10 in its binary version: six files of records, plain or gzipped.
//!
//! Format: records of 3,073 bytes, nothing between or before them: a label (0 to 9), then 1,024 red,
//! 1,024 green and 1,024 blue bytes, row by row. Source: A. Krizhevsky, "Learning Multiple Layers of
//! Features from Tiny Images" (2009).
//!
//! Copies are told from the original: lossy ones are about, and results on them do not compare with
//! published ones. There is no published checksum of the unpacked files, but there are the means and
//! standard deviations of the training pixels, to seven digits, which no lossy copy keeps.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::content::{Content, looks_like};
use super::{DataError, Dataset, Shape, search};

/// The name that users write.
pub const NAME: &str = "cifar10";
/// The name that people write.
pub const TITLE: &str = "CIFAR-10";
/// Size of an image.
pub const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };

/// A label and an image.
pub const RECORD: usize = 1 + 3 * 32 * 32;
/// The most bytes that one file may have: ten times the original's.
pub const LIMIT: u64 = 100_000 * RECORD as u64;

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// MD5 of the 60,000 labels, a byte each, training before test.
const LABELS_MD5: &str = "f8f5d533d58aebceda8f45f2593c8bbf";

/// Means and standard deviations of the original's training pixels, divided by 255: red, green, blue.
const MEANS: [f64; 3] = [0.491_399_68, 0.482_158_41, 0.446_530_91];
const DEVIATIONS: [f64; 3] = [0.247_032_23, 0.243_485_13, 0.261_587_84];
/// How far rounding may put such a figure off: they were published as computed in f32.
const ROUNDING: f64 = 1e-6;

/// MD5 of the files of a known lossy copy: quality 75, colours at half the size.
const JPEG_COPY_MD5: [&str; 6] = [
    "5a5142663b2c457eb7edf61944cf14cd",
    "a03813b579934887e19fffa24f57e096",
    "9338b8beb58f9f053aa7e7f6d2ca26a1",
    "5d6a4b059305fb3437429da7d5355351",
    "b543e7acd6f6cab339de5ace5ae323ae",
    "11e2161f06e495577766fe4411c65d23",
];

/// Labels and images of a file.
#[derive(Debug)]
pub struct Records {
    pub labels: Vec<u32>,
    /// NCHW bytes, image after image.
    pub images: Vec<u8>,
}

/// Loads the six files from the first of DIR/cifar10, DIR/cifar-10-batches-bin and DIR that has them
/// all: the five training files one after another, then the test file.
///
/// The title says whether it is the original, and a warning what else it is.
///
/// # Errors
///
/// No place has all six files; a file cannot be read, is damaged, is no whole number of records, or
/// has a label above 9.
pub fn load(dir: &Path) -> Result<Dataset, DataError> {
    let paths = find(dir)?;
    let (mut labels, mut images, mut train_images) = (Vec::new(), Vec::new(), 0);
    let mut checksums = Vec::with_capacity(FILES.len());
    for path in &paths {
        train_images = labels.len();
        let (records, md5) = records(Content::open(path)?)?;
        labels.extend(records.labels);
        images.extend(records.images);
        checksums.push(md5);
    }
    let (title, warnings) = provenance(&paths, &checksums, &labels, &images, train_images);
    Ok(Dataset {
        name: NAME.to_owned(),
        title,
        shape: SHAPE,
        images,
        labels,
        classes: CLASSES.map(str::to_owned).to_vec(),
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images,
        warnings,
    })
}

/// Finds the six files in one folder.
///
/// # Errors
/// [`DataError::NotFound`], with all places that were searched.
pub fn find(dir: &Path) -> Result<[PathBuf; 6], DataError> {
    let places = [dir.join(NAME), dir.join("cifar-10-batches-bin"), dir.to_owned()];
    search::find(NAME, &places, &FILES.map(|file| vec![file.to_owned(), format!("{file}.gz")]))
}

/// The records in the bytes of a file; `path` is for messages.
///
/// # Errors
/// As [`load`], of one file.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Records, DataError> {
    Ok(records(Content::of(path, bytes, bytes.len() as u64)?)?.0)
}

/// Reads all records; also returns the MD5 of the uncompressed content.
fn records(mut file: Content<'_>) -> Result<(Records, String), DataError> {
    // One byte more shows whether something follows.
    let bytes = file.read(LIMIT + 1).map_err(|source| {
        let expected = (file.offset + 1).next_multiple_of(RECORD as u64);
        file.failed(source, expected, "records of 3073 bytes")
    })?;
    let path = || file.path.to_owned();
    if bytes.len() as u64 > LIMIT {
        return Err(DataError::TooLong { path: path(), limit: LIMIT });
    }
    if bytes.is_empty() {
        return Err(DataError::Empty { path: path(), offset: 0, field: "number of records" });
    }
    let (whole, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(misfit(&file, &bytes));
    }
    let largest = CLASSES.len() as u32 - 1;
    let mut records = Records {
        labels: Vec::with_capacity(whole.len()),
        images: Vec::with_capacity(bytes.len() - whole.len()),
    };
    for (index, [label, image @ ..]) in whole.iter().enumerate() {
        if u32::from(*label) > largest {
            let offset = (index * RECORD) as u64;
            return Err(DataError::Label { path: path(), index, offset, value: *label, largest });
        }
        records.labels.push(u32::from(*label));
        records.images.extend_from_slice(image);
    }
    Ok((records, file.md5()))
}

/// The error for bytes that are no whole number of records: another kind of file, or half a file.
fn misfit(file: &Content<'_>, bytes: &[u8]) -> DataError {
    let path = file.path.to_owned();
    let start = bytes.first_chunk().map_or(0, |start| u32::from_be_bytes(*start));
    let looks_like = looks_like(start);
    if looks_like != super::content::UNKNOWN_KIND {
        return DataError::Kind {
            path,
            looks_like,
            wanted: "a file of CIFAR-10's binary version",
            remedy: "Take the files of cifar-10-binary.tar.gz, unpacked",
        };
    }
    let found = bytes.len() as u64;
    let expected = found.next_multiple_of(RECORD as u64);
    DataError::Truncated { path, found, expected, what: "records of 3073 bytes" }
}

/// What to call the set, and what to tell of it.
fn provenance(
    paths: &[PathBuf],
    checksums: &[String],
    labels: &[u32],
    images: &[u8],
    train_images: usize,
) -> (String, Vec<String>) {
    let copy = |warning| (format!("{TITLE} (another copy)"), vec![warning]);
    let folder = paths[0].parent().unwrap_or(Path::new("")).display();
    if checksums == JPEG_COPY_MD5 {
        let warning = format!(
            "{folder} holds a lossy copy of {TITLE}, recompressed as JPEG (by its MD5); results on it compare with \
             each other, not with published ones"
        );
        return (format!("{TITLE} (JPEG copy)"), vec![warning]);
    }
    let bytes: Vec<u8> = labels.iter().map(|&label| label as u8).collect();
    if hex(&Md5::digest(&bytes)) != LABELS_MD5 || train_images != 50_000 {
        return copy(format!(
            "{folder} holds other labels than {TITLE}, or in another order; results will not compare with published ones"
        ));
    }
    let (means, deviations) = statistics(&images[..train_images * SHAPE.len()]);
    let near = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= ROUNDING);
    if near(means, MEANS) && near(deviations, DEVIATIONS) {
        return (TITLE.to_owned(), Vec::new());
    }
    copy(format!(
        "{folder} holds other pixels than {TITLE}: deviations of red, green and blue {deviations:.4?}, published \
         {DEVIATIONS:.4?}; results will not compare with published ones"
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Means and standard deviations by colour, of values divided by 255; the sums are exact.
fn statistics(images: &[u8]) -> ([f64; 3], [f64; 3]) {
    let plane = SHAPE.height * SHAPE.width;
    let mut sums = [(0u64, 0u64); 3];
    for (number, values) in images.chunks_exact(plane).enumerate() {
        let (sum, squares) = &mut sums[number % 3];
        for &value in values {
            *sum += u64::from(value);
            *squares += u64::from(value) * u64::from(value);
        }
    }
    let count = (images.len() / 3).max(1) as f64;
    let means = sums.map(|(sum, _)| sum as f64 / count / 255.0);
    let deviations = std::array::from_fn(|colour| {
        let square = sums[colour].1 as f64 / count / (255.0 * 255.0);
        (square - means[colour] * means[colour]).max(0.0).sqrt()
    });
    (means, deviations)
}
