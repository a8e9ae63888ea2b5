//! One-shot learning on the built binary: training by iterations, resuming, the `oneshot` command, and a network that
//! has collapsed.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::program::{program, stderr, train, words};
use gpu_siamese::train::checkpoint;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// Two epochs of 30 steps on alphabets that the program draws.
const RUN: &[&str] =
    &["--dataset", "glyph-alphabets", "--adapter", "cpu", "--epochs", "2", "--epoch-steps", "30"];

fn oneshot(arguments: &[&str], folder: &Path) -> (Value, String, i32) {
    let mut command = program();
    command.args(["oneshot", "--json", "--adapter", "cpu", "--run-dir"]).arg(folder).args(arguments);
    let output = command.output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (json, stderr(&output), output.status.code().unwrap())
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_on_alphabets_is_measured_by_tasks_it_never_trained_on() {
    let parent = tempfile::tempdir().unwrap();
    let (folder, summary) = train(parent.path(), "run", RUN);
    let lines = lines(&folder);
    assert_eq!(lines.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), [30, 60]);
    let accuracies: Vec<f64> = lines.iter().map(|line| line["oneshot_accuracy"].as_f64().unwrap()).collect();
    assert!(lines.iter().all(|line| line.get("val_accuracy").is_none()), "{lines:?}");
    let best = summary["best_epoch"].as_u64().unwrap() as usize;
    assert_eq!(summary["val_oneshot_accuracy"].as_f64().unwrap(), accuracies[best - 1]);
    assert_eq!(
        accuracies.iter().copied().fold(0.0, f64::max),
        accuracies[best - 1],
        "the best epoch is another"
    );
    assert!(summary["val_accuracy"].is_null() && summary["test_accuracy"].is_null());
    assert!(summary["seconds_per_step"].as_f64().unwrap() > 0.0 && summary["gflops"].as_f64().unwrap() > 0.0);
    // Guessing would be right in one of twelve.
    let test = summary["test_oneshot_accuracy"].as_f64().unwrap();
    assert!(test > 2.0 * 100.0 / 12.0, "{test}");
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("One-shot tasks") && page.contains("Test one-shot accuracy"));

    // The command asks what the run's test asked.
    let sheet = parent.path().join("tasks.html");
    let (json, words, code) = oneshot(&["--page", sheet.to_str().unwrap()], &folder);
    assert_eq!(code, 0, "{words}");
    assert_eq!(json["accuracy"].as_f64().unwrap(), test);
    assert_eq!(json["standard_error"], summary["test_oneshot_standard_error"]);
    assert_eq!((&json["way"], &json["shots"], &json["tasks"]), (&12.into(), &1.into(), &160.into()));
    assert_eq!((&json["protocol"], &json["collapsed"]), (&"paper".into(), &false.into()));
    let alphabets = json["alphabets"].as_array().unwrap();
    let mean = alphabets.iter().map(|one| one["accuracy"].as_f64().unwrap()).sum::<f64>() / 4.0;
    assert!(alphabets.len() == 4 && (mean - test).abs() < 1e-9, "{json}");
    assert!(std::fs::read_to_string(sheet).unwrap().contains("By alphabet"));

    // Fewer characters are easier to tell, and more drawings of each help.
    let (easy, ..) = oneshot(&["--way", "3", "--shots", "5", "--tasks", "100"], &folder);
    assert_eq!((&easy["way"], &easy["shots"], &easy["tasks"]), (&3.into(), &5.into(), &400.into()));
    assert!(easy["accuracy"].as_f64().unwrap() > test, "{easy}");
}

