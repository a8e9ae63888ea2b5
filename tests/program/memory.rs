//! Memory stays flat however long a run takes.

use std::process::Stdio;
use std::time::Duration;

use crate::common::idx;
use crate::common::program::{has_vulkan, program, words};

/// Bytes of memory that a process holds.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

/// Trains, and looks at what the process holds behind each epoch. The first one warms up: pools, compiled kernels,
/// the allocator's free lists.
fn assert_flat(arguments: &str, allowed: u64) {
    let parent = tempfile::tempdir().unwrap();
    idx::write_set_of(&parent.path().join("mnist"), 600);
    let mut command = program();
    command.args(words("train --epochs 11 --run-dir run --data-dir .")).args(words(arguments));
    let mut child = command.current_dir(parent.path()).stderr(Stdio::null()).spawn().unwrap();
    let metrics = parent.path().join("run/metrics.jsonl");
    let mut by_epoch: Vec<u64> = Vec::new();
    while child.try_wait().unwrap().is_none() {
        let lines = std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
        if lines > by_epoch.len()
            && let Some(bytes) = resident(child.id())
        {
            by_epoch.resize(lines, bytes);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success());
    println!("resident bytes behind each epoch: {by_epoch:?}");
    assert!(by_epoch.len() >= 10, "{} epochs were seen", by_epoch.len());
    let (early, late) = (by_epoch[1], by_epoch[9]);
    assert!(late <= early + allowed, "grew from {early} to {late} bytes in eight epochs");
}

/// An epoch's pairs and losses are 0.3 MB; leaked eight times they would be 2.4 MB.
#[test]
fn memory_is_flat_over_ten_epochs_on_the_cpu() {
    assert_flat("--adapter cpu", 1 << 20);
}

/// Some hundred steps an epoch: 4 kB leaked in each, such as a staging buffer, would be 4 MB.
#[test]
fn memory_is_flat_over_ten_epochs_on_vulkan() {
    if has_vulkan() {
        assert_flat("--adapter vulkan --dataset mnist --batch-size 8", 2 << 20);
    }
}
