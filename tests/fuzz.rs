//! Broken files by the thousand: no loader panics, and none takes more memory than its file
//! gives reason to.
//!
//! 5,000 for each loader, 100,000 with `GPU_SIAMESE_LONG_TESTS=1`, and as many as one likes with
//! `GPU_SIAMESE_FUZZ=1000000 cargo test --release --test fuzz -- --nocapture`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use gpu_siamese::cli::Config;
use gpu_siamese::data::pair_list::Skips;
use gpu_siamese::data::{Preparation, Random, Shape, Stream, cifar10, idx, omniglot, pair_list, picture};
use gpu_siamese::train::checkpoint;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage};
use safetensors::tensor::{Dtype, TensorView};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Counts live bytes and their highest number.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: all requests go to the system's allocator as they come.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Answers whether a file was accepted.
type Load = Box<dyn Fn(&[u8]) -> bool>;

/// A loader, right files for it, and the most bytes it may take for a file of some length.
struct Loader {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    /// Answers whether the file was accepted.
    load: Load,
    bound: fn(usize) -> usize,
}

/// One to eight changes to a right file; now and then nothing but noise.
fn broken(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Random, count: usize| random.below(count.max(1) as u32) as usize;
    if random.below(25) == 0 {
        let length = pick(random, 200);
        return (0..length).map(|_| random.word() as u8).collect();
    }
    let chosen = pick(random, seeds.len());
    let mut file = seeds[chosen].clone();
    for _ in 0..=random.below(8) {
        let at = pick(random, file.len());
        match random.below(8) {
            0 if !file.is_empty() => file[at] ^= 1 << random.below(8),
            1 if !file.is_empty() => file[at] = [0, 0xff, 0x7f, 0x80, b'-', b'9'][pick(random, 6)],
            2 | 3 => {
                // Sizes that overflow, ask for terabytes, or are just beside the right one.
                let value =
                    [0, 1, u64::MAX, 1 << 31, 1 << 32, 1 << 40, i64::MAX as u64, 255][pick(random, 8)];
                let value = value.wrapping_add(u64::from(random.below(3))).wrapping_sub(1);
                let bytes = if random.below(2) == 0 { value.to_le_bytes() } else { value.to_be_bytes() };
                let count = [1, 2, 4, 8][pick(random, 4)].min(file.len() - at.min(file.len()));
                file[at..at + count].copy_from_slice(&bytes[..count]);
            }
            4 => file.truncate(at),
            5 => {
                let length = pick(random, 16).min(file.len() - at.min(file.len()));
                let copied = file[at..at + length].to_vec();
                file.splice(at..at, copied);
            }
            6 => {
                let noise: Vec<u8> = (0..random.below(9)).map(|_| random.word() as u8).collect();
                file.splice(at..at, noise);
            }
            7 => {
                let other = pick(random, seeds.len());
                let from = pick(random, seeds[other].len());
                file.truncate(at);
                file.extend(&seeds[other][from..]);
            }
            _ => {}
        }
    }
    file
}

fn check(loader: &Loader, cases: u64) {
    let (start, mut accepted, mut most) = (Instant::now(), 0u64, 0);
    for seed in &loader.seeds {
        assert!((loader.load)(seed), "{}: a right file is refused", loader.name);
    }
    for case in 0..cases {
        let mut random = Random::new(case, Stream::Split, 0, 0);
        let file = broken(&mut random, &loader.seeds);
        let before = LIVE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| (loader.load)(&file)));
        let taken = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        most = most.max(taken);
        let named = || format!("{} on case {case}, {} bytes: {file:?}", loader.name, file.len());
        match outcome {
            Ok(loaded) => accepted += u64::from(loaded),
            Err(_) => panic!("panic in {}", named()),
        }
        let bound = (loader.bound)(file.len());
        assert!(taken <= bound, "{taken} bytes taken, over the bound of {bound}, in {}", named());
    }
    println!(
        "{}: {cases} broken files, {accepted} of them still right; {most} bytes at most; {:.1} s",
        loader.name,
        start.elapsed().as_secs_f64()
    );
    // Changes that are all too coarse would only test the first check.
    assert!(accepted > 0 && accepted < cases, "{}: {accepted} of {cases} accepted", loader.name);
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_file(magic: u32, sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = std::iter::once(magic).chain(sizes.iter().copied());
    header.flat_map(u32::to_be_bytes).chain(bytes.iter().copied()).collect()
}

fn weights(metadata: bool) -> Vec<u8> {
    let values: Vec<u8> = (0..6u8).flat_map(|at| f32::from(at).to_le_bytes()).collect();
    let views = [("fc.weight", vec![2, 3], &values[..]), ("fc.bias", vec![2], &values[..8])]
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape, bytes).unwrap()));
    let own = r#"{"model":"sn-lenet5","dataset":"glyphs","input":{"channels":1,"height":28,"width":28},"activation":"relu","pool":"max","distance":"euclidean","convention":"similarity","margin":1.0,"norm_eps":1e-5,"threshold":0.5,"seed":0,"epoch":1,"step":1}"#;
    let entries = [("gpu-siamese".to_string(), own.to_string())].into();
    safetensors::serialize(views, metadata.then_some(entries)).unwrap()
}