#[test]
fn killed_runs_go_on_to_the_same_weights() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, _) = train(parent.path(), "whole", RUN);
    let folder = parent.path().join("killed");
    let start = || {
        let mut command = program();
        command.args(["train", "--resume", "--log-steps", "--checkpoint-steps", "4", "--run-dir"]);
        command.arg(&folder).args(RUN).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Within the first epoch, then within the second one.
    for lines in [0, 1] {
        let mut child = start();
        let (began, metrics) = (Instant::now(), folder.join("metrics.jsonl"));
        let checkpoint =
            || std::fs::metadata(folder.join("last.safetensors")).and_then(|file| file.modified());
        let passed = || std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
        while passed() < lines || checkpoint().is_err() {
            assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = start().wait_with_output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("resumed at step"), "{}", stderr(&output));
    for name in ["best.safetensors", "last.safetensors", "steps.jsonl"] {
        let bytes = |folder: &Path| std::fs::read(folder.join(name)).unwrap();
        assert!(bytes(&whole) == bytes(&folder), "{name} of the killed run differs");
    }
    let words = stderr(&start().wait_with_output().unwrap());
    assert!(words.contains("the run was finished, after 60 steps and 2 whole epochs"), "{words}");
}

/// The weights of a run, all made 0.
fn blank(run: &Path, to: &Path) {
    let path = run.join("best.safetensors");
    let weights = checkpoint::load(&path).unwrap();
    let bytes: Vec<Vec<u8>> = weights.tensors.iter().map(|tensor| vec![0; 4 * tensor.values.len()]).collect();
    let views = weights.tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        (tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap())
    });
    std::fs::write(to, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_collapsed_network_is_never_right_and_ends_with_code_5() {
    let parent = tempfile::tempdir().unwrap();
    let (run, _) = train(parent.path(), "run", &["--adapter", "cpu", "--max-steps", "1"]);
    let weights = parent.path().join("blank.safetensors");
    blank(&run, &weights);
    let asked = "oneshot --json --adapter cpu --model sn-lenet5 --dataset glyph-alphabets --weights";
    let output = program().args(words(asked)).arg(&weights).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(stderr(&output).contains("warning: the network has collapsed"), "{}", stderr(&output));
    assert_eq!(json["collapsed"], true);
    assert_eq!((json["accuracy"].as_f64(), json["ties"].as_f64()), (Some(0.0), Some(100.0)));

    // A run that begins so ends at its first validation, which it cannot pass.
    let folder = parent.path().join("collapsed");
    let begun = "train --dataset glyph-alphabets --adapter cpu --epoch-steps 2 --lr 1e-30 --init";
    let mut command = program();
    let output = command.args(words(begun)).arg(&weights).arg("--run-dir").arg(&folder).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(
        said.contains("the network collapsed: after step 2 (epoch 1)") && said.contains("--lr"),
        "{said}"
    );
    assert!(!folder.join("best.safetensors").exists());
}

/// What a query's right one is, is its place in the episode: were it anything else, nothing could be learnt.
#[test]
fn episodes_are_learnt() {
    let parent = tempfile::tempdir().unwrap();
    let run = "--dataset glyph-alphabets --adapter cpu --epochs 1 --epoch-steps 60 --batch-size 32";
    let arguments = [words(run), words("--loss episodes --way 8")].concat();
    let (_, summary) = train(parent.path(), "episodes", &arguments);
    // Guessing would be right in one of eight, and of twelve.
    let (train, test) = (&summary["train_accuracy"], &summary["test_oneshot_accuracy"]);
    assert!(train.as_f64().unwrap() > 50.0 && test.as_f64().unwrap() > 25.0, "{summary}");
}

#[test]
fn samplings_that_the_loss_cannot_learn_from_are_refused() {
    for (arguments, wanted) in [
        (&["--loss", "episodes", "--way", "8", "--sampling", "balanced"][..], "learns from episodes=8"),
        (&["--sampling", "episodes=8"], "add --loss episodes"),
        (&["--model", "lenet5", "--sampling", "balanced"], "a classifier learns from images"),
        (&["--epoch-steps", "0"], "--epoch-steps 0: must be 1"),
        (&["--epoch-steps", "9000000"], "fewer steps and more --epochs"),
    ] {
        let mut command = program();
        command.args(["train", "--adapter", "cpu"]).args(arguments);
        let output = command.output().unwrap();
        let words = stderr(&output);
        assert!(output.status.code() == Some(2) && words.contains(wanted), "{arguments:?}: {words}");
    }
}

#[test]
fn bad_questions_are_told_what_is_wrong() {
    let parent = tempfile::tempdir().unwrap();
    let (run, _) = train(parent.path(), "run", &["--adapter", "cpu", "--max-steps", "1"]);
    for (arguments, wanted) in [
        (&["--way", "1"][..], "--way 1: must be 2"),
        (&["--shots", "0"], "--shots 0: must be 1"),
        (&["--protocol", "official", "--way", "5"], "the official tasks are fixed"),
        (&["--dataset", "glyph-alphabets", "--shots", "20"], "fewer --shots"),
        (
            &["--page", "/nowhere/at/all.html"],
            "its folder is not there (any more): make it, or choose another --page",
        ),
    ] {
        let (_, words, code) = oneshot(arguments, &run);
        assert!(code != 0 && words.contains(wanted), "{arguments:?}: {code}, {words}");
    }
    let file = run.join("config.toml");
    let (_, words, code) = oneshot(&[], &file);
    assert!(code == 2 && words.contains("is a file, not the folder of a run"), "{code}: {words}");
    std::fs::remove_file(run.join("best.safetensors")).unwrap();
    let (_, words, code) = oneshot(&[], &run);
    assert!(code == 3 && words.contains("no epoch of the run is finished"), "{code}: {words}");
}
