//! What `data` says of a folder, and training on CIFAR-10's files.

use std::path::Path;

use crate::common::idx;
use crate::common::program::{json, program, real_data, run, stderr, train, words};
use gpu_siamese::data::cifar10::RECORD;
use image::{GrayImage, Luma};
use serde_json::Value;

/// A set of two classes in six files of so many records.
fn write_cifar(folder: &Path, records: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let names = (1..=5).map(|number| format!("data_batch_{number}.bin")).chain(["test_batch.bin".into()]);
    for name in names {
        let record = |number: usize| {
            let label = (number % 2) as u8;
            // Bright above or below the middle.
            let pixels = (0..RECORD - 1)
                .map(move |at| if (at % 1024 / 512) as u8 == label { 200 } else { 20 + at as u8 % 16 });
            std::iter::once(label).chain(pixels)
        };
        std::fs::write(folder.join(name), (0..records).flat_map(record).collect::<Vec<u8>>()).unwrap();
    }
}

fn data(folder: &Path) -> (Option<i32>, Value, String) {
    let output = program().args(["data", "--json", "--data-dir"]).arg(folder).output().unwrap();
    let said = stderr(&output);
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap(), said)
}

fn state<'a>(findings: &'a Value, name: &str) -> &'a Value {
    findings.as_array().unwrap().iter().find(|finding| finding["dataset"] == name).unwrap()
}

#[test]
fn a_folder_is_told_set_by_set() {
    let parent = tempfile::tempdir().unwrap();
    let (code, findings, _) = data(parent.path());
    assert_eq!(code, Some(0));
    assert_eq!(state(&findings, "glyphs")["state"], "built-in");
    assert_eq!(state(&findings, "mnist")["state"], "absent");

    idx::write_set(&parent.path().join("mnist"));
    write_cifar(&parent.path().join("cifar-10-batches-bin"), 20);
    let (code, findings, _) = data(parent.path());
    assert_eq!(code, Some(0), "another copy is no broken one");
    let mnist = state(&findings, "mnist");
    assert_eq!((&mnist["state"], &mnist["train_images"]), (&"other".into(), &60.into()));
    assert_eq!(mnist["classes"][1]["train_images"], 30);
    let cifar = state(&findings, "cifar10");
    assert_eq!((&cifar["train_images"], &cifar["test_images"]), (&100.into(), &20.into()));
    assert_eq!(cifar["title"], "CIFAR-10 (another copy)");
    assert_eq!(cifar["files"].as_array().unwrap().len(), 6);
    assert_eq!(cifar["files"][5]["bytes"], 20 * RECORD);

    // Half a file, then a file less: what is found is of no use.
    let batch = parent.path().join("cifar-10-batches-bin/data_batch_2.bin");
    std::fs::write(&batch, [1; 5000]).unwrap();
    let (code, findings, _) = data(parent.path());
    assert_eq!((code, &state(&findings, "cifar10")["state"]), (Some(3), &"broken".into()));
    assert!(
        state(&findings, "cifar10")["error"]
            .as_str()
            .unwrap()
            .contains("data_batch_2.bin: ends at byte 5000")
    );
    std::fs::remove_file(&batch).unwrap();
    let (code, findings, _) = data(parent.path());
    assert_eq!((code, &state(&findings, "cifar10")["state"]), (Some(3), &"broken".into()));
    assert!(state(&findings, "cifar10")["error"].as_str().unwrap().contains("missing: data_batch_2.bin"));
    assert_eq!(state(&findings, "mnist")["state"], "other");
}

#[test]
fn without_a_folder_nothing_is_broken() {
    let output = program().arg("data").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("glyphs: made by the program") && told.contains("cifar10: not found"), "{told}");
}

#[test]
fn colour_images_are_learnt_and_the_copy_is_told_everywhere() {
    let parent = tempfile::tempdir().unwrap();
    write_cifar(&parent.path().join("data/cifar10"), 60);
    let folder = parent.path().join("data");
    let line = "--adapter cpu --threads 1 --dataset cifar10 --batch-size 32 --epochs 20 --data-dir";
    let arguments = [words(line), vec![folder.to_str().unwrap()]].concat();
    let (run, summary) = train(parent.path(), "run", &arguments);
    assert_eq!(
        (&summary["dataset"], &summary["dataset_title"]),
        (&"cifar10".into(), &"CIFAR-10 (another copy)".into())
    );
    assert!(summary["dataset_notes"][0].as_str().unwrap().contains("will not compare"), "{summary}");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("sn-lenet5 on CIFAR-10 (another copy)") && page.contains("will not compare"));
    // Two classes that a glance tells apart.
    for key in ["test_accuracy", "class_accuracy_centroid", "class_accuracy_knn"] {
        assert_eq!(summary[key], 100.0, "{key}: {summary}");
    }
    assert_eq!((&summary["roc_auc"], &summary["eer"]), (&1.0.into(), &0.0.into()));
    let eval = json(&["eval", "--adapter", "cpu", "--run-dir", run.to_str().unwrap()]);
    for key in ["roc_auc", "eer", "tar_at_far", "class_accuracy_centroid", "class_accuracy_knn"] {
        assert_eq!(eval[key], summary[key], "{key}");
    }
    assert_eq!(eval["accuracy_at_saved_threshold"], summary["test_accuracy_at_threshold"]);
}

