//! How long a user waits: from the start of the process to the first finished training step.
//!
//! `cargo bench --bench first_step -- --dataset mnist --data-dir DIR [--adapter cpu]`. Each round starts the program
//! anew with `--log-steps --max-steps 1`, and ends when `steps.jsonl` has its line. Files lie in the page cache after
//! the first round, which is not counted.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use gpu_siamese::bench::Timing;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "glyphs")]
    dataset: String,
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[arg(long, default_value = "cpu")]
    adapter: String,
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut seconds = Vec::new();
    for round in 0..=arguments.rounds {
        let parent = tempfile::tempdir()?;
        let waited = first_step(&arguments, &parent.path().join("run"))?.as_secs_f64();
        if round > 0 {
            println!("round {round}: {waited:.3} s");
            seconds.push(waited);
        }
    }
    let Timing { median, p10, p90, n } = Timing::of(&seconds);
    println!(
        "{}, --adapter {}: {median:.3} s ({p10:.3} to {p90:.3}, n = {n})",
        arguments.dataset, arguments.adapter
    );
    Ok(())
}

fn first_step(arguments: &Arguments, run: &Path) -> Result<Duration, Box<dyn Error>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-siamese"));
    command.args(["train", "--log-steps", "--max-steps", "1", "--dataset", &arguments.dataset]);
    command.args(["--adapter", &arguments.adapter, "--run-dir"]).arg(run);
    if let Some(folder) = &arguments.data_dir {
        command.arg("--data-dir").arg(folder);
    }
    let start = Instant::now();
    let mut child = command.stderr(Stdio::null()).spawn()?;
    let logged = || std::fs::read_to_string(run.join("steps.jsonl")).is_ok_and(|text| text.ends_with('\n'));
    while !logged() {
        if let Some(status) = child.try_wait()?
            && !logged()
        {
            return Err(
                format!("the program ended with {status} and no step; run it by hand to see why").into()
            );
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let waited = start.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(waited)
}
