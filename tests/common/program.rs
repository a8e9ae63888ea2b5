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

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A training run in a folder of its own; returns the folder and the summary.
pub fn train(parent: &Path, name: &str, arguments: &[&str]) -> (PathBuf, Value) {
    let folder = parent.join(name);
    let output = program()
        .args(["train", "--json", "--log-steps", "--run-dir"])
        .arg(&folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    (folder, serde_json::from_slice(&output.stdout).unwrap())
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
