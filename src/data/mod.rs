//! Files, or a seed, to a [`Dataset`]; a dataset to its split; a split to pairs.
//!
//! | module | holds |
//! | --- | --- |
//! | [`album`] | the images that pairs name, each once |
//! | [`augment`] | distorted training images: an affine map for each |
//! | [`cifar10`] | CIFAR-10: its binary version, plain or gzipped |
//! | [`content`] | one file, plain or gzipped, hashed as it is read |
//! | [`error`] | [`DataError`]: what can be wrong, where, and what to do about it |
//! | [`mod@format`] | what a picture file is, by its first bytes |
//! | [`glyphs`] | the built-in sets, made from the seed: nothing to download |
//! | [`idx`] | MNIST and Fashion-MNIST: IDX files, plain or gzipped |
//! | [`labelled`] | the images of an epoch, each with its class |
//! | [`pair_list`] | pairs that a user lists in a CSV file |
//! | [`omniglot`] | Omniglot and its official one-shot runs: folders or ZIP archives |
//! | [`jpeg`] | whether a JPEG file is whole |
//! | [`picture`] | picture files of any common format and size |
//! | [`preparation`] | what is done to pictures, for training and for use |
//! | [`resize`] | images of another size |
//! | [`rotations`] | turned copies as further classes |
//! | [`sampling`] | the pairs of an epoch of so many steps: by alphabets, in episodes, by classes |
//! | [`mod@split`] | which images train, validate and test |
//! | [`pairs`] | the balanced pairs of an epoch |
//! | [`random`] | where everything random comes from |
//! | [`search`] | where the files of a set are |
//!
//! ```text
//! load("glyphs", None, seed) -> Dataset -> split(&dataset, seed) -> pairs::training(&labels, &split, seed, epoch)
//! ```
//!
//! Images stay bytes, as stored; dividing by 255 is the network's business.

pub mod album;
pub mod augment;
pub mod cifar10;
pub mod content;
pub mod error;
pub mod format;
pub mod glyphs;
pub mod idx;
pub mod jpeg;
pub mod labelled;
pub mod omniglot;
pub mod pair_list;
pub mod pairs;
pub mod picture;
pub mod preparation;
pub mod random;
pub mod resize;
pub mod rotations;
pub mod sampling;
pub mod search;
pub mod split;

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use crate::tensor::Shape;
pub use album::Album;
pub use augment::Augmentation;
pub use error::DataError;
pub use glyphs::{GlyphAlphabets, Glyphs};
pub use pairs::Pair;
pub use preparation::{Fit, Polarity, Preparation};
pub use random::{Random, Stream};
pub use sampling::{Pool, Sampling, Steps};
pub use split::{Split, SplitBy, split, split_by};

use crate::text;

/// Labelled images of one size, held in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The name that [`load`] knows it by.
    pub name: String,
    /// What results on it are called, as in `CIFAR-10 (JPEG copy)`.
    pub title: String,
    /// Size of every image.
    pub shape: Shape,
    /// One image after another, NCHW bytes as stored (0 = dark, 255 = bright).
    pub images: Vec<u8>,
    /// The class of each image, an index into `classes`.
    pub labels: Vec<u32>,
    /// Class names by label.
    pub classes: Vec<String>,
    /// Alphabets' names; none where classes belong to no alphabet.
    pub alphabets: Vec<String>,
    /// The alphabet of each class, an index into `alphabets`; none where there are none.
    pub alphabet_of: Vec<u32>,
    /// The first `train_images` images are for training and validation, the rest are the test set; behind it stand
    /// the copies that [`rotations`] makes.
    pub train_images: usize,
    /// What a user should know about this data, a sentence each, such as a checksum of another set.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Number of images, training and test together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image at all. Loaders never return such a set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of test images: those from index `train_images` on.
    #[must_use]
    pub fn test_images(&self) -> usize {
        self.len().saturating_sub(self.train_images)
    }

    /// The bytes of one image, `shape.len()` of them, or `None` beyond the last image.
    #[must_use]
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let size = self.shape.len();
        let start = index.checked_mul(size)?;
        self.images.get(start..start.checked_add(size)?)
    }
}

/// The sets that [`load`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Made by the program from the seed.
    Glyphs,
    /// Made by the program from the seed: alphabets to learn from and others to test on, as Omniglot has them.
    GlyphAlphabets,
    /// Handwritten digits, from four IDX files.
    Mnist,
    /// Pictures of clothes, from four IDX files.
    FashionMnist,
    /// Small photographs, from six files of its binary version.
    Cifar10,
    /// Handwritten characters of 50 alphabets, from two folders or archives.
    Omniglot,
}

impl Source {
    /// Every known set, in the order in which they are listed to users.
    pub const ALL: [Source; 6] = [
        Source::Glyphs,
        Source::GlyphAlphabets,
        Source::Mnist,
        Source::FashionMnist,
        Source::Cifar10,
        Source::Omniglot,
    ];

