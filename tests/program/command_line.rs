//! The program as a user runs it: files, figures, messages and exit codes.

use std::path::Path;
use std::process::Command;

use crate::common::idx;
use crate::common::program::{has_vulkan, json, long, program, real_data, run, stderr, train, words};
use serde_json::Value;

#[test]
fn the_main_job_learns_glyphs() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, summary) = train(parent.path(), "run", &["--adapter", "cpu", "--epochs", "2"]);
    let accuracy = summary["test_accuracy"].as_f64().unwrap();
    assert!(accuracy >= 95.0, "test pairs {accuracy} %");
    assert_eq!(summary["parameters"], 60_862);
    assert_eq!(summary["adapter"]["software"], false);
    assert_eq!(summary["steps"], 600);
    for file in ["config.toml", "metrics.jsonl", "summary.json", "best.safetensors", "last.safetensors"] {
        assert!(folder.join(file).is_file(), "{file} is missing");
    }
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
    let steps = std::fs::read_to_string(folder.join("steps.jsonl")).unwrap();
    assert_eq!(steps.lines().count(), 600);
    let last: Value = serde_json::from_str(steps.lines().last().unwrap()).unwrap();
    assert_eq!((&last["step"], &last["epoch"]), (&600.into(), &2.into()));
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains(&format!("{accuracy:.2}\u{a0}%")) && page.contains("Histogram by class"));
    assert!(page.contains("gpu-siamese train <span>--adapter cpu</span> <span>--epochs 2</span>"));
}

#[test]
fn launches_are_those_of_the_plan() {
    let vulkan = has_vulkan();
    for (adapter, kind) in [("cpu", "auto"), ("cpu", "fused"), ("vulkan", "auto"), ("vulkan", "fused")] {
        if adapter == "vulkan" && !vulkan {
            continue;
        }
        let parent = tempfile::tempdir().unwrap();
        let both = ["--adapter", adapter, "--plan", kind, "--batch-size", "8"];
        let set = idx::small_set(parent.path());
        let short = ["--epochs", "1", "--max-steps", "7"];
        let arguments = [&both[..], &short, &set.each_ref().map(String::as_str)].concat();
        let (_, summary) = train(parent.path(), "run", &arguments);
        let plan = json(&[&["plan"], &both[..]].concat());
        let per_step = plan["launches_per_step"].as_u64().unwrap();
        assert_eq!(plan["steps"].as_array().unwrap().len() as u64, per_step);
        assert_eq!(summary["launches_per_step"].as_u64().unwrap(), per_step);
        assert_eq!(summary["train_launches"].as_u64().unwrap(), 7 * per_step, "{adapter}");
        assert_eq!(summary["plan"], plan["plan"]);
        if kind == "fused" {
            assert_eq!((&summary["plan"], per_step), (&"fused".into(), 4), "{adapter}");
        }
    }
}

#[test]
fn the_same_run_twice_gives_the_same_bits() {
    let parent = tempfile::tempdir().unwrap();
    let runs: &[&[&str]] = &[
        &["--adapter", "cpu", "--threads", "1"],
        &["--adapter", "cpu", "--threads", "2"],
        &["--adapter", "cpu", "--threads", "3"],
        &["--adapter", "vulkan"],
        &["--adapter", "vulkan"],
        &["--adapter", "vulkan", "--plan", "fused"],
        &["--adapter", "vulkan", "--plan", "fused"],
    ];
    let set = idx::small_set(parent.path());
    let set = set.each_ref().map(String::as_str);
    let vulkan = has_vulkan();
    let mut weights: Vec<((&str, bool), Vec<u8>)> = Vec::new();
    for (number, arguments) in runs.iter().enumerate() {
        if arguments[1] == "vulkan" && !vulkan {
            continue;
        }
        let common = ["--epochs", "1", "--max-steps", "12", "--batch-size", "20", "--seed", "3"];
        let (folder, _) = train(parent.path(), &number.to_string(), &[*arguments, &common, &set].concat());
        let bytes = std::fs::read(folder.join("best.safetensors")).unwrap();
        let executor = (arguments[1], arguments.contains(&"fused"));
        if let Some((_, first)) = weights.iter().find(|(other, _)| *other == executor) {
            assert!(*first == bytes, "{arguments:?} gave other bits");
        }
        weights.push((executor, bytes));
    }
}

