//! Tests of the loader: every way in which six files can be right or wrong.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use tempfile::TempDir;

/// Records whose pixels count on from their number.
fn file(labels: &[u8]) -> Vec<u8> {
    let record = |(number, &label): (usize, &u8)| {
        std::iter::once(label).chain((0..RECORD - 1).map(move |at| (at / 1024 * 50 + number) as u8))
    };
    labels.iter().enumerate().flat_map(record).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn put(dir: &Path, end: &str, packed: bool) {
    fs::create_dir_all(dir).unwrap();
    for (number, name) in FILES.iter().enumerate() {
        let bytes = file(&[number as u8, 9 - number as u8]);
        fs::write(dir.join(format!("{name}{end}")), if packed { gzip(&bytes) } else { bytes }).unwrap();
    }
}

fn check_tiny(set: &Dataset) {
    assert_eq!(set.labels, [0, 9, 1, 8, 2, 7, 3, 6, 4, 5, 5, 4]);
    assert_eq!((set.train_images, set.test_images()), (10, 2));
    assert_eq!((set.shape, set.name.as_str()), (SHAPE, "cifar10"));
    // Red, green and blue planes of the second image of a file.
    let image = set.image(3).unwrap();
    assert_eq!([image[0], image[1023], image[1024], image[3071]], [1, 1, 51, 101]);
    assert_eq!(set.title, "CIFAR-10 (another copy)");
    assert!(set.warnings[0].contains("other labels"), "{:?}", set.warnings);
}

#[test]
fn every_place_and_packing_is_found() {
    for place in ["cifar10", "cifar-10-batches-bin", ""] {
        for (end, packed) in [("", false), (".gz", true), ("", true), (".gz", false)] {
            let dir = TempDir::new().unwrap();
            put(&dir.path().join(place), end, packed);
            check_tiny(&load(dir.path()).unwrap());
        }
    }
}

#[test]
fn missing_files_are_named_with_the_places_searched() {
    let dir = TempDir::new().unwrap();
    put(&dir.path().join("cifar10"), "", false);
    fs::remove_file(dir.path().join("cifar10/data_batch_4.bin")).unwrap();
    let message = load(dir.path()).unwrap_err().to_string();
    for part in [
        "only 5 of the files; missing: data_batch_4.bin",
        "cifar-10-batches-bin: no such folder",
        "--data-dir",
    ] {
        assert!(message.contains(part), "no \"{part}\" in: {message}");
    }
}

/// Loads with one file replaced.
fn error_of(bytes: &[u8]) -> DataError {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "", false);
    fs::write(dir.path().join(FILES[2]), bytes).unwrap();
    let error = load(dir.path()).unwrap_err();
    assert!(error.to_string().contains(FILES[2]), "{error}");
    error
}

#[test]
fn half_a_record_is_refused_with_its_place() {
    let whole = file(&[1, 2, 3]);
    for end in [1, 2, RECORD - 1, RECORD + 1, 3 * RECORD - 1] {
        let error = error_of(&whole[..end]);
        let next = end.div_ceil(RECORD) * RECORD;
        assert!(
            matches!(error, DataError::Truncated { found, expected, .. }
                if found == end as u64 && expected == next as u64),
            "{end}: {error}"
        );
    }
    assert!(matches!(error_of(&[]), DataError::Empty { offset: 0, .. }));
    let packed = gzip(&whole);
    assert!(matches!(
        error_of(&packed[..packed.len() / 2]),
        DataError::Truncated { .. } | DataError::Gzip { .. }
    ));
}

#[test]
fn a_label_above_nine_is_refused_with_its_place() {
    let error = error_of(&file(&[1, 2, 10]));
    assert!(
        matches!(error, DataError::Label { index: 2, offset: 6146, value: 10, largest: 9, .. }),
        "{error}"
    );
}

#[test]
fn files_of_another_kind_are_told_by_kind() {
    for (bytes, words) in [
        (&b"<!DOCTYPE html><html>"[..], "web page"),
        (b"\x80\x02}q\x00(U\x0bbatch_label", "Python pickle"),
        (b"PK\x03\x04 and so on", "ZIP archive"),
    ] {
        let error = error_of(bytes);
        assert!(
            error.to_string().contains(words) && error.to_string().contains("cifar-10-binary"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_never_ends_is_refused() {
    // 400 MB of zeroes in 400 kB.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeroes = vec![0; 1 << 20];
    (0..400).for_each(|_| encoder.write_all(&zeroes).unwrap());
    let error = parse(&encoder.finish().unwrap(), Path::new("bomb")).unwrap_err();
    assert!(matches!(error, DataError::TooLong { limit: LIMIT, .. }), "{error}");
}

#[test]
fn statistics_are_those_of_the_definition() {
    let mut images = vec![0; 2 * 3072];
    images[..1024].fill(255);
    images[4096..5120].fill(51);
    // Red: half 1, half 0. Green: half 0, half 0.2. Blue: 0.
    let (means, deviations) = statistics(&images);
    for (found, expected) in means.into_iter().chain(deviations).zip([0.5, 0.1, 0.0, 0.5, 0.1, 0.0]) {
        assert!((found - expected).abs() < 1e-12, "{means:?} {deviations:?}");
    }
}

/// The copy, unpacked into the folder that GPU_SIAMESE_CIFAR10 names.
#[test]
fn the_lossy_copy_is_told_from_the_original() {
    let Some(dir) = std::env::var_os("GPU_SIAMESE_CIFAR10") else {
        eprintln!("SKIPPED: GPU_SIAMESE_CIFAR10 names no folder with CIFAR-10");
        return;
    };
    let set = load(Path::new(&dir)).unwrap();
    assert_eq!((set.train_images, set.test_images()), (50_000, 10_000));
    let mut counts = [0; 10];
    set.labels[..10_000].iter().for_each(|&label| counts[label as usize] += 1);
    assert_eq!(counts, [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]);
    let original = set.title == "CIFAR-10";
    assert!(original == set.warnings.is_empty(), "{}: {:?}", set.title, set.warnings);
    assert!(original || set.title == "CIFAR-10 (JPEG copy)", "{}", set.title);
    // Without its checksum the copy still is not taken for the original.
    let paths = find(Path::new(&dir)).unwrap();
    let (title, warnings) =
        provenance(&paths, &[const { String::new() }; 6], &set.labels, &set.images, set.train_images);
    assert!(original || (title.contains("another copy") && warnings[0].contains("other pixels")), "{title}");
}