    /// The name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Glyphs => "glyphs",
            Source::GlyphAlphabets => "glyph-alphabets",
            Source::Mnist => "mnist",
            Source::FashionMnist => "fashion-mnist",
            Source::Cifar10 => "cifar10",
            Source::Omniglot => omniglot::NAME,
        }
    }

    /// The name that people write, of the published set.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Source::Glyphs => glyphs::TITLE,
            Source::GlyphAlphabets => glyphs::ALPHABETS_TITLE,
            Source::Mnist => idx::MNIST.title,
            Source::FashionMnist => idx::FASHION_MNIST.title,
            Source::Cifar10 => cifar10::TITLE,
            Source::Omniglot => omniglot::TITLE,
        }
    }

    /// What its loader does to its files: all sets come as light ink on dark paper, as MNIST does.
    #[must_use]
    pub fn polarity(self) -> Polarity {
        if self == Source::Omniglot { Polarity::Inverted } else { Polarity::AsIs }
    }

    /// Size of an image and numbers of training and test images, of the published set: for plans made
    /// before the files are there.
    #[must_use]
    pub fn published(self) -> (Shape, usize, usize) {
        let grey = Shape { channels: 1, height: 28, width: 28 };
        match self {
            Source::Glyphs => (grey, 12_000, 2_000),
            Source::GlyphAlphabets => (grey, 2_880, 960),
            Source::Mnist | Source::FashionMnist => (grey, 60_000, 10_000),
            Source::Cifar10 => (cifar10::SHAPE, 50_000, 10_000),
            Source::Omniglot => (omniglot::SHAPE, 19_280, 13_180),
        }
    }

    /// The files of the set in a folder, or folders of such; none for a set that is made.
    ///
    /// # Errors
    /// [`DataError::NotFound`]
    pub fn files(self, dir: &Path) -> Result<Vec<PathBuf>, DataError> {
        match self {
            Source::Glyphs | Source::GlyphAlphabets => Ok(Vec::new()),
            Source::Mnist => idx::find(&idx::MNIST, dir).map(Vec::from),
            Source::FashionMnist => idx::find(&idx::FASHION_MNIST, dir).map(Vec::from),
            Source::Cifar10 => cifar10::find(dir).map(Vec::from),
            Source::Omniglot => omniglot::find(dir).map(|(background, evaluation)| {
                [vec![background], evaluation.into_iter().collect()].concat()
            }),
        }
    }
}

impl FromStr for Source {
    type Err = DataError;

    /// # Errors
    ///
    /// [`DataError::UnknownDataset`], listing the known names. Names are exact: lower case.
    fn from_str(name: &str) -> Result<Self, DataError> {
        Source::ALL.into_iter().find(|source| source.name() == name).ok_or_else(|| {
            let known = Source::ALL.map(Source::name);
            let meant =
                text::closest(name, &known).map_or(String::new(), |meant| format!("did you mean {meant}? "));
            DataError::UnknownDataset { name: name.to_owned(), meant, known: known.join(", ") }
        })
    }
}

/// Loads, or makes, the set called `name`.
///
/// `dir` is where sets from files are looked for (see [`idx::load`], [`cifar10::load`], [`omniglot::load`]); `seed` shapes the sets that
/// are made. Each ignores what it does not need.
///
/// # Errors
///
/// An unknown name, no folder for a set that needs one, and whatever is wrong with its files.
pub fn load(name: &str, dir: Option<&Path>, seed: u64) -> Result<Dataset, DataError> {
    let source: Source = name.parse()?;
    let dir = || dir.ok_or(DataError::NoFolder { dataset: source.name() });
    match source {
        Source::Glyphs => Ok(glyphs::generate(&Glyphs::default(), seed)),
        Source::GlyphAlphabets => Ok(glyphs::generate_alphabets(&GlyphAlphabets::default(), seed)),
        Source::Cifar10 => cifar10::load(dir()?),
        Source::Omniglot => omniglot::load(dir()?),
        Source::FashionMnist => idx::load(&idx::FASHION_MNIST, dir()?),
        Source::Mnist => idx::load(&idx::MNIST, dir()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_source() {
        for source in Source::ALL {
            assert_eq!(source.name().parse::<Source>().ok(), Some(source));
        }
        let set = load("glyphs", None, 5).unwrap();
        assert_eq!(set, glyphs::generate(&Glyphs::default(), 5));
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for (name, meant) in [("MNIST", "mnist"), ("Fashion_MNIST", "fashion-mnist"), ("cifar-10", "cifar10")]
        {
            let message = load(name, None, 0).unwrap_err().to_string();
            assert!(message.contains(&format!("did you mean {meant}?")), "{message}");
        }
        assert!(!load("faces", None, 0).unwrap_err().to_string().contains("did you mean"));
        let message = load("mnits", None, 0).unwrap_err().to_string();
        assert!(message.contains("mnits"), "{message}");
        for source in Source::ALL {
            assert!(message.contains(source.name()), "{message}");
        }
    }

    #[test]
    fn names_are_exact() {
        for name in ["", "m", "MNIST", "mnist ", "fashion"] {
            assert!(name.parse::<Source>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_set_from_files_needs_a_folder() {
        let message = load("mnist", None, 0).unwrap_err().to_string();
        assert!(message.contains("mnist") && message.contains("--data-dir"), "{message}");
    }

    #[test]
    fn images_are_found_by_index_and_never_beyond_the_end() {
        let set = Dataset {
            name: "tiny".into(),
            title: "Tiny".into(),
            shape: Shape { channels: 1, height: 1, width: 2 },
            images: vec![1, 2, 3, 4, 5, 6],
            labels: vec![0, 1, 0],
            classes: vec!["a".into(), "b".into()],
            alphabets: Vec::new(),
            alphabet_of: Vec::new(),
            train_images: 2,
            warnings: Vec::new(),
        };
        assert_eq!((set.len(), set.test_images(), set.is_empty()), (3, 1, false));
        assert_eq!(set.image(1), Some(&[3, 4][..]));
        assert_eq!(set.image(2), Some(&[5, 6][..]));
        assert_eq!(set.image(3), None);
        assert_eq!(set.image(usize::MAX), None);
    }
}