/// Whatever the loss, the layers, the data: a network that makes the same of all images is no result. A young one may
/// still learn.
#[test]
fn a_run_that_collapses_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("grey");
    idx::write_set(&data.join("mnist"));
    for (name, count) in [(idx::NAMES[0], 60), (idx::NAMES[2], 20)] {
        let grey = idx::file(2051, &[count, 28, 28], &vec![99; 784 * count as usize]);
        std::fs::write(data.join("mnist").join(name), grey).unwrap();
    }
    let grey = ["--dataset", "mnist", "--batch-size", "8", "--data-dir", data.to_str().unwrap()];
    let cases: &[(&[&str], &[&str])] = &[
        (&["--loss", "hadsell", "--lr", "1"], &["100.0 % of the pairs lie on one side", "ROC curve is 0.5"]),
        (&["--loss", "cross-entropy", "--lr", "1"], &["distances of pairs spread from"]),
        (&["--activation", "sigmoid", "--lr", "3"], &["100.0 % of them are the same"]),
        (&["--model", "lenet5", "--lr", "3"], &["are given one class", "% are right"]),
        (&grey, &["100.0 % of them are the same", "images and labels can be learned"]),
    ];
    for (number, (arguments, words)) in cases.iter().enumerate() {
        let folder = parent.path().join(number.to_string());
        let folder = folder.to_str().unwrap();
        let output =
            run(&[&["train", "--adapter", "cpu", "--epochs", "1", "--run-dir", folder], *arguments].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {message}");
        for words in [&["the network collapsed: after step", "smaller --lr"], *words].concat() {
            assert!(message.contains(words), "{arguments:?} does not say \"{words}\": {message}");
        }
        let used = run(&["compare", "--run-dir", folder, "a.png", "b.png"]);
        assert_eq!(used.status.code(), Some(3), "{arguments:?}: {}", stderr(&used));
    }
    // All pairs on one side, but not for good.
    let young = ["--adapter", "cpu", "--loss", "hadsell", "--max-steps", "1"];
    let (_, summary) = train(parent.path(), "young", &young);
    assert_eq!(summary["val_accuracy"], 50.0);
}