/// Two drawings of a character.
fn drawings(method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for drawer in [1, 2] {
        let picture = GrayImage::from_fn(105, 105, |x, y| Luma([255 * u8::from(x * drawer > y)]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("Greek/character01/0001_{drawer:02}.png"), options).unwrap();
        writer.write_all(bytes.get_ref()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn pictures() -> Vec<Vec<u8>> {
    let picture = RgbaImage::from_fn(9, 7, |x, y| Rgba([x as u8 * 20, y as u8 * 30, 99, 200]));
    let encoded = |format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let rgba = DynamicImage::ImageRgba8(picture.clone());
        let written = match format {
            ImageFormat::Jpeg | ImageFormat::Pnm => {
                DynamicImage::ImageRgb8(rgba.to_rgb8()).write_to(&mut bytes, format)
            }
            _ => rgba.write_to(&mut bytes, format),
        };
        written.unwrap();
        bytes.into_inner()
    };
    use ImageFormat::{Bmp, Gif, Ico, Jpeg, Png, Pnm, Qoi, Tga, Tiff, WebP};
    [Png, Jpeg, Gif, Bmp, WebP, Tiff, Pnm, Tga, Ico, Qoi].map(encoded).into()
}

/// One test: the count of memory is the process's.
#[test]
fn no_loader_panics_or_takes_too_much_memory() {
    let set = |name: &str| std::env::var(name).ok();
    let usual = if set("GPU_SIAMESE_LONG_TESTS").as_deref() == Some("1") { 100_000 } else { 5_000 };
    let cases = set("GPU_SIAMESE_FUZZ").map_or(usual, |text| text.parse().unwrap());
    // Messages of the panics that are caught would drown the one that matters.
    std::panic::set_hook(Box::new(|_| {}));
    let name = || Path::new("file");
    const SLACK: usize = 1 << 20;
    let images = idx_file(2051, &[3, 4, 5], &[7; 60]);
    let labels = idx_file(2049, &[9], &[1; 9]);
    let cifar: Vec<u8> = (0..2 * cifar10::RECORD).map(|at| (at % cifar10::RECORD % 10) as u8).collect();
    let settings = Config::default().to_toml().unwrap();
    let loaders = [
        Loader {
            name: "IDX images",
            seeds: vec![images.clone(), gzipped(&images)],
            load: Box::new(move |file| idx::parse_images(file, name()).is_ok()),
            // Deflate shrinks to a 1032nd at best; a reader holds its bytes and their copies on the way
            // to the hash.
            bound: |length| 3 * 1032 * length + SLACK,
        },
        Loader {
            name: "IDX labels",
            seeds: vec![labels.clone(), gzipped(&labels)],
            load: Box::new(move |file| idx::parse_labels(file, name(), 9).is_ok()),
            // Labels are four bytes each.
            bound: |length| 7 * 1032 * length + SLACK,
        },
        Loader {
            name: "CIFAR-10",
            seeds: vec![cifar.clone(), gzipped(&cifar)],
            load: Box::new(move |file| cifar10::parse(file, name()).is_ok()),
            // What was unpacked, its copy on the way to the hash, and its images.
            bound: |length| 4 * 1032 * length + SLACK,
        },
        Loader {
            name: "Omniglot",
            seeds: vec![drawings(CompressionMethod::Stored), drawings(CompressionMethod::Deflated)],
            load: Box::new(move |file| omniglot::parse(file, name()).is_ok()),
            // An entry has 46 bytes at least in the directory, and gives a drawing of 105x105. While it is decoded,
            // every thread holds its file and what the decoder may take.
            bound: |length| (length / 46 + 1) * 12_000 + 64 * length + 4 * SLACK,
        },
        Loader {
            name: "weights",
            seeds: vec![weights(false), weights(true)],
            load: Box::new(move |file| checkpoint::parse(file, name()).is_ok()),
            bound: |length| 64 * length + SLACK,
        },
        Loader {
            name: "lists of pairs",
            seeds: vec![
                b"a,b,same\n1,2,1\n3,\"x,y.png\",0\n".to_vec(),
                b"1,2\n# none\n./a.png , b.png\n".to_vec(),
            ],
            load: Box::new(move |file| {
                pair_list::parse(file, name(), &mut Skips { allowed: 1, ..Skips::default() }).is_ok()
            }),
            bound: |length| 256 * length + SLACK,
        },
        Loader {
            name: "settings",
            seeds: vec![settings.into_bytes(), b"epochs = 3\nlr = 1e-4\npool = \"average\"\n".to_vec()],
            load: Box::new(move |file| {
                std::str::from_utf8(file)
                    .is_ok_and(|text| Config::parse(text, name()).is_ok_and(|config| config.check().is_ok()))
            }),
            bound: |length| 256 * length + SLACK,
        },
        Loader {
            name: "pictures",
            seeds: pictures(),
            load: Box::new(|file| {
                let shape = Shape { channels: 1, height: 28, width: 28 };
                picture::decode(file).is_ok_and(|(picture, _)| {
                    picture::convert(picture, shape, &Preparation::default()).image.len() == shape.len()
                })
            }),
            // A few bytes may declare a large picture: up to the limit, decoded and turned.
            bound: |_| 512_000_000,
        },
    ];
    let only = std::env::var("GPU_SIAMESE_FUZZ_LOADER").ok();
    for loader in loaders.iter().filter(|loader| only.as_ref().is_none_or(|name| loader.name == name)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(loader, cases))) {
            let words = panic.downcast_ref::<String>().map_or("", String::as_str);
            eprintln!("{words}");
            let _ = std::panic::take_hook();
            panic!("{words}");
        }
    }
}
