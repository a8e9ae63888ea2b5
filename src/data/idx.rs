//! MNIST and sets in its format: four IDX files, plain or gzipped, checked before they are believed.
//!
//! Format: big-endian u32 magic (2051 images, 2049 labels), count, for images height and width,
//! then a byte for each pixel or label. Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST
//! database of handwritten digits".

mod file;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::file::{Images, LIMIT, parse_images, parse_labels};
use self::file::{read_images, read_labels};
use super::{DataError, Dataset, Shape, search};

/// File names without `.gz`; `?` stands for `-` or `.`, which copies of the sets differ in.
const FILES: [&str; 4] = [
    "train-images?idx3-ubyte",
    "train-labels?idx1-ubyte",
    "t10k-images?idx3-ubyte",
    "t10k-labels?idx1-ubyte",
];

/// A set in the format of MNIST.
#[derive(Debug)]
pub struct IdxSet {
    /// The name that users write, and the folder in which the set is first looked for.
    pub name: &'static str,
    /// The name that people write.
    pub title: &'static str,
    /// The folder that torchvision keeps the set in.
    torchvision: &'static str,
    classes: [&'static str; 10],
    /// MD5 of the four uncompressed files as published, in the order of `FILES`.
    md5: [&'static str; 4],
}

/// Handwritten digits: 60,000 + 10,000 images of 28x28.
pub static MNIST: IdxSet = IdxSet {
    name: "mnist",
    title: "MNIST",
    torchvision: "MNIST/raw",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    md5: [
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ],
};

/// Clothes: 60,000 + 10,000 images of 28x28.
pub static FASHION_MNIST: IdxSet = IdxSet {
    name: "fashion-mnist",
    title: "Fashion-MNIST",
    torchvision: "FashionMNIST/raw",
    classes: [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    md5: [
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ],
};

/// Loads the four files of `set` from the first of DIR/\<name\>, torchvision's folder in DIR, and DIR
/// itself that has all four.
///
/// The result holds the training images, then the test images, 1 x height x width as the files say.
/// It has a warning for each file whose content is not the published one.
///
/// # Errors
///
/// No place has all four files; a file cannot be read, is damaged, or is not what its place
/// requires; the files do not belong together; a label is above 9.
pub fn load(set: &IdxSet, dir: &Path) -> Result<Dataset, DataError> {
    let [train_images, train_labels, test_images, test_labels] = find(set, dir)?;
    let mut warnings = Vec::new();
    let mut train = read_part(set, 0, &train_images, &train_labels, &mut warnings)?;
    let test = read_part(set, 2, &test_images, &test_labels, &mut warnings)?;
    if (train.height, train.width) != (test.height, test.width) {
        return Err(DataError::Sizes {
            train_path: train_images,
            train_height: train.height,
            train_width: train.width,
            test_path: test_images,
            test_height: test.height,
            test_width: test.width,
        });
    }
    let train_count = train.labels.len();
    train.images.extend_from_slice(&test.images);
    train.labels.extend_from_slice(&test.labels);
    Ok(Dataset {
        name: set.name.to_owned(),
        title: if warnings.is_empty() {
            set.title.to_owned()
        } else {
            format!("{} (another copy)", set.title)
        },
        shape: Shape { channels: 1, height: train.height, width: train.width },
        images: train.images,
        labels: train.labels,
        classes: set.classes.map(str::to_owned).to_vec(),
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images: train_count,
        warnings,
    })
}

/// Finds the four files in one folder, in the order of their checksums.
///
/// # Errors
/// [`DataError::NotFound`], with all places that were searched.
pub fn find(set: &IdxSet, dir: &Path) -> Result<[PathBuf; 4], DataError> {
    let places = [dir.join(set.name), dir.join(set.torchvision), dir.to_owned()];
    // Plain before gzipped: nothing to unpack.
    let names = FILES.map(|file| {
        let named = |(end, dot): (&str, &str)| file.replace('?', dot).replace("-ubyte", end);
        [("-ubyte", "-"), ("-ubyte", "."), ("-ubyte.gz", "-"), ("-ubyte.gz", ".")].map(named).to_vec()
    });
    search::find(set.name, &places, &names)
}

struct Part {
    height: usize,
    width: usize,
    images: Vec<u8>,
    labels: Vec<u32>,
}

/// Reads images and their labels; `first` is the index of the images' checksum in `IdxSet::md5`.
fn read_part(
    set: &IdxSet,
    first: usize,
    image_path: &Path,
    label_path: &Path,
    warnings: &mut Vec<String>,
) -> Result<Part, DataError> {
    let (images, images_md5) = read_images(image_path)?;
    let (labels, labels_md5) = read_labels(label_path, set.classes.len() as u32 - 1)?;
    if images.count != labels.len() {
        return Err(DataError::Count {
            image_path: image_path.to_owned(),
            images: images.count,
            label_path: label_path.to_owned(),
            labels: labels.len(),
        });
    }
    warnings.extend(warning(set, first, image_path, &images_md5));
    warnings.extend(warning(set, first + 1, label_path, &labels_md5));
    Ok(Part { height: images.height, width: images.width, images: images.bytes, labels })
}

/// What to tell the user where a checksum is not that of file `file` of `set`.
fn warning(set: &IdxSet, file: usize, path: &Path, found: &str) -> Option<String> {
    if set.md5[file] == found {
        return None;
    }
    let path = path.display();
    let known = [&MNIST, &FASHION_MNIST].into_iter().find_map(|other| {
        let place = other.md5.iter().position(|md5| *md5 == found)?;
        Some((other.name, FILES[place].replace('?', "-")))
    });
    Some(match known {
        Some((other, name)) => format!(
            "{path} is {name} of {other}, not {} of {} (by its MD5 {found}); if that is not what you want, look at --dataset and --data-dir",
            FILES[file].replace('?', "-"),
            set.name
        ),
        None => format!(
            "{path} is not the published file of {} (MD5 {found}, published {}); results will not compare with published ones",
            set.name, set.md5[file]
        ),
    })
}
