//! `gpu-siamese train`: the main job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args};

use super::config::Config;
use super::fail::{INTERRUPTED, size};
use super::open::Target;
use super::progress::{self, Progress};
use super::{Failure, oneshot, print_json, say, trained};
use crate::data::{Dataset, Preparation, Split};
use crate::eval;
use crate::executor::Executor;
use crate::model;
use crate::plan::{Capacity, NORM_EPS, Plan};
use crate::report::{self, Report};
use crate::train::{
    Description, Outcome, Position, Rate, RunFolder, Sampler, Schedule, Summary, Trainer, checkpoint, setup,
};

#[derive(Args)]
// `--lr -1` is to be told what --lr may be, not that there is no flag -1.
#[command(allow_negative_numbers = true)]
pub struct Arguments {
    #[command(flatten)]
    settings: Config,
    /// Take settings from this file; flags given beside it win
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Folder for the run's files, new or empty [default: a new one under runs/]
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Go on with the run in --run-dir, to the same bits; where there is none yet, start it
    #[arg(long, requires = "run_dir")]
    resume: bool,
    /// Print the summary as JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let folder = match &arguments.run_dir {
        Some(path) if arguments.resume => Some(RunFolder::resume(path)?),
        Some(path) => Some(RunFolder::create(path)?),
        None => None,
    };
    let config = settings(&arguments, matches, folder.as_ref())?;
    let summary = train(&config, folder)?;
    if arguments.json {
        print_json(&summary)?;
    }
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Trains, from the start or from where the run in `folder` stands, and leaves a whole run there; if
/// there is no folder, in a new one under `runs/`.
///
/// # Errors
/// Whatever keeps a run from its end, except somebody's interrupting it.
pub fn train(config: &Config, folder: Option<RunFolder>) -> Result<Summary, Failure> {
    config.check()?;
    let target = Target::open(&config.adapter)?;
    let (dataset, split) = config.load()?;
    for warning in &dataset.warnings {
        say(format_args!("warning: {warning}"));
    }
    let sampler = Sampler {
        dataset: &dataset,
        split: &split,
        batch: config.batch(),
        batch_size: config.batch_size,
        measure: config.measure(&dataset),
        sampling: config.sampling(&dataset)?,
        epoch_steps: config.epoch_steps,
        seed: config.seed,
    };
    let (embeddings, scores) = sampler.check()?;
    let capacity = Capacity { images: dataset.len(), pairs: sampler.of_an_epoch(), embeddings, scores };
    let plan = target.plan(config, (dataset.shape, dataset.classes.len()), capacity)?;
    // Weights are checked before a folder is made for them.
    let start = Start::of(config, &plan, folder.as_ref())?;
    announce_data(&dataset, &split);
    target.check_memory(&plan)?;
    let mut executor = target.executor(plan, config.threads)?;
    announce_executor(executor.as_ref(), target.why(config));
    setup::upload_images(executor.as_mut(), &dataset)?;
    setup::write_all(executor.as_mut(), &start.weights)?;
    let folder = match folder {
        Some(folder) => folder,
        None => RunFolder::numbered(Path::new("runs"), &format!("{}-{}", config.model, config.dataset))?,
    };
    folder.write("config.toml", config.to_toml()?.as_bytes())?;
    progress::watch_for_interrupts();
    if start.position.steps > 0 {
        let Position { epochs, steps, .. } = start.position;
        let finished = epochs >= config.epochs || config.max_steps.is_some_and(|most| steps >= most);
        if finished {
            say(format_args!(
                "the run was finished, after {steps} steps and {epochs} whole epochs; only its test is repeated"
            ));
        } else {
            say(format_args!("resumed at step {steps}, after {epochs} whole epochs"));
        }
    }
    if split.test.is_empty() {
        say(format_args!("{} has no test images here: the run ends without a test", dataset.title));
    }
    let trainer = Trainer {
        executor: executor.as_mut(),
        sampler,
        schedule: Schedule {
            epochs: config.epochs,
            max_steps: config.max_steps,
            rate: Rate { base: config.lr, decay: config.schedule, warmup: config.warmup },
            patience: config.patience,
            augment: config.augment,
            checkpoint_steps: config.checkpoint_steps,
        },
        folder: &folder,
        description: description(config, &dataset),
        log_steps: config.log_steps,
        position: start.position,
    };
    let mut progress = Progress::of_run(config.epochs, sampler.measure, trainer.executor.plan());
    let outcome = trainer.run(&mut progress)?;
    let summary = outcome.summary(executor.as_ref(), &sampler);
    let json = serde_json::to_string_pretty(&summary).map_err(|error| Failure::Output(error.to_string()))?;
    folder.write("summary.json", format!("{json}\n").as_bytes())?;
    let page = page(config, &sampler, &summary, &outcome)?;
    folder.write("report.html", page.as_bytes())?;
    announce_end(&summary, &outcome, folder.path());
    Ok(summary)
}

/// The settings of a new run: flags, over those of a file. Of a resumed one: its own, with the flags
/// that may change.
fn settings(
    arguments: &Arguments,
    matches: &ArgMatches,
    folder: Option<&RunFolder>,
) -> Result<Config, Failure> {
    let own = folder.map(|folder| folder.file("config.toml")).filter(|file| file.is_file());
    let flags = &arguments.settings;
    let settings = match (own, &arguments.config) {
        (Some(own), None) => {
            let began = Config::read(&own)?;
            let now = began.overridden(&flags.clone().absolute()?, matches)?;
            now.check_resumed(&began)?;
            now
        }
        (Some(own), Some(given)) => {
            return Err(Failure::Usage(format!(
                "--config {}: a resumed run has its own settings, {}; leave --config out",
                given.display(),
                own.display()
            )));
        }
        (None, Some(given)) => Config::read(given)?.overridden(flags, matches)?,
        (None, None) => flags.clone(),
    };
    settings.absolute()
}

