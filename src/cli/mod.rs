//! The command line: one file per subcommand. Human words go to stderr, results to stdout.

mod adapters;
mod bench;
mod compare;
mod config;
mod data;
mod eval;
mod experiment;
mod fail;
mod oneshot;
mod open;
mod parity;
mod plan;
mod progress;
mod resume;
mod train;
mod trained;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use config::Config;
pub use fail::Failure;
/// Waits for what the library answers later: below this floor nothing does.
pub use pollster::block_on;

/// Train and use siamese networks on any GPU.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network on pairs of images.
    Train(train::Arguments),
    /// Score a test set, or pairs of your own, with a trained network.
    Eval(eval::Arguments),
    /// Tell whether two pictures show the same.
    Compare(compare::Arguments),
    /// Classify drawings of characters never seen by one example of each.
    Oneshot(oneshot::Arguments),
    /// Run what a file lists, and make its tables and figures, the paper's beside ours.
    Experiment(experiment::Arguments),
    /// List which data sets are found where, and whether they are what they should be.
    Data(data::Arguments),
    /// List the GPU adapters of this machine.
    Adapters(adapters::Arguments),
    /// Compare every kernel with the CPU, here.
    Parity(parity::Arguments),
    /// Time training, scoring and each kernel, and compare adapters, plans and batch sizes.
    Bench(bench::Arguments),
    /// Print what a training step launches.
    Plan(plan::Arguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    quiet_drivers();
    let matches = Arguments::command().get_matches();
    // The same matches as flags: `train` asks which of them the user gave.
    let given = matches.subcommand().map(|(_, matches)| matches.clone()).unwrap_or_default();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match arguments.command {
        Command::Train(arguments) => train::run(arguments, &given),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Oneshot(arguments) => oneshot::run(&arguments),
        Command::Experiment(arguments) => experiment::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Adapters(arguments) => adapters::run(&arguments),
        Command::Parity(arguments) => parity::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            say(format_args!("error: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

/// Mesa complains on stderr about an unset XDG_RUNTIME_DIR, although it needs none to compute.
fn quiet_drivers() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: nothing else runs yet; this is the first thing the program does.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
}

/// The text of a file of settings.
fn read_text(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    const LIMIT: u64 = 1 << 24;
    let wrong = |words: String| Failure::Usage(format!("{}: {words}; check the path", path.display()));
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text));
    match read {
        Ok(count) if count as u64 == LIMIT => {
            Err(wrong(format!("has {LIMIT} bytes or more, too many for settings")))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Says something to people, on stderr. That nobody listens any more is no reason to stop.
fn say(words: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Prints one JSON object to stdout.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.to_string()))?;
    print_line(&json)
}

/// Prints a line of a table to stdout.
fn print_line(line: &str) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        // Whoever reads has had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::Output(format!("stdout: {error}"))),
    }
}
