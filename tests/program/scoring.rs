//! `eval` and `compare`: a trained network used, through the program.

use crate::common::program::{has_vulkan, json, run, train};
use gpu_siamese::data::{Glyphs, glyphs};
use image::{GrayImage, ImageFormat};

/// The test image of this number, as eval counts them.
fn picture(index: usize) -> GrayImage {
    let set = glyphs::generate(&Glyphs::default(), 0);
    GrayImage::from_raw(28, 28, set.image(set.train_images + index).unwrap().to_vec()).unwrap()
}

#[test]
fn what_training_said_of_its_weights_eval_says_too() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, summary) = train(parent.path(), "run", &["--adapter", "cpu", "--epochs", "1"]);
    let run_dir = folder.to_str().unwrap();
    let mut adapters = vec!["cpu"];
    if has_vulkan() {
        adapters.push("vulkan");
    }
    let plans = ["auto", "unfused", "blocked", "fused"];
    for (adapter, plan) in adapters.into_iter().flat_map(|adapter| plans.map(|plan| (adapter, plan))) {
        let eval = json(&["eval", "--run-dir", run_dir, "--adapter", adapter, "--plan", plan]);
        assert_eq!((&eval["model"], &eval["dataset"]), (&"sn-lenet5".into(), &"glyphs".into()));
        assert_eq!((&eval["pairs"], &eval["threshold"]), (&4000.into(), &0.5.into()));
        let [found, expected] = [&eval["accuracy"], &summary["test_accuracy"]].map(|v| v.as_f64().unwrap());
        // One pair of 4,000 may lie within rounding of one half.
        assert!((found - expected).abs() <= 0.0251, "{adapter}, {plan}: {found} for {expected}");
        if adapter == "cpu" && plan == "auto" {
            assert_eq!(found, expected);
        }
    }
    // The threshold that was saved tells the validation pairs apart at least as well as one half does.
    let saved = json(&["eval", "--run-dir", run_dir, "--adapter", "cpu", "--threshold", "saved"]);
    assert_eq!(saved["threshold"], summary["threshold"]);
    assert_ne!(saved["threshold"], 0.5);
    // Weights that are named as a file say the same of themselves.
    let best = folder.join("best.safetensors");
    let alone = json(&["eval", "--weights", best.to_str().unwrap(), "--adapter", "cpu"]);
    assert_eq!(alone["accuracy"], summary["test_accuracy"]);
}

#[test]
fn pairs_of_a_list_come_back_in_order() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, _) = train(parent.path(), "run", &["--adapter", "cpu", "--epochs", "1"]);
    for (name, index, format) in
        [("3.png", 3, ImageFormat::Png), ("5.bmp", 5, ImageFormat::Bmp), ("17.tiff", 17, ImageFormat::Tiff)]
    {
        picture(index).save_with_format(parent.path().join(name), format).unwrap();
    }
    // Pictures of test images must score as the test images do.
    std::fs::write(parent.path().join("numbers.csv"), "a,b,same\n3,5,0\n17,3,0\n5,5,1\n").unwrap();
    std::fs::write(parent.path().join("pictures.csv"), "3.png,5.bmp\n17.tiff,3\n5,5.bmp\n").unwrap();
    let scores = |list: &str| {
        let paths = [folder.clone(), parent.path().join(list), parent.path().join(format!("scores-{list}"))];
        let [run, list, out] = paths.each_ref().map(|path| path.to_str().unwrap());
        json(&["eval", "--adapter", "cpu", "--run-dir", run, "--pairs", list, "--scores", out]);
        let mut reader = csv::Reader::from_path(out).unwrap();
        assert_eq!(reader.headers().unwrap(), vec!["a", "b", "same", "distance", "similarity"]);
        reader.records().map(|record| record.unwrap()).collect::<Vec<_>>()
    };
    let (numbers, pictures) = (scores("numbers.csv"), scores("pictures.csv"));
    assert_eq!(numbers.len(), 3);
    for (number, picture) in numbers.iter().zip(&pictures) {
        assert_eq!((&number[3], &number[4]), (&picture[3], &picture[4]));
    }
    assert_eq!((&numbers[1][0], &numbers[1][1], &numbers[1][2]), ("17", "3", "0"));
    assert_eq!((&pictures[1][0], &pictures[1][1], &pictures[1][2]), ("17.tiff", "3", ""));
    let similarity = |row: usize| numbers[row][4].parse::<f64>().unwrap();
    assert!(similarity(2) > similarity(0), "an image is more like itself than like another");
}

