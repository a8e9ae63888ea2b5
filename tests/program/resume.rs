//! Stops runs in every way there is and goes on with them: the weights must be those of a run that
//! was never stopped, to the bit.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::idx;
use crate::common::program::{has_vulkan, json, long, program, run, stderr, words};
use gpu_siamese::data::{Random, Stream};
use serde_json::Value;

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = program();
    command.args(["train", "--resume", "--run-dir"]).arg(folder).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finish(folder: &Path, arguments: &[&str]) {
    let output = start(folder, arguments).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// What must not depend on how often a run was stopped.
fn left(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut files: Vec<(&str, Vec<u8>)> = ["best.safetensors", "last.safetensors", "steps.jsonl"]
        .map(|name| (name, std::fs::read(folder.join(name)).unwrap()))
        .into();
    let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let mut untimed = String::new();
    for line in metrics.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for timed in ["train_seconds", "val_seconds", "pairs_per_second"] {
            line.as_object_mut().unwrap().remove(timed).unwrap();
        }
        untimed += &format!("{line}\n");
    }
    files.push(("metrics.jsonl", untimed.into_bytes()));
    files
}

fn assert_same_files(whole: &Path, stopped: &Path) {
    for ((name, expected), (_, found)) in left(whole).into_iter().zip(left(stopped)) {
        assert!(expected == found, "{name} of the stopped run differs");
    }
}

fn killed_runs_end_as_if_never_killed(arguments: &[&str]) {
    let parent = tempfile::tempdir().unwrap();
    let (whole, killed) = (parent.path().join("whole"), parent.path().join("killed"));
    finish(&whole, arguments);
    let length = |run: &Path| std::fs::metadata(run.join("steps.jsonl")).map_or(0, |file| file.len());
    let kills = if long() { 20 } else { 5 };
    let mut random = Random::new(0, Stream::Split, 0, 0);
    let mut positions = Vec::new();
    for kill in 0..kills {
        let mut child = start(&killed, arguments);
        // By what was done rather than by the clock, which tells little on a busy machine; then at any moment.
        while length(&killed) < kill * length(&whole) / (kills + 2) && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(random.below(30).into()));
        assert!(child.try_wait().unwrap().is_none(), "the run ended before kill {kill}");
        child.kill().unwrap();
        child.wait().unwrap();
        positions.push(length(&killed));
    }
    println!("bytes of steps.jsonl after each kill: {positions:?}");
    finish(&killed, arguments);
    assert_same_files(&whole, &killed);
}

#[test]
fn kills_on_the_cpu() {
    let drawn = "--augment shift=2,rotate=10 --schedule cosine --warmup 100";
    let line = format!("--adapter cpu --epochs 3 {drawn} --log-steps --checkpoint-steps 7");
    killed_runs_end_as_if_never_killed(&words(&line));
}

#[test]
fn kills_on_vulkan() {
    if has_vulkan() {
        let parent = tempfile::tempdir().unwrap();
        let set = idx::small_set(parent.path());
        let line = "--adapter vulkan --epochs 4 --batch-size 8 --log-steps --checkpoint-steps 7";
        let arguments: Vec<&str> = words(line).into_iter().chain(set.iter().map(String::as_str)).collect();
        killed_runs_end_as_if_never_killed(&arguments);
    }
}

