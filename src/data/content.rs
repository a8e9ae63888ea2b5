//! One data file, plain or gzipped: unpacked, counted and hashed as it is read.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::mpsc;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::DataError;

/// Bytes that are unpacked, then handed over to be hashed.
const CHUNK: u64 = 1 << 20;
/// Chunks that may wait for the hashing thread.
const CHUNKS_WAITING: usize = 8;

/// The most that deflate can shrink bytes.
const DEFLATE_RATIO: u64 = 1032;

/// A file as it is read, front to back: unpacked, counted and hashed on the way.
pub struct Content<'a> {
    pub path: &'a Path,
    content: Box<dyn Read + Send + 'a>,
    gzipped: bool,
    /// Most bytes that the content can have, unless the file is a pipe.
    most: u64,
    /// Bytes of uncompressed content so far.
    pub offset: u64,
    hash: Md5,
}

impl<'a> Content<'a> {
    /// Opens a file.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn open(path: &'a Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        Self::of(path, BufReader::with_capacity(1 << 16, file), length)
    }

    /// A file of `length` bytes, from its start.
    ///
    /// # Errors
    /// Its first bytes cannot be read.
    pub fn of(path: &'a Path, mut file: impl Read + Send + 'a, length: u64) -> Result<Self, DataError> {
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
    ///
    /// # Errors
    /// What the system or the unpacking reports; [`Self::failed`] makes an error with the place of it.
    pub fn read(&mut self, length: u64) -> io::Result<Vec<u8>> {
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
    pub fn failed(&self, source: io::Error, expected: u64, what: &'static str) -> DataError {
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

    /// MD5 of all content that was read, in hexadecimal.
    pub fn md5(self) -> String {
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is said of bytes that are of no kind that is known here.
pub const UNKNOWN_KIND: &str = "is of no kind that is known here";

/// Completes "this ..." for the first four bytes of a file of the wrong kind.
pub fn looks_like(magic: u32) -> &'static str {
    match magic {
        2051 => "is an IDX image file",
        2049 => "is an IDX label file",
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
        // Protocol 2, 3 or 4, then a dictionary.
        0x8002_7d71 | 0x8003_7d71 | 0x8004_9500..=0x8004_95ff => "is a Python pickle",
        _ => UNKNOWN_KIND,
    }
}