/// What a run begins with.
struct Start {
    weights: Vec<(String, Vec<f32>)>,
    position: Position,
}

impl Start {
    /// The checkpoint of the folder, else the weights of `--init`, where a classifier's subnet will do, else those of
    /// the seed.
    fn of(config: &Config, plan: &Plan, folder: Option<&RunFolder>) -> Result<Self, Failure> {
        let last = folder.map(|folder| folder.file("last.safetensors")).filter(|file| file.exists());
        if let Some(path) = last {
            let weights = checkpoint::load(&path)?;
            let position = weights.metadata.as_ref().and_then(|metadata| metadata.position.clone());
            let Some(position) = position else {
                let message = "the position of the run is missing".into();
                return Err(checkpoint::CheckpointError::Metadata { path, message }.into());
            };
            return Ok(Start { weights: weights.with_moments(plan, &path)?, position });
        }
        let initial = setup::initial_values(plan, config.seed);
        let weights = match &config.init {
            Some(path) => {
                let given = trained::load(path)?;
                if given.is_of_classifier_for(plan) {
                    given.subnet_for(plan, path, initial)?
                } else {
                    given.for_plan(plan, path)?
                }
            }
            None => initial,
        };
        Ok(Start { weights, position: Position::default() })
    }
}

fn announce_data(dataset: &Dataset, split: &Split) {
    say(format_args!(
        "{}: {} images of {}, {} classes{}; {} train, {} validate, {} test",
        dataset.name,
        dataset.len(),
        dataset.shape,
        dataset.classes.len(),
        match dataset.alphabets.len() {
            0 => String::new(),
            count => format!(" in {count} alphabets"),
        },
        split.train.len(),
        split.validation.len(),
        split.test.len()
    ));
}

/// Where it runs, why, how, and what it needs.
fn announce_executor(executor: &dyn Executor, why: &str) {
    let (adapter, plan) = (executor.adapter(), executor.plan());
    let software = if adapter.software { ", a software adapter: right, but slow" } else { "" };
    say(format_args!(
        "on {} ({}, {}{software}){why}; plan {}, {} launches a step; {} of memory",
        adapter.name,
        adapter.backend,
        adapter.driver,
        plan.options.kind.name(),
        plan.train.len(),
        size(plan.memory() as u64)
    ));
}

/// What a weights file of this run says of itself.
fn description(config: &Config, dataset: &Dataset) -> Description {
    Description {
        model: config.model.clone(),
        dataset: config.dataset.clone(),
        input: dataset.shape,
        activation: config.activation,
        pool: config.pool,
        distance: config.distance,
        loss: config.pair_loss(),
        standardize: config.standardize,
        preparation: Some(Preparation::of(dataset, config.fit)),
        classes: model::is_classifier(&config.model).then_some(dataset.classes.len()),
        norm_eps: NORM_EPS,
        threshold: 0.5,
        seed: config.seed,
        epoch: 0,
        step: 0,
    }
}

/// The page of the run.
fn page(config: &Config, sampler: &Sampler, summary: &Summary, outcome: &Outcome) -> Result<String, Failure> {
    let test = outcome.test.as_ref();
    let first = sampler.training(1)?;
    Ok(report::html(&Report {
        summary,
        epochs: &outcome.epochs,
        dataset: sampler.dataset,
        training_pairs: first.pairs(),
        images: &first.images(),
        test_pairs: test.map_or(&[], |test| test.pairs()),
        test_scores: test.map_or(&[], |test| &test.scores),
        tasks: test.and_then(|test| test.tasks()),
        augment: config.augment,
        projection: test.and_then(|test| test.projection.as_ref()),
        command: config.command()?,
    }))
}

fn announce_end(summary: &Summary, outcome: &Outcome, folder: &Path) {
    if summary.interrupted {
        say(format_args!(
            "interrupted after step {}; everything is saved, go on with: gpu-siamese train --resume --run-dir {}",
            summary.steps,
            folder.display()
        ));
    }
    if summary.stopped_early {
        say(format_args!(
            "stopped early: no better validation since epoch {}, the best of {}",
            summary.best_epoch, summary.epochs
        ));
    }
    if let Some(test) = &outcome.test {
        let error =
            summary.test_oneshot_standard_error.map_or(String::new(), |error| format!(" ± {error:.2}"));
        say(format_args!(
            "test {} {:.2}{error} % with the weights of epoch {} ({} {} in {:.2} s)",
            summary.measure.name(),
            test.accuracy,
            summary.best_epoch,
            test.examples.len(),
            summary.measure.counted(),
            test.seconds
        ));
        if let Some(solved) = &test.solved {
            oneshot::warn(&solved.figures);
        }
        if let Some(classes) = test.classes {
            say(format_args!(
                "test classes {:.2} % by the nearest centroid, {:.2} % by the {} nearest neighbours",
                classes.centroid,
                classes.knn,
                eval::classes::NEIGHBOURS
            ));
        }
    }
    say(format_args!("run folder: {}", folder.display()));
}
