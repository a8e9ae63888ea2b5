//! The program as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-siamese"));
    command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

/// What a run that must succeed prints with `--json`.
pub fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The arguments of a line that has no quotes.
pub fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Whether checks run at their full length rather than as a sample: `GPU_SIAMESE_LONG_TESTS=1`, as in CI.
pub fn long() -> bool {
    std::env::var("GPU_SIAMESE_LONG_TESTS").is_ok_and(|value| value == "1")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A training run in a folder of its own; returns the folder and the summary.
pub fn train(parent: &Path, name: &str, arguments: &[&str]) -> (PathBuf, Value) {
    let folder = parent.join(name);
    let summary =
        json(&[&["train", "--log-steps", "--run-dir", folder.to_str().unwrap()], arguments].concat());
    (folder, summary)
}

/// The real data sets, where they are.
pub fn real_data() -> Option<PathBuf> {
    let folder = match std::env::var_os("GPU_SIAMESE_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if folder.join("mnist").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no MNIST in {} (set GPU_SIAMESE_DATA)", folder.display());
    None
}

pub fn has_vulkan() -> bool {
    let listed = run(&["adapters", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let found = listed.as_array().unwrap().iter().any(|adapter| adapter["backend"] == "vulkan");
    if !found {
        eprintln!("skipped: no Vulkan adapter");
    }
    found
}
