//! One IDX file, plain or gzipped, checked before it is believed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use crate::data::DataError;

/// The most bytes of pixels or labels that one file may declare: 1 GiB, 22 times MNIST.
pub const LIMIT: u64 = 1 << 30;

/// Bytes that are unpacked, then handed over to be hashed.
const CHUNK: u64 = 1 << 20;
/// Chunks that may wait for the hashing thread.
const CHUNKS_WAITING: usize = 8;

/// The most that deflate can shrink bytes.
const DEFLATE_RATIO: u64 = 1032;

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
    images(IdxFile::open(path)?)
}

/// The images in the bytes of a file; `path` is for messages.
///
/// # Errors
/// The bytes are no image file, plain or gzipped.
pub fn parse_images(bytes: &[u8], path: &Path) -> Result<Images, DataError> {
    Ok(images(IdxFile::of(path, bytes, bytes.len() as u64)?)?.0)
}

/// The labels, 0 to `largest`, in the bytes of a file; `path` is for messages.
///
/// # Errors
/// The bytes are no label file, plain or gzipped, or a label is too large.
pub fn parse_labels(bytes: &[u8], path: &Path, largest: u32) -> Result<Vec<u32>, DataError> {
    Ok(labels(IdxFile::of(path, bytes, bytes.len() as u64)?, largest)?.0)
}

fn images(mut file: IdxFile<'_>) -> Result<(Images, String), DataError> {
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
    labels(IdxFile::open(path)?, largest)
}

fn labels(mut file: IdxFile<'_>, largest: u32) -> Result<(Vec<u32>, String), DataError> {
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

/// A file as it is read, front to back: unpacked, counted and hashed on the way.
struct IdxFile<'a> {
    path: &'a Path,
    content: Box<dyn Read + Send + 'a>,
    gzipped: bool,
    /// Most bytes that the content can have, unless the file is a pipe.
    most: u64,
    /// Bytes of uncompressed content so far.
    offset: u64,
    hash: Md5,
}

impl<'a> IdxFile<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Self::of(path, BufReader::with_capacity(1 << 16, file), length)
    }

    /// A file of `length` bytes, from its start.
    fn of(path: &'a Path, mut file: impl Read + Send + 'a, length: u64) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
        let mut start = Vec::with_capacity(2);
        file.by_ref().take(2).read_to_end(&mut start).map_err(read)?;
        // By content, not by name: browsers and archivers unpack and rename.
        let gzipped = start == [0x1f, 0x8b];
        let raw = Cursor::new(start).chain(file);
        let (content, most): (Box<dyn Read + Send + 'a>, u64) = match gzipped {
            true => (Box::new(MultiGzDecoder::new(raw)), length.saturating_mul(DEFLATE_RATIO)),
            false => (Box::new(raw), length),
        };
        Ok(Self { path, content, gzipped, most, offset: 0, hash: Md5::new() })
    }

    /// Reads up to `length` bytes; fewer only at the end of the file.
    fn read(&mut self, length: u64) -> io::Result<Vec<u8>> {
        // A header may lie: memory is taken for what the file can hold, and for more than a usual
        // file only as bytes arrive.
        let mut bytes = Vec::with_capacity(length.min(self.most).min(64 << 20) as usize);
        let mut content = self.content.by_ref().take(length);
        let hash = &mut self.hash;
        // Unpacking and hashing take about as long: side by side they take half.
        let outcome = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(CHUNKS_WAITING);
            if length > CHUNK {
                scope.spawn(move || receiver.iter().for_each(|chunk| hash.update(&chunk)));
            }
            loop {
                let start = bytes.len();
                let outcome = content.by_ref().take(CHUNK).read_to_end(&mut bytes);
                if length > CHUNK {
                    // Nobody listens only where the hashing thread panicked, which the scope reports.
                    let _ = sender.send(bytes[start..].to_vec());
                }
                if !matches!(outcome, Ok(count) if count > 0) {
                    return outcome;
                }
            }
        });
        if length <= CHUNK {
            self.hash.update(&bytes);
        }
        self.offset += bytes.len() as u64;
        outcome.map(|_| bytes)
    }

    /// The error for a failed read: a gzip stream that just stops is a truncated file.
    fn failed(&self, source: io::Error, expected: u64, what: &'static str) -> DataError {
        let (path, offset) = (self.path.to_owned(), self.offset);
        match source.kind() {
            io::ErrorKind::UnexpectedEof if self.offset < expected => {
                DataError::Truncated { path, found: offset, expected, what }
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                if self.gzipped =>
            {
                DataError::Gzip { path, offset, source }
            }
            _ => DataError::Read { path, offset, source },
        }
    }

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

    fn md5(self) -> String {
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Completes "this ..." for the first four bytes of a file of the wrong kind.
fn looks_like(magic: u32) -> &'static str {
    match magic {
        IMAGES_MAGIC => "is an IDX image file",
        LABELS_MAGIC => "is an IDX label file",
        0x0308_0000 | 0x0108_0000 => "is an IDX file with its bytes swapped",
        0x8950_4e47 => "is a PNG picture",
        0x504b_0304 => "is a ZIP archive",
        0xffd8_ff00..=0xffd8_ffff => "is a JPEG picture",
        // Gzip is unpacked, so this is gzip within gzip.
        0x1f8b_0000..=0x1f8b_ffff => "was gzipped twice",
        0x3c21_444f | 0x3c21_646f | 0x3c68_746d | 0x3c48_544d => {
            "is a web page, perhaps a download's error message"
        }
        0x7665_7273 => "is a Git LFS pointer, not the file itself",
        0x0000_0800..=0x0000_0eff => "is an IDX file of another kind",
        _ => "is no IDX file",
    }
}