#[test]
fn two_pictures_are_compared() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, _) = train(parent.path(), "run", &["--adapter", "cpu", "--epochs", "1"]);
    let file = |name: &str, index: usize| {
        let path = parent.path().join(name);
        picture(index).save(&path).unwrap();
        path.to_str().unwrap().to_string()
    };
    // Images come class by class in turn, ten classes.
    let (a, b, other) = (file("a.png", 0), file("b.jpg", 10), file("other.png", 1));
    let run_dir = folder.to_str().unwrap();
    let compare = |x: &str, y: &str| json(&["compare", "--run-dir", run_dir, "--adapter", "cpu", x, y]);
    let (alike, different) = (compare(&a, &b), compare(&a, &other));
    assert_eq!((&alike["same"], &different["same"]), (&true.into(), &false.into()), "{alike} {different}");
    assert!(alike["distance"].as_f64().unwrap() < different["distance"].as_f64().unwrap());
    let output = run(&["compare", "--run-dir", run_dir, "--adapter", "cpu", &a, &other]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.starts_with("distance ") && words.ends_with("\ndifferent\n"), "{words}");
    // Inverted twice, a picture is what it was.
    let mut negative = picture(0);
    image::imageops::invert(&mut negative);
    let inverted = parent.path().join("inverted.png");
    negative.save(&inverted).unwrap();
    let negative = inverted.to_str().unwrap();
    let dark = json(&["compare", "--run-dir", run_dir, "--adapter", "cpu", "--invert", negative, negative]);
    assert_eq!(dark["distance"], compare(&a, &a)["distance"]);
}

/// Its norms take running statistics, so it does not matter which images come together.
#[test]
fn a_residual_network_says_of_two_pictures_what_it_says_of_them_among_others() {
    let parent = tempfile::tempdir().unwrap();
    let model = ["--adapter", "cpu", "--model", "resnet-small", "--epochs", "1", "--max-steps", "20"];
    let (folder, summary) = train(parent.path(), "run", &model);
    let run_dir = folder.to_str().unwrap();
    let (list, scores) = (parent.path().join("pairs.csv"), parent.path().join("scores.csv"));
    let lines: Vec<String> = (0..40).map(|index| format!("{index},{}\n", (7 * index + 10) % 40)).collect();
    std::fs::write(&list, lines.concat()).unwrap();
    let [list, out] = [&list, &scores].map(|path| path.to_str().unwrap());
    json(&["eval", "--run-dir", run_dir, "--adapter", "cpu", "--pairs", list, "--scores", out]);
    let mut reader = csv::Reader::from_path(&scores).unwrap();
    let first = reader.records().next().unwrap().unwrap();
    let pictures = [0, 10].map(|index| {
        let path = parent.path().join(format!("{index}.png"));
        picture(index).save(&path).unwrap();
        path.to_str().unwrap().to_string()
    });
    let [a, b] = &pictures;
    let alone = json(&["compare", "--run-dir", run_dir, "--adapter", "cpu", a, b]);
    let [among, alone] = [first[3].parse::<f64>().unwrap(), alone["distance"].as_f64().unwrap()];
    // The same sums in the same order.
    assert!((among - alone).abs() <= 1e-5 * alone, "{among} among others, {alone} alone");
    let whole = json(&["eval", "--run-dir", run_dir, "--adapter", "cpu"]);
    assert_eq!(whole["accuracy"], summary["test_accuracy"]);
}
