//! One IDX file, plain or gzipped, checked before it is believed.

use std::path::Path;

use crate::data::DataError;
use crate::data::content::{Content, looks_like};

/// The most bytes of pixels or labels that one file may declare: 1 GiB, 22 times MNIST.
pub const LIMIT: u64 = 1 << 30;

const IMAGES_MAGIC: u32 = 2051;
const LABELS_MAGIC: u32 = 2049;

/// The content of an image file.
#[derive(Debug)]
pub struct Images {
    pub count: usize,
    pub height: usize,
    pub width: usize,
    /// `count * height * width` bytes.
    pub bytes: Vec<u8>,
}

/// Reads an image file; also returns the MD5 of its uncompressed content, in hexadecimal.
pub(super) fn read_images(path: &Path) -> Result<(Images, String), DataError> {
    images(Content::open(path)?)
}

/// The images in the bytes of a file; `path` is for messages.
///
/// # Errors
/// The bytes are no image file, plain or gzipped.
pub fn parse_images(bytes: &[u8], path: &Path) -> Result<Images, DataError> {
    Ok(images(Content::of(path, bytes, bytes.len() as u64)?)?.0)
}

/// The labels, 0 to `largest`, in the bytes of a file; `path` is for messages.
///
/// # Errors
/// The bytes are no label file, plain or gzipped, or a label is too large.
pub fn parse_labels(bytes: &[u8], path: &Path, largest: u32) -> Result<Vec<u32>, DataError> {
    Ok(labels(Content::of(path, bytes, bytes.len() as u64)?, largest)?.0)
}

fn images(mut file: Content<'_>) -> Result<(Images, String), DataError> {
    file.magic(IMAGES_MAGIC, "image files")?;
    let count = file.size("number of images")?;
    let height = file.size("height")?;
    let width = file.size("width")?;
    let bytes = file.body([count, height, width], "pixels")?;
    let md5 = file.md5();
    // Below `LIMIT`, so they fit.
    let [count, height, width] = [count, height, width].map(|size| size as usize);
    Ok((Images { count, height, width, bytes }, md5))
}

/// Reads a label file, labels 0 to `largest`; also returns the MD5 of its uncompressed content.
pub(super) fn read_labels(path: &Path, largest: u32) -> Result<(Vec<u32>, String), DataError> {
    labels(Content::open(path)?, largest)
}

fn labels(mut file: Content<'_>, largest: u32) -> Result<(Vec<u32>, String), DataError> {
    file.magic(LABELS_MAGIC, "label files")?;
    let count = file.size("number of labels")?;
    let start = file.offset;
    let bytes = file.body([count, 1, 1], "labels")?;
    if let Some(index) = bytes.iter().position(|&label| u32::from(label) > largest) {
        return Err(DataError::Label {
            path: file.path.to_owned(),
            index,
            offset: start + index as u64,
            value: bytes[index],
            largest,
        });
    }
    Ok((bytes.into_iter().map(u32::from).collect(), file.md5()))
}

/// What IDX files have at their start and behind it.
impl Content<'_> {
    /// Reads a big-endian u32 of the header.
    fn header(&mut self, what: &'static str) -> Result<u32, DataError> {
        let expected = self.offset + 4;
        let bytes = self.read(4).map_err(|source| self.failed(source, expected, what))?;
        let bytes = <[u8; 4]>::try_from(bytes).map_err(|bytes| {
            let found = expected - 4 + bytes.len() as u64;
            DataError::Truncated { path: self.path.to_owned(), found, expected, what }
        })?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn magic(&mut self, expected: u32, wanted: &'static str) -> Result<(), DataError> {
        let found = self.header("magic number")?;
        if found == expected {
            return Ok(());
        }
        let path = self.path.to_owned();
        Err(DataError::Magic { path, found, expected, wanted, looks_like: looks_like(found) })
    }

    /// Reads a size of the header, which must not be zero.
    fn size(&mut self, field: &'static str) -> Result<u64, DataError> {
        let offset = self.offset;
        match self.header(field)? {
            0 => Err(DataError::Empty { path: self.path.to_owned(), offset, field }),
            size => Ok(u64::from(size)),
        }
    }

    /// Reads what the header declares, and checks that nothing follows.
    fn body(&mut self, sizes: [u64; 3], what: &'static str) -> Result<Vec<u8>, DataError> {
        let [count, height, width] = sizes;
        let length = count.checked_mul(height).and_then(|area| area.checked_mul(width));
        let Some(length) = length.filter(|&length| length <= LIMIT) else {
            let path = self.path.to_owned();
            let last = self.offset - 1;
            return Err(DataError::TooBig { path, last, count, height, width, limit: LIMIT });
        };
        let expected = self.offset + length;
        // One byte more shows whether something follows; for gzip, reaching the end checks the CRC.
        let bytes = self.read(length + 1).map_err(|source| self.failed(source, expected, what))?;
        if self.offset < expected {
            let path = self.path.to_owned();
            return Err(DataError::Truncated { path, found: self.offset, expected, what });
        }
        if self.offset > expected {
            return Err(DataError::Trailing { path: self.path.to_owned(), expected });
        }
        Ok(bytes)
    }
}