/// So many alphabets of two characters with four drawings each: a bar whose place tells the character.
fn write_omniglot(folder: &Path, alphabets: u32) {
    for alphabet in 0..alphabets {
        for character in [1, 2] {
            let place = folder.join(format!("Alphabet{alphabet}/character{character:02}"));
            std::fs::create_dir_all(&place).unwrap();
            for drawer in 0..4 {
                let bar = 10 * (2 * alphabet + character) % 90 + drawer;
                let picture =
                    GrayImage::from_fn(105, 105, |x, _| Luma([255 * u8::from(x.abs_diff(bar) > 4)]));
                picture.save(place.join(format!("{alphabet:04}_{drawer:02}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn omniglot_trains_alike_without_its_evaluation_set() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    write_omniglot(&data.join("omniglot/images_background"), 6);
    let line = "--adapter cpu --threads 1 --dataset omniglot --image-size 28 --batch-size 16 --epochs 2";
    let of = ["--rotations", "--data-dir", data.to_str().unwrap()];
    let arguments = [&words(line)[..], &of].concat();
    let (alone, summary) = train(parent.path(), "alone", &arguments);
    assert!(summary["test_oneshot_accuracy"].is_null(), "{summary}");
    assert!(summary["val_oneshot_accuracy"].is_number(), "{summary}");
    assert!(summary["dataset_notes"][0].as_str().unwrap().contains("no images_evaluation"));
    write_omniglot(&data.join("omniglot/images_evaluation"), 3);
    let (both, summary) = train(parent.path(), "both", &arguments);
    assert!(summary["test_oneshot_accuracy"].is_number(), "{summary}");
    // The header before them also tells which data it was.
    let weights = |run: &Path| {
        let file = std::fs::read(run.join("best.safetensors")).unwrap();
        let header = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        file[8 + header..].to_vec()
    };
    assert!(weights(&alone) == weights(&both), "the test set changed what was learnt");
    // The run's size, split and tasks are oneshot's too.
    let again = json(&["oneshot", "--adapter", "cpu", "--run-dir", both.to_str().unwrap()]);
    assert_eq!(again["accuracy"], summary["test_oneshot_accuracy"]);
    assert!(again["tasks"].as_u64() >= Some(40), "{again}");
    // Weights alone tell their size.
    let best = both.join("best.safetensors");
    let best = best.to_str().unwrap();
    let alone = run(&[
        "oneshot",
        "--adapter",
        "cpu",
        "--weights",
        best,
        "--data-dir",
        data.to_str().unwrap(),
        "--json",
    ]);
    assert!(alone.status.success(), "{}", stderr(&alone));
    assert_eq!(serde_json::from_slice::<Value>(&alone.stdout).unwrap()["accuracy"], again["accuracy"]);
    // A drawing is the same to the network by its number and by its file.
    let file = |image: usize| {
        let (alphabet, character, drawer) = (image / 8, image / 4 % 2 + 1, image % 4);
        data.join(format!("omniglot/images_evaluation/Alphabet{alphabet}/character{character:02}/{alphabet:04}_{drawer:02}.png"))
    };
    let listed: [Vec<String>; 2] = [
        (0..24).map(|image| format!("{image},{}\n", (7 * image + 3) % 24)).collect(),
        (0..24)
            .map(|image| format!("{},{}\n", file(image).display(), file((7 * image + 3) % 24).display()))
            .collect(),
    ];
    let [numbers, files] = listed.map(|lines| {
        std::fs::write(parent.path().join("list.csv"), lines.concat()).unwrap();
        let list = parent.path().join("list.csv");
        let output = program()
            .args(["eval", "--adapter", "cpu", "--json", "--run-dir"])
            .arg(&both)
            .arg("--pairs")
            .arg(list)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|score| score["distance"].as_f64().unwrap())
            .collect::<Vec<_>>()
    });
    assert!(numbers.len() == 24 && numbers == files, "{numbers:?} {files:?}");
    // What is done to pictures is told, and what is unlike the training images warned of.
    let compare = |more: &[&str]| {
        let output = program()
            .args(["compare", "--adapter", "cpu", "--json", "--weights", best])
            .arg(file(0))
            .arg(file(9))
            .args(more)
            .output()
            .unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), told, stderr(&output))
    };
    let (code, told, said) = compare(&["--exit-code"]);
    assert_eq!(code, Some(if told["same"] == true { 0 } else { 1 }), "{said}");
    let prepared = &told["preparation"];
    assert_eq!(
        (&prepared["polarity"], &prepared["fit"], &prepared["filter"]),
        (&"inverted".into(), &"contain".into(), &"area".into())
    );
    assert_eq!(
        (&prepared["height"], &prepared["channels"], &prepared["standardize"]),
        (&28.into(), &1.into(), &false.into())
    );
    assert!(told["warnings"].as_array().unwrap().is_empty() && !said.contains("warning"), "{said}");
    let (code, told, said) = compare(&["--polarity", "as-is"]);
    assert_eq!((code, told["warnings"].as_array().unwrap().len()), (Some(0), 2));
    assert!(
        said.contains("warning: ") && said.contains("0000_00.png") && said.contains("--polarity"),
        "{said}"
    );
    // Another split is another run.
    let resumed =
        program().args(["train", "--resume", "--split", "classes", "--run-dir"]).arg(&both).output().unwrap();
    assert_eq!(resumed.status.code(), Some(2), "{}", stderr(&resumed));
}

/// Ten images of each of nine classes, and one of the last: both sides of the split have pairs of all that have two.
#[test]
fn small_classes_and_lone_images_are_learnt_from() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data/mnist");
    idx::write_set(&folder);
    let few = |count: usize| {
        (0..=count).map(|at| if at == count { 9 } else { (at % 9) as u8 }).collect::<Vec<u8>>()
    };
    for (part, count) in [(0, 91), (2, 37)] {
        std::fs::write(folder.join(idx::NAMES[part]), idx::images(count, 28)).unwrap();
        std::fs::write(
            folder.join(idx::NAMES[part + 1]),
            idx::file(2049, &[count], &few(count as usize - 1)),
        )
        .unwrap();
    }
    let train = |share: &str| {
        let run = parent.path().join(share);
        let output = program()
            .args(["train", "--adapter", "cpu", "--dataset", "mnist", "--epochs", "1", "--batch-size", "4"])
            .args(["--data-dir", "data", "--val-share", share, "--run-dir"])
            .arg(&run)
            .current_dir(parent.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let said = train("0.2");
    assert!(said.contains("73 train, 18 validate, 37 test"), "{said}");
    for part in ["training", "test"] {
        let note = format!("classes with fewer than 2 {part} images serve in negative pairs alone: 9");
        assert!(said.contains(&note), "{said}");
    }
    assert!(train("0.5").contains("46 train, 45 validate"));
}

#[test]
fn what_a_set_cannot_give_is_wrong_usage() {
    for (arguments, wanted) in [
        (&["--split", "alphabets"][..], "belong to no alphabet"),
        (&["--split", "letters"], "images, classes or alphabets"),
        (&["--image-size", "0"], "choose 1 to 1024"),
        (&["--dataset", "glyph-alphabets", "--image-size", "5000"], "choose 1 to 1024"),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run");
        let output = program()
            .args(["train", "--adapter", "cpu", "--run-dir"])
            .arg(folder)
            .args(arguments)
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(output.status.code() == Some(2) && said.contains(wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn glyph_alphabets_need_no_folder() {
    let findings = json(&["data"]);
    let glyphs = state(&findings, "glyph-alphabets");
    assert_eq!((&glyphs["state"], &glyphs["alphabets"]), (&"built-in".into(), &16.into()));
    assert_eq!((&glyphs["train_images"], &glyphs["test_images"]), (&2880.into(), &960.into()));
    let told = String::from_utf8(run(&["data"]).stdout).unwrap();
    assert!(told.contains("144 + 48 classes in 16 alphabets of 20 + 20 each"), "{told}");
}

#[test]
fn the_real_omniglot_is_verified() {
    let Some(folder) = real_data().filter(|folder| folder.join("omniglot").is_dir()) else { return };
    let (_, findings, _) = data(&folder);
    let omniglot = state(&findings, "omniglot");
    assert_eq!((&omniglot["state"], &omniglot["alphabets"]), (&"verified".into(), &50.into()));
    assert_eq!((&omniglot["train_images"], &omniglot["test_images"]), (&19_280.into(), &13_180.into()));
    assert_eq!(omniglot["classes"].as_array().unwrap().len(), 964 + 659);
    assert_eq!(omniglot["files"].as_array().unwrap().len(), 2);
}
