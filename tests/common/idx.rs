//! Small sets in MNIST's format, right or wrong.

use std::path::Path;

/// An IDX file: magic, sizes, bytes.
pub fn file(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = std::iter::once(magic).chain(sizes.iter().copied());
    header.flat_map(u32::to_be_bytes).chain(bytes.iter().copied()).collect()
}

pub fn images(count: u32, side: u32) -> Vec<u8> {
    let bytes: Vec<u8> = (0..count * side * side).map(|at| (at * 31 % 251) as u8).collect();
    file(2051, &[count, side, side], &bytes)
}

pub fn labels(count: u32) -> Vec<u8> {
    let bytes: Vec<u8> = (0..count).map(|at| (at % 2) as u8).collect();
    file(2049, &[count], &bytes)
}

pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A set of two classes, 60 + 20 images, in a folder, as MNIST.
pub fn write_set(folder: &Path) {
    write_set_of(folder, 60);
}

/// The same of so many images for training.
pub fn write_set_of(folder: &Path, train: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in NAMES.iter().zip([images(train, 28), labels(train), images(20, 28), labels(20)]) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Arguments that train on a set of 600 images, written below a folder: little to evaluate, for runs that only have to
/// take steps.
pub fn small_set(parent: &Path) -> [String; 4] {
    let folder = parent.join("data");
    write_set_of(&folder.join("mnist"), 600);
    ["--dataset", "mnist", "--data-dir", folder.to_str().unwrap()].map(String::from)
}
