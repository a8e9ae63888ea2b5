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
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in NAMES.iter().zip([images(60, 28), labels(60), images(20, 28), labels(20)]) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
