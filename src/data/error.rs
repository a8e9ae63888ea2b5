//! What can be wrong with data. Each message names the file or set, the place in it, and a remedy.

use std::io;
use std::path::PathBuf;

/// Why a data set cannot be had.
///
/// Offsets count bytes of the uncompressed file from 0; image and label indices count from 0.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No set has this name.
    #[error("unknown data set \"{name}\": {meant}choose one of {known}")]
    UnknownDataset { name: String, meant: String, known: String },

    /// The set comes from files and no folder was given.
    #[error(
        "the data set {dataset} is read from files: say where they are with --data-dir DIR, or use --dataset glyphs or glyph-alphabets, which need none"
    )]
    NoFolder { dataset: &'static str },

    /// No place has all files of the set. `searched` has a line for each place; `incomplete` is whether
    /// some place has some of them.
    #[error(
        "the files of {dataset} were not found. Searched:\n{searched}Put the files (plain or .gz: {files}) into one of these folders, or name another with --data-dir DIR"
    )]
    NotFound { dataset: &'static str, searched: String, files: String, incomplete: bool },

    /// The operating system refused to open or read the file.
    #[error("{}: cannot read{}: {source}. Check that the file exists and that you may read it", path.display(), at_byte(*offset))]
    Read { path: PathBuf, offset: u64, source: io::Error },

    /// The gzip stream is broken.
    #[error("{}: damaged gzip data at uncompressed byte {offset}: {source}. Fetch the file again", path.display())]
    Gzip { path: PathBuf, offset: u64, source: io::Error },

    /// The first four bytes are not those of the kind of file wanted.
    #[error("{}: bytes 0 to 3 hold {found:#010x}, where {wanted} have {expected:#010x}; this {looks_like}. Put {wanted} here", path.display())]
    Magic { path: PathBuf, found: u32, expected: u32, wanted: &'static str, looks_like: &'static str },

    /// The file is of another kind than the one wanted.
    #[error("{}: this {looks_like}, not {wanted}. {remedy}", path.display())]
    Kind { path: PathBuf, looks_like: &'static str, wanted: &'static str, remedy: &'static str },

    /// The file is longer than this program reads.
    #[error("{}: has more than {limit} bytes, the most that is read of such a file. Fetch the file again", path.display())]
    TooLong { path: PathBuf, limit: u64 },

    /// The file ends early.
    #[error("{}: ends at byte {found} of {expected} ({what}). Fetch the file again", path.display())]
    Truncated { path: PathBuf, found: u64, expected: u64, what: &'static str },

    /// The file goes on after what its header declares.
    #[error("{}: goes on after byte {expected}, where its header says that it ends. Fetch the file again", path.display())]
    Trailing { path: PathBuf, expected: u64 },

    /// A size in the header is zero.
    #[error("{}: the {field} at byte {offset} is 0, so there is nothing to learn from. Fetch the file again", path.display())]
    Empty { path: PathBuf, offset: u64, field: &'static str },

    /// The header declares more than this program reads.
    #[error("{}: bytes 4 to {last} declare {count} x {height} x {width} bytes, more than the limit of {limit} bytes. Fetch the file again if it is not that big; otherwise split it", path.display())]
    TooBig { path: PathBuf, last: u64, count: u64, height: u64, width: u64, limit: u64 },

    /// Images and labels do not belong together.
    #[error("{} declares {images} images (byte 4), but {} declares {labels} labels (byte 4). Take both files from the same copy of the set", image_path.display(), label_path.display())]
    Count { image_path: PathBuf, images: usize, label_path: PathBuf, labels: usize },

    /// Training and test images differ in size.
    #[error("{} holds images of {train_height}x{train_width} (bytes 8 to 15), but {} of {test_height}x{test_width}. Take both files from the same copy of the set", train_path.display(), test_path.display())]
    Sizes {
        train_path: PathBuf,
        train_height: usize,
        train_width: usize,
        test_path: PathBuf,
        test_height: usize,
        test_width: usize,
    },

    /// A label names no class.
    #[error("{}: label {index} (byte {offset}) is {value}, but labels run from 0 to {largest}. Fetch the file again, or check that it belongs to this set", path.display())]
    Label { path: PathBuf, index: usize, offset: u64, value: u8, largest: u32 },

    /// Pairs need a partner for some image.
    #[error(
        "the {members} images to pair are each the only one of its class, and a positive pair needs two. Use more images of a class, another --val-share, or --split classes"
    )]
    NoPositive { members: usize },

    /// Pairs need another class for every image.
    #[error(
        "the {members} images to pair are of {classes} class(es), and a negative pair needs two. Use a set with more classes, or with four or more images of each"
    )]
    TooFewClasses { members: usize, classes: usize },

    /// One-shot tasks need two characters of an alphabet.
    #[error(
        "the {images} images have no alphabet with two characters of {drawings} drawings each, so that no one-shot task can be drawn. Use fewer --shots, or another --split"
    )]
    NoTasks { images: usize, drawings: usize },

    /// A picture file cannot be decoded.
    #[error("{}: no picture to be read: {message}. {remedy}", path.display())]
    Picture { path: PathBuf, message: String, remedy: &'static str },

    /// An archive cannot be read, or a file in it.
    #[error("{}: damaged ZIP archive: {message}. Fetch the file again", path.display())]
    Archive { path: PathBuf, message: String },

    /// A drawing of Omniglot, or where it lies, is not as published.
    #[error("{}: {message}. Fetch the set again: PNG files of 105x105 in <Alphabet>/character01, character02 and so on", path.display())]
    Drawing { path: PathBuf, message: String },

    /// A file of the official one-shot test is not as published.
    #[error("{}: {message}. Fetch all_runs.zip again", path.display())]
    OneShotRun { path: PathBuf, message: String },

    /// Images cannot be made that size.
    #[error(
        "--image-size {size}: cannot make {images} images that size; choose 1 to {}, at which they have at most {} bytes",
        super::resize::SIZE_LIMIT,
        super::resize::LIMIT
    )]
    ImageSize { size: usize, images: usize },

    /// Alphabets are asked for where there are none.
    #[error(
        "{wanted}: the classes of this data set belong to no alphabet; choose another way, or a set that has alphabets: glyph-alphabets, omniglot"
    )]
    NoAlphabets { wanted: &'static str },

    /// A share of so few groups is none, or all.
    #[error(
        "--split {by}: the training images are of {found} {by}, of which a share of {share} leaves none to validate or none to train; use a set with more, another --val-share, or --split images"
    )]
    TooFewGroups { by: &'static str, found: usize, share: f64 },

    /// Images that turning would change the shape of.
    #[error(
        "--rotations: images of {shape} are not square, so that their turned copies have another shape; add --image-size N"
    )]
    NotSquare { shape: super::Shape },

    /// Pairs cannot be drawn this way.
    #[error("--sampling {sampling}: {message}")]
    Sampling { sampling: String, message: String },

    /// A list of pairs is no such list.
    #[error("{}, line {line}: {message}. Write `a,b` or `a,b,same`: numbers of test images or paths of pictures, and 1 or 0", path.display())]
    PairList { path: PathBuf, line: u64, message: String },

    /// A line of a list names an image that cannot be had.
    #[error("{}, line {line}: {source}", path.display())]
    Listed { path: PathBuf, line: u64, source: Box<DataError> },

    /// A list of pairs names a test image that there is not.
    #[error("there is no test image {index}; {}", test_images_are(*test_images))]
    NoTestImage { index: u32, test_images: usize },

    /// An image to pair has no label.
    #[error(
        "member {position} of the images to pair is image {image}, but there are only {labels} labels. Use a split made from this data set"
    )]
    NoSuchImage { position: usize, image: u32, labels: usize },
}

/// Where reading stopped; that it never began needs no number.
fn at_byte(offset: u64) -> String {
    if offset == 0 { String::new() } else { format!(" at byte {offset}") }
}

fn test_images_are(count: usize) -> String {
    match count {
        0 => "numbers need a data set, by --dataset and --data-dir".into(),
        _ => format!("they are numbered 0 to {}", count - 1),
    }
}
