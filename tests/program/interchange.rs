//! Weights that PyTorch trained give the similarities that PyTorch computed from them, through the
//! program: pictures, a list of pairs, a file of scores. See tests/library/golden/interchange.py.

use std::io::Write;
use std::path::Path;

use crate::common::program::{has_vulkan, json};
use image::{GrayImage, Luma};

const IMAGES: u32 = 200;
const CLASSES: u32 = 20;

/// The generator's integer hash.
fn hashed(stream: u64, index: u32) -> u32 {
    let mut x = (u64::from(index).wrapping_mul(2_654_435_761) + stream * 40_503) & 0xffff_ffff;
    for _ in 0..2 {
        x = ((x ^ (x >> 16)) * 73_244_475) & 0xffff_ffff;
    }
    (x ^ (x >> 16)) as u32
}

fn picture(image: u32) -> GrayImage {
    GrayImage::from_fn(28, 28, |x, y| {
        let square = hashed(1, (image % CLASSES) * 49 + (y / 4) * 7 + x / 4) % 160;
        let noise = hashed(2, image * 784 + y * 28 + x) % 96;
        Luma([(square + noise) as u8])
    })
}

fn similarities(file: &Path, column: usize) -> Vec<f64> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    reader.records().map(|record| record.unwrap()[column].parse().unwrap()).collect()
}

/// Scores the pairs on an adapter and returns the largest difference to PyTorch's similarities.
fn difference(adapter: &str) -> f64 {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library/golden");
    let folder = tempfile::tempdir().unwrap();
    for image in 0..IMAGES {
        picture(image).save(folder.path().join(format!("{image}.png"))).unwrap();
    }
    let (list, scores) = (folder.path().join("pairs.csv"), folder.path().join("scores.csv"));
    let mut file = std::fs::File::create(&list).unwrap();
    let mut reader = csv::Reader::from_path(golden.join("interchange.csv")).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        writeln!(file, "{}.png,{}.png", &record[0], &record[1]).unwrap();
    }
    let files = [golden.join("interchange.safetensors"), list, scores.clone()];
    let [weights, list, out] = files.each_ref().map(|path| path.to_str().unwrap());
    let eval = ["eval", "--model", "sn-lenet5", "--adapter", adapter, "--weights", weights];
    json(&[&eval[..], &["--pairs", list, "--scores", out]].concat());
    let expected = similarities(&golden.join("interchange.csv"), 2);
    let found = similarities(&scores, 4);
    assert_eq!((expected.len(), found.len()), (3000, 3000));
    let worst = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{adapter}: similarities differ from PyTorch's by {worst:.1e} at most");
    worst
}

#[test]
fn the_cpu_agrees_with_pytorch() {
    assert!(difference("cpu") <= 1e-5);
}

#[test]
fn vulkan_agrees_with_pytorch() {
    if has_vulkan() {
        assert!(difference("vulkan") <= 1e-4);
    }
}
