//! Memory stays flat however long a run takes.

use std::process::Stdio;

use crate::common::program::program;
use crate::common::training::{device, short_run};
use gpu_siamese::train::{EpochMetrics, RunFolder, Watch};

const EPOCHS: u64 = 11;

/// Bytes of memory that a process holds.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

/// The first epoch warms up: pools, compiled kernels, the allocator's free lists.
fn assert_flat(by_epoch: &[u64], allowed: u64) {
    println!("resident bytes behind each epoch: {by_epoch:?}");
    assert!(by_epoch.len() >= 10, "{} epochs were seen", by_epoch.len());
    let (early, late) = (by_epoch[1], by_epoch[9]);
    assert!(late <= early + allowed, "grew from {early} to {late} bytes in eight epochs");
}

#[test]
fn memory_is_flat_over_ten_epochs_on_the_cpu() {
    let parent = tempfile::tempdir().unwrap();
    let metrics = parent.path().join("run/metrics.jsonl");
    let mut command = program();
    command.args(["train", "--adapter", "cpu", "--epochs", &EPOCHS.to_string(), "--run-dir"]);
    let mut child = command.arg(parent.path().join("run")).stderr(Stdio::null()).spawn().unwrap();
    let mut by_epoch: Vec<u64> = Vec::new();
    while child.try_wait().unwrap().is_none() {
        let lines = std::fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
        if lines > by_epoch.len()
            && let Some(bytes) = resident(child.id())
        {
            by_epoch.resize(lines, bytes);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success());
    // An epoch's pairs and losses are 0.3 MB; leaked eight times they would be 2.4 MB.
    assert_flat(&by_epoch, 1 << 20);
}

#[derive(Default)]
struct Memory {
    by_epoch: Vec<u64>,
}

impl Watch for Memory {
    fn epoch_ends(&mut self, _: &EpochMetrics, _: bool) {
        self.by_epoch.extend(resident(std::process::id()));
    }
}

#[test]
fn memory_is_flat_over_ten_epochs_on_vulkan() {
    let Some(device) = device() else { return };
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path()).unwrap();
    let mut memory = Memory::default();
    short_run(&device, &mut memory, &folder, EPOCHS).unwrap();
    // 960 steps: 4 kB leaked in each, such as a staging buffer, would be 4 MB.
    assert_flat(&memory.by_epoch, 2 << 20);
}
