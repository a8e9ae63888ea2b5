//! `gpu-siamese train`: the main job.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args};

use super::config::Config;
use super::fail::{INTERRUPTED, size};
use super::open::Target;
use super::progress::{self, Progress};
use super::resume::{self, Resumed};
use super::{Failure, block_on, oneshot, print_json, say, trained};
use crate::data::{Dataset, Preparation, Split};
use crate::eval;
use crate::loss::NORM_EPS;
use crate::model;
use crate::plan::{Capacity, Mode, Plan};
use crate::report::{self, Report};
use crate::session::Session;
use crate::train::fingerprint::{self, Fingerprint};
use crate::train::{
    Description, Outcome, Position, Rate, RunError, RunFolder, Sampler, Schedule, Summary, Trainer, setup,
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
    let resumed = match &folder {
        Some(folder) => Resumed::read(folder)?,
        None => None,
    };
    let config = settings(&arguments, matches, folder.as_ref(), resumed.as_ref())?;
    let summary = train(&config, folder, resumed)?;
    if arguments.json {
        print_json(&summary)?;
    }
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Trains, from the start or from where the run in `folder` stands, and leaves a whole run there; if
/// there is no folder, in a new one under `runs/`. `resumed` is the folder's checkpoint, whose settings are these.
///
/// # Errors
/// Whatever keeps a run from its end, except somebody's interrupting it; also that it learned nothing.
pub fn train(
    config: &Config,
    folder: Option<RunFolder>,
    resumed: Option<Resumed>,
) -> Result<Summary, Failure> {
    config.check()?;
    let target = Target::open(&config.adapter)?;
    let (dataset, split) = config.load()?;
    let config = &config.clone().settled(&dataset, &split);
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
    let plan = target.plan(config, (dataset.shape, dataset.classes.len()), capacity, Mode::Training)?;
    // Weights are checked before a folder is made for them.
    let data = fingerprint::of_data(&dataset, &split);
    if let Some(resumed) = &resumed {
        resumed.check_data(&data, config)?;
    }
    let start = Start::of(config, &plan, resumed, data)?;
    announce_data(&dataset, &split);
    target.check_memory(&plan)?;
    let mut executor = target.executor(plan, config.threads)?;
    announce_executor(executor.as_ref(), target.why(config));
    block_on(executor.prepare_all())?;
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
        description: Description { run: start.run, ..description(config, &dataset) },
        log_steps: config.log_steps,
        position: start.position,
    };
    let mut progress = Progress::of_run(config.epochs, sampler.measure, trainer.executor.plan());
    let mut outcome = block_on(trainer.run(&mut progress))?;
    // Figures first: whatever becomes of the pictures, they stand.
    write_summary(&folder, &outcome.summary(executor.as_ref(), &sampler))?;
    block_on(outcome.embed(executor.as_mut(), &sampler, &mut progress))?;
    let summary = outcome.summary(executor.as_ref(), &sampler);
    write_summary(&folder, &summary)?;
    let page = page(config, &sampler, &summary, &outcome)?;
    folder.write("report.html", page.as_bytes())?;
    announce_end(&summary, &outcome, folder.path());
    match outcome.position.best {
        Some(best) if !outcome.learned => Err(Failure::Run(RunError::LearnedNothing {
            step: summary.steps,
            epoch: best.epoch,
            accuracy: best.val_accuracy,
            measure: sampler.measure,
        })),
        _ => Ok(summary),
    }
}

fn write_summary(folder: &RunFolder, summary: &Summary) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(summary).map_err(|error| Failure::Output(error.to_string()))?;
    Ok(folder.write("summary.json", format!("{json}\n").as_bytes())?)
}

/// The settings of a new run: flags, over those of a file. Of a resumed one: its own, with the flags
/// that may change.
fn settings(
    arguments: &Arguments,
    matches: &ArgMatches,
    folder: Option<&RunFolder>,
    resumed: Option<&Resumed>,
) -> Result<Config, Failure> {
    let own = folder.map(|folder| folder.file("config.toml")).filter(|file| file.is_file());
    let flags = &arguments.settings;
    let settings = match (own, &arguments.config) {
        (Some(own), None) => {
            let began = Config::read(&own)?;
            let now = began.overridden(&flags.clone().absolute()?, matches)?;
            if let Some(resumed) = resumed {
                resumed.check_settings(&began, &own)?;
            }
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
    run: Option<Fingerprint>,
}

impl Start {
    /// The checkpoint, else the weights of `--init`, where a classifier's subnet will do, else those of the seed.
    fn of(config: &Config, plan: &Plan, resumed: Option<Resumed>, data: String) -> Result<Self, Failure> {
        if let Some(Resumed { path, weights, position, run }) = resumed {
            return Ok(Start { weights: weights.with_moments(plan, &path)?, position, run });
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
        let run = Some(resume::fingerprint(config, data, &weights)?);
        Ok(Start { weights, position: Position::default(), run })
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
fn announce_executor(executor: &dyn Session, why: &str) {
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
        threshold_at_far: None,
        seed: config.seed,
        epoch: 0,
        step: 0,
        run: None,
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