/// Asked to end, a run ends in order: code 130, everything saved, whatever it was doing.
#[test]
fn interrupted_runs_go_on() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, stopped) = (parent.path().join("whole"), parent.path().join("stopped"));
    let arguments = ["--adapter", "cpu", "--epochs", "3", "--log-steps"];
    finish(&whole, &arguments);
    let mut ends = 0;
    for (name, milliseconds) in [("-INT", 700), ("-TERM", 900), ("-INT", 1100), ("-TERM", 1300)] {
        let child = start(&stopped, &arguments);
        std::thread::sleep(Duration::from_millis(milliseconds));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert!(stderr(&output).contains("--resume --run-dir"), "{}", stderr(&output));
        let summary = std::fs::read(stopped.join("summary.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&summary).unwrap()["interrupted"], true);
        ends += 1;
    }
    assert!(ends > 0);
    finish(&stopped, &arguments);
    assert_same_files(&whole, &stopped);
}

#[test]
fn only_one_process_trains_into_a_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let arguments = ["--adapter", "cpu", "--epochs", "100000"];
    let mut first = start(&folder, &arguments);
    while !folder.join("last.safetensors").exists() {
        assert!(first.try_wait().unwrap().is_none(), "ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = std::fs::read(folder.join("config.toml")).unwrap();
    let second = start(&folder, &["--adapter", "cpu", "--epochs", "7"]).wait_with_output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    assert!(stderr(&second).contains("another process is training into this folder"), "{}", stderr(&second));
    assert_eq!(before, std::fs::read(folder.join("config.toml")).unwrap());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("run");
    let path = folder.to_str().unwrap();
    let flags = ["train", "--adapter", "cpu", "--resume", "--run-dir", path];
    let resumed = |more: &[&str]| run(&[&flags, more].concat());
    let figures = |more: &[&str]| json(&[&flags, more].concat());
    assert_eq!(figures(&words("--epochs 1 --max-steps 5 --lr 0.002"))["steps"], 5);
    // Nothing left to do: the figures again.
    assert_eq!(figures(&[])["steps"], 5);
    let other = resumed(&["--lr", "0.1"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("--lr is 0.002 in this run, not 0.1"), "{}", stderr(&other));
    let config = folder.join("config.toml");
    let other = resumed(&["--config", config.to_str().unwrap()]);
    assert_eq!(other.status.code(), Some(2), "{}", stderr(&other));
    // Without --resume the folder is taken.
    let fresh = run(&["train", "--adapter", "cpu", "--run-dir", path]);
    assert_eq!(fresh.status.code(), Some(2));
    assert!(stderr(&fresh).contains("--resume"), "{}", stderr(&fresh));
    // A cosine ends with the run, so it must know how long that is.
    let cosine = parent.path().join("cosine");
    let cosine = |more: &[&str]| {
        let flags = ["train", "--adapter", "cpu", "--resume", "--schedule", "cosine", "--run-dir"];
        run(&[&flags[..], &[cosine.to_str().unwrap()], more].concat())
    };
    assert!(cosine(&["--epochs", "1", "--max-steps", "5"]).status.success());
    let longer = cosine(&["--max-steps", "9"]);
    assert_eq!(longer.status.code(), Some(2));
    assert!(stderr(&longer).contains("--max-steps is 5 in this run, not 9"), "{}", stderr(&longer));
    // More epochs may be asked for.
    assert_eq!(figures(&words("--epochs 2 --max-steps 9"))["steps"], 9);
}

/// `--max-steps` within an epoch, again and again: a run that goes on ends as if it had never stopped there.
#[test]
fn a_run_that_was_cut_ends_as_if_it_went_through() {
    let parent = tempfile::tempdir().unwrap();
    let (whole, cut) = (parent.path().join("whole"), parent.path().join("cut"));
    let arguments = "--adapter cpu --epochs 3 --epoch-steps 20 --batch-size 8 --lr 0.01 --log-steps --augment shift=2 \
                     --schedule step=0.9:7 --warmup 5 --checkpoint-steps 7";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    finish(&whole, &arguments);
    for steps in ["3", "13", "20", "31", "31", "50"] {
        finish(&cut, &[&arguments[..], &["--max-steps", steps]].concat());
        let summary = std::fs::read(cut.join("summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        assert_eq!(summary["steps"].to_string(), steps);
        assert!(summary["test_accuracy"].is_f64() && summary["best_epoch"].as_u64() > Some(0), "{summary}");
    }
    finish(&cut, &[&arguments[..], &["--max-steps", "60"]].concat());
    assert_same_files(&whole, &cut);
    assert!(!cut.join("best-whole.safetensors").exists());
}

/// Every file of a folder with its contents.
fn contents(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// What replaces a file of a run, before it is resumed, and what is said; none removes it.
#[test]
fn pieces_of_other_runs_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let at = |name: &str| parent.path().join(name);
    let data = |name: &str| {
        let folder = at(name);
        idx::write_set(&folder.join("mnist"));
        folder.to_str().unwrap().to_string()
    };
    let (own, others, moved) = (data("own"), data("others"), data("moved"));
    // One label of one image is another's.
    let labels = at("others/mnist").join(idx::NAMES[1]);
    let mut bytes = std::fs::read(&labels).unwrap();
    bytes.swap(8, 9);
    std::fs::write(&labels, bytes).unwrap();
    let arguments = |seed: &'static str| {
        [
            "--adapter",
            "cpu",
            "--dataset",
            "mnist",
            "--data-dir",
            &own,
            "--batch-size",
            "4",
            "--epochs",
            "2",
            "--seed",
            seed,
        ]
        .map(str::to_string)
    };
    let trained = |name: &str, seed, more: &[&str]| {
        let arguments = arguments(seed);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        finish(&at(name), &arguments);
        at(name)
    };
    let run_folder = trained("run", "0", &[]);
    let other = trained("other", "1", &[]);
    let weights = other.join("best.safetensors");
    let started = trained("started", "0", &["--init", weights.to_str().unwrap()]);
    let read = |folder: &Path, name: &str| Some(std::fs::read(folder.join(name)).unwrap());
    let config = std::fs::read_to_string(run_folder.join("config.toml")).unwrap();
    let begun_elsewhere = config.clone() + &format!("init = {:?}\n", weights.to_str().unwrap());
    let metrics = std::fs::read_to_string(run_folder.join("metrics.jsonl")).unwrap();
    let first_line = metrics.lines().next().unwrap().to_string() + "\n";
    type Case<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        ("last.safetensors", read(&other, "last.safetensors"), &["another run", "--seed is 0, not 1"]),
        (
            "last.safetensors",
            read(&started, "last.safetensors"),
            &["another run", "--init is not set", "first weights"],
        ),
        ("last.safetensors", read(&run_folder, "best.safetensors"), &["last.safetensors", "position"]),
        ("last.safetensors", None, &["last.safetensors: is missing"]),
        (
            "best.safetensors",
            read(&other, "best.safetensors"),
            &["best.safetensors: is of another run", "--seed is 1, not 0"],
        ),
        ("best.safetensors", None, &["best.safetensors: is missing"]),
        ("config.toml", Some(config.replace("seed = 0", "seed = 1").into_bytes()), &["--seed is 0", "not 1"]),
        ("config.toml", Some(begun_elsewhere.into_bytes()), &["--init is not set"]),
        ("config.toml", Some(Vec::new()), &["config.toml: was cut: it lacks"]),
        ("config.toml", Some(config.as_bytes()[..config.len() / 2].to_vec()), &["config.toml"]),
        (
            "config.toml",
            Some(config.replace("epochs = 2\n", "").into_bytes()),
            &["was cut: it lacks `epochs`"],
        ),
        ("metrics.jsonl", Some(Vec::new()), &["metrics.jsonl: has 0 of the run's 2 whole epochs"]),
        ("metrics.jsonl", Some(first_line.into_bytes()), &["has 1 of the run's 2"]),
        ("metrics.jsonl", None, &["has 0 of the run's 2"]),
    ];
    let path = run_folder.to_str().unwrap();
    let refused = |more: &[&str], words: &[&str]| {
        let before = contents(&run_folder);
        let output = run(&[&["train", "--resume", "--run-dir", path, "--epochs", "3"], more].concat());
        let message = stderr(&output);
        assert!([Some(2), Some(3)].contains(&output.status.code()), "{words:?}: {message}");
        for words in words {
            assert!(message.contains(words), "does not say {words:?}: {message}");
        }
        assert!(before == contents(&run_folder), "{words:?}: a file was changed");
    };
    for (name, bytes, words) in cases {
        let whole = std::fs::read(run_folder.join(name)).unwrap();
        match bytes {
            Some(bytes) => std::fs::write(run_folder.join(name), bytes).unwrap(),
            None => std::fs::remove_file(run_folder.join(name)).unwrap(),
        }
        refused(&[], words);
        std::fs::write(run_folder.join(name), whole).unwrap();
    }
    refused(&["--data-dir", &others], &["was trained on other images", "--data-dir"]);
    // The same files elsewhere are the same data.
    finish(&run_folder, &["--data-dir", &moved, "--epochs", "3"]);
}
