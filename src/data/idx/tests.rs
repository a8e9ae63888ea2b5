//! Tests of the loader: every way in which four files can be right or wrong.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::fs;
use std::io::Write;
use tempfile::TempDir;

fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(body);
    bytes
}

/// Three images of 2x2 and two of them for testing, with labels.
fn four_files() -> [Vec<u8>; 4] {
    [
        idx(2051, &[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        idx(2049, &[3], &[9, 0, 5]),
        idx(2051, &[2, 2, 2], &[12, 13, 14, 15, 16, 17, 18, 19]),
        idx(2049, &[2], &[1, 0]),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn put(dir: &Path, dot: &str, end: &str, files: &[Vec<u8>]) {
    fs::create_dir_all(dir).unwrap();
    for (name, bytes) in FILES.iter().zip(files) {
        fs::write(dir.join(name.replace('?', dot) + end), bytes).unwrap();
    }
}

/// Loads the four files with one of them changed.
fn load_changed(file: usize, change: impl FnOnce(&mut Vec<u8>)) -> Result<Dataset, DataError> {
    let dir = TempDir::new().unwrap();
    let mut files = four_files();
    change(&mut files[file]);
    put(dir.path(), "-", "", &files);
    load(&MNIST, dir.path())
}

fn error_of(file: usize, change: impl FnOnce(&mut Vec<u8>)) -> DataError {
    let error = load_changed(file, change).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&FILES[file].replace('?', "-")), "names no file: {message}");
    error
}

fn check_tiny(set: &Dataset) {
    assert_eq!(set.images, (0..20).collect::<Vec<u8>>());
    assert_eq!(set.labels, [9, 0, 5, 1, 0]);
    assert_eq!((set.train_images, set.test_images()), (3, 2));
    assert_eq!(set.shape, Shape { channels: 1, height: 2, width: 2 });
    assert_eq!(set.classes.len(), 10);
    assert_eq!(set.name, "mnist");
}

#[test]
fn every_place_name_and_packing_is_found() {
    for place in ["mnist", "MNIST/raw", ""] {
        for dot in ["-", "."] {
            for packed in [false, true] {
                let dir = TempDir::new().unwrap();
                let files = four_files().map(|file| if packed { gzip(&file) } else { file });
                put(&dir.path().join(place), dot, if packed { ".gz" } else { "" }, &files);
                check_tiny(&load(&MNIST, dir.path()).unwrap());
            }
        }
    }
}

#[test]
fn gzip_is_known_by_content_not_by_name() {
    let dir = TempDir::new().unwrap();
    let [a, b, c, d] = four_files();
    put(dir.path(), "-", "", &[gzip(&a), b.clone(), gzip(&c), d.clone()]);
    check_tiny(&load(&MNIST, dir.path()).unwrap());
    let dir = TempDir::new().unwrap();
    put(dir.path(), "-", ".gz", &[a, b, c, d]);
    check_tiny(&load(&MNIST, dir.path()).unwrap());
}

#[test]
fn the_set_s_own_folder_comes_first() {
    let dir = TempDir::new().unwrap();
    let mut other = four_files();
    other[1][8] = 3;
    put(dir.path(), "-", "", &other);
    put(&dir.path().join("mnist"), "-", "", &four_files());
    check_tiny(&load(&MNIST, dir.path()).unwrap());
}

#[test]
fn an_incomplete_folder_is_passed_over() {
    let dir = TempDir::new().unwrap();
    put(&dir.path().join("mnist"), "-", "", &four_files()[..3]);
    put(dir.path(), "-", "", &four_files());
    check_tiny(&load(&MNIST, dir.path()).unwrap());
}

#[test]
fn missing_files_are_named_with_the_places_searched() {
    let dir = TempDir::new().unwrap();
    put(&dir.path().join("mnist"), "-", "", &four_files()[..3]);
    let message = load(&MNIST, dir.path()).unwrap_err().to_string();
    let missing = format!("only 3 of the files; missing: {}", FILES[3].replace('?', "-"));
    for part in [
        format!("{}: {missing}", dir.path().join("mnist").display()),
        format!("{}: no such folder", dir.path().join("MNIST/raw").display()),
        format!("{}: none of the files", dir.path().display()),
        "--data-dir".to_owned(),
    ] {
        assert!(message.contains(&part), "no \"{part}\" in: {message}");
    }
}

#[test]
fn unknown_content_is_warned_about_file_by_file() {
    let set = load_changed(0, |_| ()).unwrap();
    assert_eq!(set.warnings.len(), 4);
    for ((warning, file), published) in set.warnings.iter().zip(FILES).zip(MNIST.md5) {
        assert!(warning.contains(published), "{warning}");
        assert!(warning.contains(&file.replace('?', "-")), "{warning}");
        assert!(warning.contains("not the published"), "{warning}");
    }
}

#[test]
fn a_checksum_of_another_file_is_told_by_name() {
    let path = Path::new("somewhere/train-images-idx3-ubyte");
    assert_eq!(warning(&MNIST, 0, path, MNIST.md5[0]), None);
    let fashion = warning(&MNIST, 0, path, FASHION_MNIST.md5[0]).unwrap();
    assert!(fashion.contains("train-images-idx3-ubyte of fashion-mnist"), "{fashion}");
    let test = warning(&MNIST, 0, path, MNIST.md5[2]).unwrap();
    assert!(test.contains("t10k-images-idx3-ubyte of mnist"), "{test}");
}

#[test]
fn a_file_of_the_wrong_kind_is_told_by_kind() {
    let labels = error_of(0, |file| *file = four_files()[1].clone());
    assert!(labels.to_string().contains("is an IDX label file"), "{labels}");
    let images = error_of(3, |file| *file = four_files()[2].clone());
    assert!(images.to_string().contains("is an IDX image file"), "{images}");
    let page = error_of(2, |file| *file = b"<!DOCTYPE html>".to_vec());
    assert!(page.to_string().contains("web page"), "{page}");
    let twice = error_of(2, |file| *file = gzip(&gzip(file)));
    assert!(twice.to_string().contains("gzipped twice"), "{twice}");
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    for file in 0..4 {
        let length = four_files()[file].len();
        for end in 0..length {
            let error = error_of(file, |bytes| bytes.truncate(end));
            assert!(
                matches!(error, DataError::Truncated { found, expected, .. }
                        if found == end as u64 && expected > found && expected <= length as u64),
                "{file} {end}: {error}"
            );
        }
    }
}

#[test]
fn a_truncated_or_damaged_gzip_file_is_refused() {
    let whole = gzip(&four_files()[0]);
    for end in 2..whole.len() {
        let error = error_of(0, |bytes| *bytes = whole[..end].to_vec());
        assert!(matches!(error, DataError::Truncated { .. } | DataError::Gzip { .. }), "{end}: {error}");
    }
    // The last eight bytes are the CRC and the length.
    let error = error_of(0, |bytes| {
        *bytes = whole.clone();
        bytes[whole.len() - 6] ^= 1;
    });
    assert!(matches!(error, DataError::Gzip { .. }), "{error}");
}

#[test]
fn trailing_bytes_are_refused() {
    for file in 0..4 {
        let expected = four_files()[file].len() as u64;
        let error = error_of(file, |bytes| bytes.push(0));
        assert!(matches!(error, DataError::Trailing { expected: e, .. } if e == expected));
        let error = error_of(file, |bytes| {
            bytes.push(0);
            *bytes = gzip(bytes);
        });
        assert!(matches!(error, DataError::Trailing { expected: e, .. } if e == expected));
    }
}

#[test]
fn sizes_beyond_the_limit_are_refused_before_reading() {
    for sizes in [[u32::MAX; 3], [1 << 31, 1 << 31, 4], [60_000, 1 << 17, 1 << 3]] {
        let error = error_of(0, |bytes| *bytes = idx(2051, &sizes, &[]));
        assert!(
            matches!(error, DataError::TooBig { last: 15, count, limit: LIMIT, .. }
                    if count == u64::from(sizes[0])),
            "{error}"
        );
    }
    let error = error_of(1, |bytes| *bytes = idx(2049, &[u32::MAX], &[]));
    assert!(matches!(error, DataError::TooBig { last: 7, .. }), "{error}");
    // Exactly the limit is allowed, and a short file does not cost that memory.
    let error = error_of(1, |bytes| *bytes = idx(2049, &[1 << 30], &[1]));
    assert!(matches!(error, DataError::Truncated { found: 9, .. }), "{error}");
}

#[test]
fn zero_sizes_are_refused() {
    for (sizes, field, at) in
        [([0, 2, 2], "number of images", 4), ([3, 0, 2], "height", 8), ([3, 2, 0], "width", 12)]
    {
        let error = error_of(0, |bytes| *bytes = idx(2051, &sizes, &[]));
        assert!(
            matches!(error, DataError::Empty { offset, field: f, .. } if f == field && offset == at),
            "{error}"
        );
    }
    let error = error_of(1, |bytes| *bytes = idx(2049, &[0], &[]));
    assert!(matches!(error, DataError::Empty { offset: 4, .. }), "{error}");
}

#[test]
fn a_label_above_nine_is_refused_with_its_place() {
    let error = error_of(3, |bytes| bytes[9] = 10);
    assert!(matches!(error, DataError::Label { index: 1, offset: 9, value: 10, largest: 9, .. }), "{error}");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let error = error_of(1, |bytes| *bytes = idx(2049, &[2], &[1, 2]));
    assert!(matches!(error, DataError::Count { images: 3, labels: 2, .. }), "{error}");
    let error = error_of(2, |bytes| *bytes = idx(2051, &[2, 1, 4], &[0; 8]));
    assert!(
        matches!(error, DataError::Sizes { train_width: 2, test_height: 1, test_width: 4, .. }),
        "{error}"
    );
}

/// Where the real sets are, if they are here.
fn real_data() -> Option<PathBuf> {
    let dir = std::env::var_os("GPU_SIAMESE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no real data at {}; set GPU_SIAMESE_DATA", dir.display());
    None
}

#[test]
fn the_real_sets_load_without_a_warning() {
    let Some(dir) = real_data() else { return };
    for (set, first, train_counts) in [
        (
            &MNIST,
            [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        ),
        (&FASHION_MNIST, [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], [6000; 10]),
    ] {
        let loaded = load(set, &dir).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert_eq!((loaded.train_images, loaded.test_images()), (60_000, 10_000));
        assert_eq!(loaded.images.len(), 70_000 * 784);
        assert_eq!(loaded.shape, Shape { channels: 1, height: 28, width: 28 });
        assert_eq!(loaded.labels[..10], first);
        let mut counts = [0; 10];
        loaded.labels[..60_000].iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, train_counts);
    }
}

#[test]
fn fashion_given_as_mnist_is_warned_about() {
    let Some(dir) = real_data() else { return };
    let set = load(&MNIST, &dir.join("fashion-mnist")).unwrap();
    assert_eq!(set.warnings.len(), 4);
    assert!(set.warnings.iter().all(|w| w.contains("of fashion-mnist")), "{:?}", set.warnings);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        file in 0usize..4,
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        // Neither alone, nor behind a good magic number, nor behind a good start, nor packed.
        for kept in [0, 4, 8, 16] {
            let change = |content: &mut Vec<u8>| {
                content.truncate(kept);
                content.extend(&bytes);
            };
            prop_assert!(kept > 0 || load_changed(file, change).is_err());
            let _ = load_changed(file, change);
            let _ = load_changed(file, |content| { change(content); *content = gzip(content); });
            let _ = load_changed(file, |content| *content = [&[0x1f, 0x8b], &bytes[..]].concat());
        }
    }

    #[test]
    fn what_is_written_is_read(
        images in 1usize..5, height in 1usize..5, width in 1usize..5, labels in prop::collection::vec(0u8..10, 5),
        pixels in prop::collection::vec(any::<u8>(), 5 * 16), packed: bool,
    ) {
        let dir = TempDir::new().unwrap();
        let body = &pixels[..images * height * width];
        let sizes = [images as u32, height as u32, width as u32];
        let files = [idx(2051, &sizes, body), idx(2049, &[images as u32], &labels[..images])];
        let files = [files.clone(), files].concat();
        let files: Vec<_> = files.iter().map(|f| if packed { gzip(f) } else { f.clone() }).collect();
        put(dir.path(), "-", "", &files);
        let set = load(&MNIST, dir.path()).unwrap();
        prop_assert_eq!(&set.images, &[body, body].concat());
        prop_assert_eq!(set.shape, Shape { channels: 1, height, width });
        let labels: Vec<u32> = labels[..images].iter().map(|&label| u32::from(label)).collect();
        prop_assert_eq!(&set.labels, &[&labels[..], &labels].concat());
    }
}
