//! `gpu-siamese train`: the main job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::{ArgMatches, Args};

use super::config::Config;
use super::fail::INTERRUPTED;
use super::open::Target;
use super::progress::{self, Progress};
use super::{Failure, print_json};
use crate::data::{self, Dataset, Split};
use crate::executor::AdapterInfo;
use crate::plan::{Capacity, Plan};
use crate::train::{self, RunError, Schedule, Summary, Trainer, checkpoint, setup};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    settings: Config,
    /// Take settings from this file; flags given beside it win
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Folder for the run's files, new or empty [default: a new one under runs/]
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Write loss and hits of every step to steps.jsonl
    #[arg(long)]
    log_steps: bool,
    /// Print the summary as JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let config = match &arguments.config {
        Some(path) => Config::read(path)?.overridden(&arguments.settings, matches)?,
        None => arguments.settings,
    };
    config.check()?;
    let target = Target::open(&config.adapter)?;
    let dataset = data::load(&config.dataset, config.data_dir.as_deref(), config.seed)?;
    for warning in &dataset.warnings {
        eprintln!("warning: {warning}");
    }
    let split = data::split(&dataset, config.seed);
    train::run::check(&dataset, &split, config.seed, config.batch_size)?;
    if let Some(folder) = &arguments.run_dir {
        prepare_folder(folder)?;
    }
    let plan = target.plan(&config, dataset.shape, capacity(&dataset, &split))?;
    // Weights are checked before a folder is made for them.
    let weights = match &config.init {
        Some(path) => checkpoint::load(path)?.for_plan(&plan, path)?,
        None => setup::initial_values(&plan, config.seed),
    };
    let launches = plan.train.len();
    let mut executor = target.executor(plan, config.threads)?;
    announce(&dataset, &split, executor.adapter(), launches);
    setup::upload_images(executor.as_mut(), &dataset)?;
    setup::write_all(executor.as_mut(), &weights)?;
    let folder = match arguments.run_dir {
        Some(folder) => folder,
        None => new_folder(Path::new("runs"), &config)?,
    };
    write(&folder.join("config.toml"), &config.to_toml()?)?;
    // A second handler cannot be set when the library is used for several runs in one process.
    let _ = ctrlc::set_handler(|| {
        // The first asks for an orderly end; whoever asks again does not want to wait for it.
        if progress::INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    let metadata = metadata(&config, executor.plan());
    let schedule = Schedule {
        epochs: config.epochs,
        max_steps: config.max_steps,
        learning_rate: config.lr,
        seed: config.seed,
    };
    let mut trainer = Trainer {
        executor: executor.as_mut(),
        dataset: &dataset,
        split: &split,
        schedule,
        folder: &folder,
        metadata,
        log_steps: arguments.log_steps,
    };
    let outcome = trainer.run(&mut Progress::new(config.epochs))?;
    let summary = trainer.summary(&outcome);
    let json = serde_json::to_string_pretty(&summary).map_err(|error| Failure::Output(error.to_string()))?;
    write(&folder.join("summary.json"), &format!("{json}\n"))?;
    report(&summary, &folder);
    if arguments.json {
        print_json(&summary)?;
    }
    Ok(if outcome.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Room for every pair of an epoch, and for scoring the larger of validation and test set at once.
fn capacity(dataset: &Dataset, split: &Split) -> Capacity {
    let evaluated = split.validation.len().max(split.test.len());
    Capacity {
        images: dataset.len(),
        pairs: 2 * split.train.len(),
        embeddings: evaluated,
        scores: 2 * evaluated,
    }
}

fn announce(dataset: &Dataset, split: &Split, adapter: &AdapterInfo, launches: usize) {
    let AdapterInfo { name, backend, driver, software } = adapter;
    let software = if *software { ", a software adapter: right, but slow" } else { "" };
    eprintln!(
        "{}: {} images of {}, {} classes; {} train, {} validate, {} test",
        dataset.name,
        dataset.len(),
        dataset.shape,
        dataset.classes.len(),
        split.train.len(),
        split.validation.len(),
        split.test.len()
    );
    eprintln!("on {name} ({backend}, {driver}{software}); {launches} launches a step");
}

/// What a weights file needs to be used without its run.
fn metadata(config: &Config, plan: &Plan) -> BTreeMap<String, String> {
    let shape = plan.input;
    [
        ("model", plan.model.clone()),
        ("dataset", config.dataset.clone()),
        ("input", shape.to_string()),
        ("activation", config.activation.to_string()),
        ("pool", config.pool.to_string()),
        ("distance", config.distance.to_string()),
        ("loss", config.convention().to_string()),
        ("margin", config.margin.to_string()),
        ("norm_eps", crate::plan::NORM_EPS.to_string()),
        ("threshold", "0.5".into()),
        ("seed", config.seed.to_string()),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .into()
}

/// Makes a folder that the user named, unless it is there and empty.
fn prepare_folder(folder: &Path) -> Result<(), Failure> {
    let unwritable = |source| Failure::Run(RunError::Write { path: folder.to_path_buf(), source });
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let mut entries = std::fs::read_dir(folder).map_err(unwritable)?;
    if entries.next().is_some() {
        return Err(Failure::Usage(format!(
            "--run-dir {}: the folder is not empty; name a new one, so that no earlier run is lost",
            folder.display()
        )));
    }
    Ok(())
}

/// The next free folder, as in `runs/3-sn-lenet5-glyphs`.
fn new_folder(parent: &Path, config: &Config) -> Result<PathBuf, Failure> {
    let unwritable = |path: &Path, source| Failure::Run(RunError::Write { path: path.to_path_buf(), source });
    std::fs::create_dir_all(parent).map_err(|source| unwritable(parent, source))?;
    let taken = std::fs::read_dir(parent)
        .map_err(|source| unwritable(parent, source))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.split('-').next()?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    for number in taken + 1.. {
        let folder = parent.join(format!("{number}-{}-{}", config.model, config.dataset));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            // Another run was quicker.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(&folder, error)),
        }
    }
    unreachable!("numbers do not end")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    checkpoint::write_aside(path, text.as_bytes())
        .map_err(|source| Failure::Run(RunError::Write { path: path.to_path_buf(), source }))
}

fn report(summary: &Summary, folder: &Path) {
    if summary.interrupted {
        eprintln!("interrupted after step {}; the weights are saved", summary.steps);
    }
    if let Some(accuracy) = summary.test_accuracy {
        eprintln!(
            "test pairs {accuracy:.2} % with the weights of epoch {} (test set in {:.2} s)",
            summary.best_epoch, summary.test_seconds
        );
    }
    eprintln!("run folder: {}", folder.display());
}