/// Also where one-shot tasks validate: the threshold is chosen on pairs, and used.
#[test]
fn every_run_has_a_threshold() {
    let parent = tempfile::tempdir().unwrap();
    let tasks = ["--dataset", "glyph-alphabets", "--adapter", "cpu", "--loss", "hadsell", "--epochs", "1"];
    let (folder, summary) = train(parent.path(), "run", &[&tasks[..], &["--epoch-steps", "60"]].concat());
    assert!(summary["val_oneshot_accuracy"].is_f64() && summary["threshold"] != 0.5, "{summary}");
    let eval = |threshold: &str| -> Value {
        let folder = folder.to_str().unwrap();
        let output =
            run(&["eval", "--adapter", "cpu", "--json", "--run-dir", folder, "--threshold", threshold]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (half, saved) = (eval("0.5"), eval("saved"));
    assert_eq!(
        (&saved["threshold"], &half["saved_threshold"]),
        (&summary["threshold"], &summary["threshold"])
    );
    assert_eq!(half["accuracy_at_saved_threshold"], saved["accuracy"]);
    // Characters that were never trained cannot be named.
    assert!(half["class_accuracy_knn"].is_null() && half["roc_auc"].is_f64(), "{half}");
    let mut before = 0.0;
    for rate in ["0.1", "0.01", "0.001"] {
        let threshold = eval(&format!("far={rate}"))["threshold"].as_f64().unwrap();
        assert!(threshold > before, "{threshold} at a false accept rate of {rate}");
        before = threshold;
        assert!(half["threshold_at_far"][rate].is_f64() && half["tar_at_far"][rate].is_f64(), "{half}");
    }
    let other = run(&["eval", "--run-dir", folder.to_str().unwrap(), "--threshold", "far=0.5"]);
    assert_eq!(other.status.code(), Some(2));
}

/// Without a word on episodes, they are what the set and the batch allow.
#[test]
fn episodes_have_defaults_that_train() {
    let parent = tempfile::tempdir().unwrap();
    let few = ["--adapter", "cpu", "--loss", "episodes", "--epochs", "1", "--max-steps", "3"];
    let (folder, _) = train(parent.path(), "run", &few);
    let config = std::fs::read_to_string(folder.join("config.toml")).unwrap();
    assert!(config.contains("way = 8\n"), "eight of ten classes divide a batch of 64: {config}");
}

/// Steps too small to change a weight: every validation is like the first.
#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let parent = tempfile::tempdir().unwrap();
    let still = ["--adapter", "cpu", "--loss", "hadsell", "--lr", "1e-30", "--epochs", "9"];
    let (folder, summary) = train(parent.path(), "run", &[&still[..], &["--patience", "2"]].concat());
    assert_eq!((&summary["epochs"], &summary["best_epoch"]), (&3.into(), &1.into()));
    assert_eq!((&summary["stopped_early"], &summary["interrupted"]), (&true.into(), &false.into()));
    assert!(summary["test_accuracy"].is_f64());
    // More patience goes on.
    let folder = folder.to_str().unwrap();
    let more = json(&["train", "--resume", "--run-dir", folder, "--patience", "3"]);
    assert_eq!((&more["epochs"], &more["stopped_early"]), (&4.into(), &true.into()));
}

#[test]
fn config_of_a_run_repeats_it() {
    let parent = tempfile::tempdir().unwrap();
    let arguments =
        ["--adapter", "cpu", "--max-steps", "5", "--epochs", "1", "--batch-size", "16", "--lr", "0.002"];
    let (first, _) = train(parent.path(), "first", &arguments);
    let config = first.join("config.toml");
    let (second, _) = train(parent.path(), "second", &["--config", config.to_str().unwrap()]);
    let read = |folder: &Path, file: &str| std::fs::read(folder.join(file)).unwrap();
    assert_eq!(read(&first, "best.safetensors"), read(&second, "best.safetensors"));
    assert_eq!(read(&first, "config.toml"), read(&second, "config.toml"));
    // A flag beside the file wins.
    let (_, third) =
        train(parent.path(), "third", &["--config", config.to_str().unwrap(), "--max-steps", "3"]);
    assert_eq!(third["steps"], 3);
}

/// Weights remember how their images were made ready: scoring them otherwise gives other figures.
#[test]
fn standardized_images_stay_so_wherever_the_weights_go() {
    let parent = tempfile::tempdir().unwrap();
    let steps = ["--adapter", "cpu", "--epochs", "1", "--max-steps", "100"];
    let (folder, summary) = train(parent.path(), "run", &[&steps[..], &["--standardize"]].concat());
    let weights = folder.join("best.safetensors");
    for (flag, path) in [("--run-dir", &folder), ("--weights", &weights)] {
        let scored = json(&["eval", "--adapter", "cpu", flag, path.to_str().unwrap()]);
        assert_eq!(scored["accuracy"], summary["test_accuracy"], "{flag}");
    }
    let (_, raw) = train(parent.path(), "raw", &steps);
    assert_ne!(raw["test_accuracy"], summary["test_accuracy"]);
    let otherwise = parent.path().join("raw/best.safetensors");
    let refused = run(&["eval", "--weights", otherwise.to_str().unwrap(), "--standardize"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--standardize"), "{}", stderr(&refused));
}

#[test]
fn weights_start_another_run() {
    let parent = tempfile::tempdir().unwrap();
    let (first, _) = train(parent.path(), "first", &["--adapter", "cpu", "--epochs", "1"]);
    let weights = first.join("best.safetensors");
    let init =
        ["--init", weights.to_str().unwrap(), "--adapter", "cpu", "--epochs", "1", "--max-steps", "10"];
    let (_, second) = train(parent.path(), "second", &init);
    let accuracy = second["val_accuracy"].as_f64().unwrap();
    assert!(accuracy > 95.0, "went on from 98 % or so, but has {accuracy} %");
}

#[test]
fn weights_have_the_names_and_shapes_of_pytorch() {
    let parent = tempfile::tempdir().unwrap();
    let arguments = ["--adapter", "cpu", "--epochs", "1", "--max-steps", "2", "--batch-size", "4"];
    let (folder, _) = train(parent.path(), "run", &arguments);
    let file = std::fs::read(folder.join("best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let mut found: Vec<(String, Vec<usize>)> =
        tensors.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec())).collect();
    found.sort();
    let expected: &[(&str, &[usize])] = &[
        ("conv1.bias", &[6]),
        ("conv1.weight", &[6, 1, 5, 5]),
        ("conv2.bias", &[16]),
        ("conv2.weight", &[16, 6, 5, 5]),
        ("fc1.bias", &[120]),
        ("fc1.weight", &[120, 400]),
        ("fc2.bias", &[84]),
        ("fc2.weight", &[84, 120]),
        ("head.fc.bias", &[1]),
        ("head.fc.weight", &[1, 1]),
        ("head.norm.bias", &[1]),
        ("head.norm.running_mean", &[1]),
        ("head.norm.running_var", &[1]),
        ("head.norm.weight", &[1]),
    ];
    let expected: Vec<(String, Vec<usize>)> =
        expected.iter().map(|(name, shape)| (name.to_string(), shape.to_vec())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_run_that_diverges_names_the_step_and_keeps_what_was_there() {
    let parent = tempfile::tempdir().unwrap();
    // The loss of an only step is looked at before the step that ruins the weights.
    for (steps, named) in [("40", "the loss of step "), ("1", "")] {
        let folder = parent.path().join(steps);
        let mut command = program();
        command.args(words("train --adapter cpu --lr 1e30 --epochs 1 --max-steps")).arg(steps);
        let output = command.arg("--run-dir").arg(&folder).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
        assert!(stderr(&output).contains(named), "{}", stderr(&output));
        assert!(!folder.join("best.safetensors").exists());
    }
}

#[test]
fn a_refused_command_leaves_the_folder_for_the_corrected_one() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let refused = ["train", "--adapter", "cpu", "--batch-size", "60000", "--run-dir"];
    let output = program().args(refused).arg(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    train(parent.path(), "run", &["--adapter", "cpu", "--epochs", "1", "--max-steps", "2"]);
}

#[test]
fn a_driver_that_is_missing_is_no_reason_to_take_another() {
    let output = program()
        .args(["train", "--adapter", "vulkan"])
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("mesa-vulkan-drivers"), "{}", stderr(&output));
}

#[test]
fn all_losses_and_layers_learn() {
    for arguments in [
        &["--loss", "hadsell"][..],
        &["--loss", "cross-entropy"],
        &["--activation", "tanh", "--pool", "average"],
        &["--activation", "sigmoid", "--lr", "0.003"],
        &["--distance", "l1", "--margin", "0.9"],
    ] {
        let parent = tempfile::tempdir().unwrap();
        let common = ["--adapter", "cpu", "--epochs", "2"];
        let (folder, summary) = train(parent.path(), "run", &[arguments, &common].concat());
        let accuracy = summary["test_accuracy"].as_f64().unwrap();
        assert!(accuracy > 80.0, "{arguments:?}: test pairs {accuracy} %");
        // What was saved says how it compares.
        let again = json(&["eval", "--adapter", "cpu", "--run-dir", folder.to_str().unwrap()]);
        assert_eq!(again["accuracy"], summary["test_accuracy"], "{arguments:?}");
    }
}

/// The head's first weight is -1: a positive one would leave half of all seeds at 50 %.
#[test]
fn seeds_of_500_mnist_steps_all_learn() {
    let Some(data) = real_data() else { return };
    let parent = tempfile::tempdir().unwrap();
    for seed in 0..if long() { 10 } else { 2 } {
        let seed = seed.to_string();
        let arguments = ["--dataset", "mnist", "--data-dir", data.to_str().unwrap(), "--adapter", "cpu"];
        let (_, summary) = train(
            parent.path(),
            &seed,
            &[&arguments[..], &["--epochs", "1", "--max-steps", "500", "--seed", &seed]].concat(),
        );
        let accuracy = summary["test_accuracy"].as_f64().unwrap();
        println!("seed {seed}: test pairs {accuracy:.2} % after 500 steps");
        assert!(accuracy > 90.0, "seed {seed}: test pairs {accuracy} % after 500 steps");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved() {
    use std::time::Duration;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let mut child = program()
        .args(["train", "--adapter", "cpu", "--epochs", "100000", "--run-dir"])
        .arg(&folder)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while std::fs::metadata(folder.join("metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let summary: Value =
        serde_json::from_slice(&std::fs::read(folder.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["interrupted"], true);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("The run was interrupted after") && page.contains("Loss by epoch"));
    let last = std::fs::read(folder.join("last.safetensors")).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&last).unwrap().tensor("fc1.weight.first_moment").is_ok());
}

/// LeNet-5 names classes, and nothing of it is called an accuracy of pairs.
#[test]
fn a_classifier_learns_classes() {
    let parent = tempfile::tempdir().unwrap();
    let arguments = ["--model", "lenet5", "--adapter", "cpu", "--epochs", "3", "--augment", "shift=1"];
    let (folder, summary) = train(parent.path(), "run", &arguments);
    let accuracy = summary["test_class_accuracy"].as_f64().unwrap();
    assert!(accuracy > 90.0, "{accuracy} % of the glyphs' classes");
    assert!(summary["test_seconds"].as_f64().unwrap() > 0.0);
    assert!(summary["test_accuracy"].is_null() && summary["val_accuracy"].is_null());
    // Ten logits behind the 84 features, and no head.
    assert_eq!(summary["parameters"], 60_856 + 850);
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    for line in metrics.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["val_class_accuracy"].is_f64() && line["images_per_second"].is_f64(), "{line}");
        assert!(
            line.as_object().unwrap().keys().all(|key| !key.contains("pair") && key != "val_accuracy"),
            "{line}"
        );
    }
    let folder = folder.to_str().unwrap();
    let evaluated = json(&["eval", "--run-dir", folder, "--adapter", "cpu"]);
    assert_eq!(evaluated["class_accuracy"].as_f64().unwrap(), accuracy);
    assert_eq!(evaluated["images"], 2000);
    // There is nothing to compare.
    for arguments in [&["compare", "a.png", "b.png"][..], &["eval", "--scores", "s.csv"]] {
        let output = run(&[arguments, &["--run-dir", folder]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("lenet5 classifies images and compares none"),
            "{}",
            stderr(&output)
        );
    }
    // A resumed run ends as one that went through.
    let short = ["--model", "lenet5", "--adapter", "cpu", "--optimizer", "sgd", "--momentum", "0.9"];
    let (whole, _) = train(parent.path(), "whole", &[&short[..], &["--epochs", "2"]].concat());
    let stopped = parent.path().join("stopped");
    let folder = ["train", "--resume", "--log-steps", "--run-dir", stopped.to_str().unwrap()];
    for epochs in ["1", "2"] {
        let output = run(&[&folder[..], &short, &["--epochs", epochs]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for file in ["best.safetensors", "last.safetensors", "steps.jsonl"] {
        let [whole, stopped] = [&whole, &stopped].map(|folder| std::fs::read(folder.join(file)).unwrap());
        assert!(whole == stopped, "{file}");
    }
    // Its subnet tells pairs apart before it has seen any: a rate of next to nothing leaves it as it is.
    let weights = parent.path().join("run").join("best.safetensors");
    let barely = ["--adapter", "cpu", "--max-steps", "1", "--lr", "1e-9"];
    let area = |name: &str, init: &[&str]| {
        let (_, summary) = train(parent.path(), name, &[&barely, init].concat());
        summary["roc_auc"].as_f64().unwrap()
    };
    let (lent, own) = (area("lent", &["--init", weights.to_str().unwrap()]), area("own", &[]));
    assert!(lent > own + 0.1, "{lent} with the classifier's subnet, {own} without");
}

/// Flags that belong to the other optimizer, or to none, are no silent wishes.
#[test]
fn flags_of_another_optimizer_are_refused() {
    for (flags, part) in [
        (&["--momentum", "0.9"][..], "add --optimizer sgd"),
        (&["--l2", "conv=0.02"], "add --optimizer sgd"),
        (&["--optimizer", "sgd", "--weight-decay", "0.1"], "sgd has --momentum and --l2"),
        (&["--optimizer", "sgd", "--momentum", "1"], "0.5..0.9:0.01"),
        (&["--schedule", "linear"], "step=0.99:500"),
        (&["--augment", "shift=2,spin=3"], "there is no `spin=3`"),
        (&["--weight-decay", "-1"], "--weight-decay -1"),
    ] {
        let output = run(&[&["train", "--adapter", "cpu"], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(stderr(&output).contains(part), "{flags:?}: {}", stderr(&output));
    }
}
