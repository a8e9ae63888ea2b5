use std::io::Write;

use image::{GrayImage, ImageFormat, Luma};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::data::{Fit, load as load_set, omniglot};

/// What is wrong with some files.
type Change<'a> = &'a dyn Fn(&mut Vec<(String, Vec<u8>)>);

/// A drawing: ink (0) where a number has bits, on paper (255).
fn drawing(number: usize, size: u32) -> Vec<u8> {
    let picture = GrayImage::from_fn(size, size, |x, y| {
        let ink = x / 7 == 3 && number >> (y / 7) & 1 == 1;
        Luma([if ink { 0 } else { 255 }])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn right() -> Vec<u8> {
    drawing(1, 105)
}

/// `Greek` with two characters and `Arcadian` with one, two drawings each; Greek first, as no sorting has it.
fn names(outer: &str) -> Vec<(String, Vec<u8>)> {
    let characters = [("Greek", 2), ("Greek", 1), ("Arcadian", 1)];
    let files = characters.iter().enumerate().flat_map(|(number, (alphabet, character))| {
        [2, 1].map(|drawer| {
            let id = number + 1;
            let name = format!("{outer}{alphabet}/character{character:02}/{id:04}_{drawer:02}.png");
            (name, drawing(10 * id + drawer, 105))
        })
    });
    files.collect()
}

fn archive(files: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn unpack(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn folders_and_archives_are_alike_and_sorted() {
    let files = names("images_background/");
    let path = Path::new("images_background.zip");
    let stored = parse(&archive(&files, CompressionMethod::Stored), path).unwrap();
    assert_eq!(stored.alphabets, ["Arcadian", "Greek"]);
    assert_eq!(stored.classes, ["Arcadian/character01", "Greek/character01", "Greek/character02"]);
    assert_eq!(
        (stored.alphabet_of.as_slice(), stored.labels.as_slice()),
        (&[0, 1, 1][..], &[0, 0, 1, 1, 2, 2][..])
    );
    // The first is Arcadian's by drawer 1: number 31, inverted.
    assert_eq!(stored.images.len(), 6 * SHAPE.len());
    let column: Vec<u8> = (0..15).map(|y| stored.images[7 * y * 105 + 22]).collect();
    assert_eq!(column, [255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(stored.images[0], 0, "paper");
    let alike = |part: Part| {
        assert_eq!(
            (part.images, part.classes, part.md5),
            (stored.images.clone(), stored.classes.clone(), stored.md5.clone())
        );
    };
    alike(parse(&archive(&files, CompressionMethod::Deflated), path).unwrap());
    // Without the folder around it, and with what archivers leave behind.
    let mut bare = names("");
    bare.push(("__MACOSX/Greek/._character01".into(), vec![1]));
    bare.push(("Greek/.DS_Store".into(), vec![1]));
    for left in
        ["LICENSE", "Greek/readme.txt", "Greek/character01/Thumbs.db", "Greek/character01/strokes.txt"]
    {
        bare.push((left.into(), vec![1]));
    }
    bare.push(("@eaDir/Greek/character01/0001_01.png".into(), right()));
    bare.push(("Greek/character01/@eaDir/0001_01.png".into(), right()));
    alike(parse(&archive(&bare, CompressionMethod::Stored), path).unwrap());
    let parent = tempfile::tempdir().unwrap();
    unpack(parent.path(), &bare);
    alike(part(parent.path(), "images_background").unwrap());
}

#[test]
fn places_are_searched_and_the_evaluation_set_may_be_missing() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path();
    let message = load(dir).unwrap_err().to_string();
    assert!(message.contains("images_background/") && message.contains("omniglot-py"), "{message}");

    unpack(&dir.join("omniglot-py"), &names("images_background/"));
    let alone = load(dir).unwrap();
    assert_eq!((alone.len(), alone.train_images, alone.classes.len()), (6, 6, 3));
    assert!(
        alone.warnings.iter().any(|warning| warning.contains("no images_evaluation")),
        "{:?}",
        alone.warnings
    );
    assert!(alone.title.contains("another copy"));

    let test = archive(&names("images_evaluation/"), CompressionMethod::Stored);
    std::fs::write(dir.join("omniglot-py/images_evaluation.zip"), test).unwrap();
    let both = load_set(omniglot::NAME, Some(dir), 0).unwrap();
    assert_eq!((both.len(), both.train_images, both.test_images()), (12, 6, 6));
    assert_eq!(both.images[..alone.images.len()], alone.images);
    assert_eq!(both.labels[6..], [3, 3, 4, 4, 5, 5]);
    assert_eq!((both.alphabets.len(), &both.alphabet_of[..]), (4, &[0, 1, 1, 2, 3, 3][..]));

    // DIR/omniglot comes first, and folders come before archives.
    std::fs::create_dir(dir.join("omniglot")).unwrap();
    std::fs::write(dir.join("omniglot/images_background.zip"), b"no archive").unwrap();
    let message = load(dir).unwrap_err().to_string();
    assert!(message.contains("images_background.zip: damaged ZIP archive"), "{message}");
    unpack(&dir.join("omniglot"), &names("images_background/"));
    assert_eq!(load(dir).unwrap().len(), 6);
}

#[test]
fn what_is_not_as_published_is_told_with_its_place() {
    let message = |change: Change<'_>| {
        let mut files = names("");
        change(&mut files);
        let bytes = archive(&files, CompressionMethod::Stored);
        let found = parse(&bytes, Path::new("a.zip")).unwrap_err().to_string();
        let parent = tempfile::tempdir().unwrap();
        unpack(parent.path(), &files);
        let same = part(parent.path(), "").unwrap_err().to_string();
        let (place, words) = found.split_once(": ").unwrap();
        assert_eq!(same.split_once(": ").unwrap().1, words);
        assert!(same.contains(place.strip_prefix("a.zip").unwrap()), "{same}: {place}");
        found
    };
    let wanted = [
        (
            message(&|files| files[0].1 = drawing(1, 104)),
            "character02/0001_02.png: 104x104 pixels, not 105x105",
        ),
        (message(&|files| files[2].1 = b"GIF89a".to_vec()), "character01/0002_02.png: no PNG"),
        (message(&|files| files[2].1.truncate(60)), "character01/0002_02.png: no PNG"),
        (
            message(&|files| drop(files.drain(2..4))),
            "Greek: here should be character01, but next is character02",
        ),
        (message(&|files| files[1].0 = "Greek/0001_02.png".into()), "the drawing lies in no folder"),
        (message(&|files| files[1].0 = "Greek/character02/b/1.png".into()), "a.zip/Greek/character02"),
        (message(&|files| files.truncate(0)), "there are no drawings"),
        (message(&|files| files[5].1 = vec![0; 1 << 17]), "0003_01.png: has more than 65536 bytes"),
    ];
    for (message, wanted) in wanted {
        assert!(message.contains(wanted) && message.contains("Fetch"), "{message}");
    }
}

#[test]
fn empty_folders_are_told() {
    let parent = tempfile::tempdir().unwrap();
    unpack(parent.path(), &names(""));
    std::fs::create_dir(parent.path().join("Greek/character03")).unwrap();
    let message = part(parent.path(), "").unwrap_err().to_string();
    assert!(message.contains("Greek/character03: the folder is empty"), "{message}");
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_directory("Latin/", SimpleFileOptions::default()).unwrap();
    writer.start_file("Greek/character01/1.png", SimpleFileOptions::default()).unwrap();
    writer.write_all(&right()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let message = parse(&bytes, Path::new("a.zip")).unwrap_err().to_string();
    assert!(message.contains("a.zip/Latin: the folder is empty"), "{message}");
}

#[test]
fn damaged_archives_are_told() {
    let bytes = archive(&names(""), CompressionMethod::Stored);
    let parse = |bytes: &[u8]| parse(bytes, Path::new("a.zip")).map_err(|error| error.to_string());
    for length in [0, 3, bytes.len() / 2, bytes.len() - 30] {
        let message = parse(&bytes[..length]).unwrap_err();
        assert!(message.starts_with("a.zip: damaged ZIP archive"), "{message}");
    }
    // A bit of the first drawing's middle: its checksum does not hold.
    let mut changed = bytes.clone();
    changed[150] ^= 1;
    let message = parse(&changed).unwrap_err();
    assert!(message.contains("character02/0001_02.png: damaged"), "{message}");
    // A file of 100 MB in a hundred kilobytes.
    let bomb = vec![("Greek/character01/1.png".to_owned(), vec![0; 100 << 20])];
    let message = parse(&archive(&bomb, CompressionMethod::Deflated)).unwrap_err();
    assert!(message.contains("1.png: has more than 65536 bytes"), "{message}");
}

/// One run whose test files are in the order of its training files turned by three.
fn run() -> Vec<(String, Vec<u8>)> {
    let number = |kind: &str, place: usize| format!("run01/{kind}{place:02}.png");
    let mut files: Vec<(String, Vec<u8>)> = (1..=20)
        .flat_map(|place| {
            [
                (number("training/class", place), drawing(place, 105)),
                (number("test/item", place), drawing(100 + (place + 2) % 20 + 1, 105)),
            ]
        })
        .collect();
    let line =
        |item| format!("{} {}\n", number("test/item", item), number("training/class", (item + 2) % 20 + 1));
    files.push(("run01/class_labels.txt".into(), (1..=20).map(line).collect::<String>().into_bytes()));
    files
}

#[test]
fn runs_become_tasks() {
    let runs = parse_runs(&archive(&run(), CompressionMethod::Deflated), Path::new("all_runs.zip")).unwrap();
    assert_eq!((runs.album.len(), runs.tasks.len(), runs.warnings.len()), (40, 20, 1));
    let image = |number: u32| &runs.album.images[number as usize * SHAPE.len()..][..SHAPE.len()];
    for (item, task) in runs.tasks.iter().enumerate() {
        assert_eq!((task.run, task.right), (0, (item + 3) % 20));
        assert_eq!(task.support, std::array::from_fn(|place| place as u32));
        let mut of_class = vec![0; SHAPE.len()];
        decode(&drawing(100 + task.right + 1, 105), &mut of_class).unwrap();
        assert_eq!(image(task.query), of_class);
        decode(&drawing(task.right + 1, 105), &mut of_class).unwrap();
        assert_eq!(image(task.support[task.right]), of_class);
    }
    let parent = tempfile::tempdir().unwrap();
    unpack(&parent.path().join("all_runs"), &run());
    let small = official_runs(parent.path(), Some((35, 35)), Fit::Contain).unwrap();
    assert_eq!((small.album.shape.height, small.album.len(), &small.tasks), (35, 40, &runs.tasks));
    assert_eq!(small.album.images.len(), 40 * 35 * 35);
}

#[test]
fn broken_runs_are_told() {
    let message = |change: Change<'_>| {
        let mut files = run();
        change(&mut files);
        let bytes = archive(&files, CompressionMethod::Stored);
        parse_runs(&bytes, Path::new("all_runs.zip")).unwrap_err().to_string()
    };
    let labels = |text: &str| {
        let text = text.as_bytes().to_vec();
        message(&move |files| files[40].1 = text.clone())
    };
    let wanted = [
        (message(&|files| drop(files.remove(0))), "run01/training/class01.png: the file is missing"),
        (message(&|files| drop(files.remove(40))), "run01/class_labels.txt: the file is missing"),
        (message(&|files| files.truncate(0)), "there are no runs"),
        (labels("run01/test/item01.png run01/training/class21.png"), "class_labels.txt: line 1"),
        (labels("run02/test/item01.png run01/training/class01.png"), "class_labels.txt: line 1"),
        (labels("\nrun01/test/item01.png"), "class_labels.txt: line 2"),
        (labels("run01/test/item01.png run01/training/class02.png"), "item02.png is missing"),
        (labels(&"run01/test/item01.png run01/training/class02.png\n".repeat(2)), "item01.png stands twice"),
    ];
    for (message, wanted) in wanted {
        assert!(message.contains(wanted) && message.contains("Fetch all_runs.zip again"), "{message}");
    }
}

/// The folder of real data sets, where there is one with Omniglot.
fn real_data() -> Option<PathBuf> {
    let dir = std::env::var_os("GPU_SIAMESE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if find(&dir).is_ok() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no Omniglot at {}; set GPU_SIAMESE_DATA", dir.display());
    None
}

#[test]
fn the_real_set_is_the_published_one() {
    let Some(dir) = real_data() else { return };
    let set = load(&dir).unwrap();
    assert_eq!((set.warnings.as_slice(), set.title.as_str()), (&[][..], TITLE));
    assert_eq!((set.train_images, set.test_images()), (19_280, 13_180));
    assert_eq!((set.classes.len(), set.alphabets.len()), (964 + 659, 30 + 20));
    let train_classes: Vec<u32> = set.labels[..19_280].to_vec();
    assert_eq!((train_classes[0], train_classes[19_279], set.labels[19_280]), (0, 963, 964));
    assert!((0..1623).all(|class| set.labels.iter().filter(|&&label| label == class).count() == 20));
    assert_eq!((set.alphabet_of[963], set.alphabet_of[964], set.alphabet_of[1622]), (29, 30, 49));
    assert_eq!(
        (set.alphabets[0].as_str(), set.alphabets[49].as_str(), set.classes[963].as_str()),
        ("Alphabet_of_the_Magi", "ULOG", "Tifinagh/character55")
    );
    assert!(set.images.iter().all(|&pixel| pixel == 0 || pixel == 255));
    let ink = set.images.iter().filter(|&&pixel| pixel == 255).count() as f64 / set.images.len() as f64;
    assert!((0.06..0.1).contains(&ink), "{ink}");
}

#[test]
fn the_real_runs_are_of_the_evaluation_set() {
    let Some(dir) = real_data() else { return };
    let (set, runs) = (load(&dir).unwrap(), official_runs(&dir, None, Fit::Contain).unwrap());
    assert_eq!((runs.warnings.as_slice(), runs.album.len(), runs.tasks.len()), (&[][..], 800, 400));
    let of_set: std::collections::HashMap<&[u8], u32> =
        (set.train_images..set.len()).map(|image| (set.image(image).unwrap(), set.labels[image])).collect();
    let class = |number: u32| of_set[&runs.album.images[number as usize * SHAPE.len()..][..SHAPE.len()]];
    for task in &runs.tasks {
        let mut classes = task.support.map(class);
        assert_eq!(class(task.query), classes[task.right]);
        let alphabets = classes.map(|class| set.alphabet_of[class as usize]);
        assert!(alphabets.iter().all(|&alphabet| alphabet == alphabets[0]));
        classes.sort_unstable();
        assert!(classes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
