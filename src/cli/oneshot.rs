//! `gpu-siamese oneshot`: which of several characters, never seen before, is a drawing of, by one drawing of each?

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::config::Config;
use super::fail::DIVERGED;
use super::progress::Progress;
use super::trained::{self, Trained};
use super::{Failure, block_on, print_json, print_line, say};
use crate::data::omniglot::official_runs;
use crate::data::{self, Album, DataError, Dataset, Shape, Split, Stream};
use crate::eval::oneshot::{self, OneShot, Protocol, Solved, Task, Tasks};
use crate::report::{self, OneShotPage};
use crate::train::Watch;
use crate::train::output;

/// Where tasks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Drawn from the seed: 40 tasks from each test alphabet
    Paper,
    /// Omniglot's own 20 runs of 20 tasks, from all_runs.zip
    Official,
}

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    network: trained::Arguments,
    /// Data set whose test images tasks are made of [default: the one that the network was trained on]
    #[arg(long)]
    dataset: Option<String>,
    /// Folder in which data sets are looked for [default: the run's]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where tasks come from
    #[arg(long, default_value = "paper")]
    protocol: Source,
    /// Characters of a task, where the alphabet has so many [default: 20]
    #[arg(long)]
    way: Option<usize>,
    /// Drawings of each character to compare with [default: 1]
    #[arg(long)]
    shots: Option<usize>,
    /// Tasks of each alphabet [default: 40]
    #[arg(long)]
    tasks: Option<usize>,
    /// Seed of the tasks, and of sets that are made [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
    /// Write a page with tasks as pictures to this file
    #[arg(long, value_name = "FILE.html")]
    page: Option<PathBuf>,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let protocol = protocol(arguments)?;
    let mut trained = Trained::read(&arguments.network)?;
    let config = &mut trained.config;
    if let Some(dataset) = arguments.dataset.clone().filter(|dataset| *dataset != config.dataset) {
        // How the run parted and extended its own set is nothing to another.
        *config = Config { dataset, split: None, rotations: false, ..config.clone() };
    }
    // Turned copies are for training alone.
    config.rotations = false;
    config.data_dir = arguments.data_dir.clone().or(config.data_dir.clone());
    config.seed = arguments.seed.unwrap_or(config.seed);
    if trained.is_classifier() {
        let model = &trained.description.model;
        return Err(Failure::Usage(format!(
            "{model} classifies images and compares none; name another network"
        )));
    }
    if let Some(path) = &arguments.page {
        output::check(path).map_err(|error| Failure::unwritable(path, "--page", &error))?;
    }
    let (dataset, tasks) = match arguments.protocol {
        Source::Paper => drawn(&trained, protocol)?,
        Source::Official => official(&trained)?,
    };
    let mut album = Album::new(trained.description.input);
    let tasks = on_album(&dataset, tasks, &mut album)?;
    let (embeddings, pairs) = tasks.room();
    let mut executor = trained.executor_for(&album, embeddings, pairs)?;
    let start = Instant::now();
    let mut progress = Progress::of_scoring();
    let solved = block_on(oneshot::solve(executor.as_mut(), &tasks, &mut |share| {
        progress.scoring("tasks", share);
        true
    }))?;
    let seconds = start.elapsed().as_secs_f64();
    let Some(solved) = solved else { return Ok(ExitCode::SUCCESS) };
    let figures = &solved.figures;
    warn(figures);
    let adapter = executor.adapter().clone();
    if let Some(path) = &arguments.page {
        let facts = vec![
            ("Model", trained.description.model.clone()),
            ("Data set", dataset.title.clone()),
            ("Adapter", format!("{} ({}, {})", adapter.name, adapter.backend, adapter.driver)),
            ("Seed", trained.config.seed.to_string()),
            ("Time", format!("{seconds:.2} s")),
        ];
        let shown = pictures(&dataset, album);
        write_page(path, arguments.protocol, (&shown, &tasks, &solved), facts)?;
    }
    if arguments.json {
        print_json(&json!({
            "model": trained.description.model,
            "dataset": dataset.name,
            "protocol": arguments.protocol.to_possible_value().map(|value| value.get_name().to_string()),
            "adapter": adapter,
            "way": tasks.way(),
            "shots": tasks.shots,
            "tasks": figures.tasks,
            "accuracy": figures.accuracy,
            "standard_error": figures.standard_error,
            "accuracy_of_tasks": figures.accuracy_of_tasks,
            "loss": figures.loss,
            "ties": figures.ties,
            "collapsed": figures.collapsed,
            "alphabets": figures.alphabets,
            "seed": trained.config.seed,
            "seconds": seconds,
        }))?;
    } else {
        print_table(&tasks, figures, seconds)?;
    }
    if let Some(path) = &arguments.page {
        say(format_args!("page: {}", path.display()));
    }
    Ok(if figures.collapsed { ExitCode::from(DIVERGED) } else { ExitCode::SUCCESS })
}

/// Says what must not be read as a result.
pub fn warn(figures: &OneShot) {
    if figures.collapsed {
        say(
            "warning: the network has collapsed: in more than half of the tasks all distances are the same, as if all \
             images were one. Its figures mean nothing; use weights of another epoch, or train anew with a smaller --lr",
        );
    }
}

fn protocol(arguments: &Arguments) -> Result<Protocol, Failure> {
    let defaults = Protocol::default();
    let told = [("way", arguments.way, 2), ("shots", arguments.shots, 1), ("tasks", arguments.tasks, 1)];
    for (flag, value, least) in told {
        match value {
            Some(_) if arguments.protocol == Source::Official => {
                return Err(Failure::Usage(format!(
                    "--{flag}: the official tasks are fixed; leave the flag out, or use --protocol paper"
                )));
            }
            Some(value) if !(least..=100_000).contains(&value) => {
                return Err(Failure::Usage(format!("--{flag} {value}: must be {least} to 100000")));
            }
            _ => {}
        }
    }
    Ok(Protocol {
        way: arguments.way.unwrap_or(defaults.way),
        shots: arguments.shots.unwrap_or(defaults.shots),
        tasks: arguments.tasks.unwrap_or(defaults.tasks),
    })
}

/// Tasks on the set's test images, the same that a run ends with.
fn drawn(trained: &Trained, protocol: Protocol) -> Result<(Dataset, Tasks), Failure> {
    let (dataset, Split { test, .. }) = super::eval::load(trained)?;
    if test.is_empty() {
        return Err(Failure::Usage(format!(
            "--dataset {}: it has no test images here; put its test files beside the others, or use --protocol official",
            dataset.name
        )));
    }
    let tasks = oneshot::draw(&dataset, &test, protocol, trained.config.seed, Stream::TestTasks)?;
    Ok((dataset, tasks))
}

/// The tasks by their images' numbers in the album.
fn on_album(dataset: &Dataset, mut tasks: Tasks, album: &mut Album) -> Result<Tasks, Failure> {
    for task in &mut tasks.list {
        task.support = album.add_images(dataset, &task.support)?;
        task.query = album.add_images(dataset, &[task.query])?[0];
    }
    Ok(tasks)
}

/// The images of an album as a set of their own, to be shown.
fn pictures(dataset: &Dataset, album: Album) -> Dataset {
    Dataset {
        name: dataset.name.clone(),
        title: dataset.title.clone(),
        shape: album.shape,
        images: album.images,
        labels: Vec::new(),
        classes: Vec::new(),
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images: 0,
        warnings: Vec::new(),
    }
}

fn print_table(tasks: &Tasks, figures: &OneShot, seconds: f64) -> Result<(), Failure> {
    let widest = figures.alphabets.iter().map(|alphabet| alphabet.name.chars().count()).max().unwrap_or(0);
    let widest = widest.max("mean".len());
    print_line(&format!("{:<widest$}  tasks  right", "alphabet"))?;
    for alphabet in &figures.alphabets {
        print_line(&format!(
            "{:<widest$}  {:>5}  {:>5.1} %",
            alphabet.name, alphabet.tasks, alphabet.accuracy
        ))?;
    }
    print_line(&format!(
        "{:<widest$}  {:>5}  {:>5.2} % ± {:.2}",
        "mean", figures.tasks, figures.accuracy, figures.standard_error
    ))?;
    let ties =
        if figures.ties > 0.0 { format!(", {:.2} % without an answer", figures.ties) } else { String::new() };
    print_line(&format!(
        "{}-way {}-shot; of all tasks {:.2} % right{ties}; {seconds:.2} s",
        tasks.way(),
        tasks.shots,
        figures.accuracy_of_tasks
    ))
}

fn write_page(
    path: &Path,
    source: Source,
    (dataset, tasks, solved): (&Dataset, &Tasks, &Solved),
    facts: Vec<(&'static str, String)>,
) -> Result<(), Failure> {
    let made = match source {
        Source::Paper => "drawn from the seed within each alphabet of the test",
        Source::Official => "Omniglot's own runs",
    };
    let collapsed =
        "The network has collapsed: it makes the same of every image, and its figures mean nothing.";
    let page = report::oneshot_html(&OneShotPage {
        title: format!("One-shot tasks on {}", dataset.title),
        lede: format!(
            "{}-way, {}-shot: which of these characters is the query? Tasks: {made}.",
            tasks.way(),
            tasks.shots
        ),
        notes: solved.figures.collapsed.then(|| collapsed.to_string()).into_iter().collect(),
        facts,
        dataset,
        tasks,
        solved,
    });
    output::write(path, page.as_bytes()).map_err(|error| Failure::unwritable(path, "--page", &error))
}

/// Omniglot's own tasks; a run stands where an alphabet would.
fn official(trained: &Trained) -> Result<(Dataset, Tasks), Failure> {
    let name = &trained.config.dataset;
    let omniglot = data::Source::Omniglot;
    if name != omniglot.name() {
        return Err(Failure::Usage(format!(
            "--protocol official: these tasks are Omniglot's, not of {name}; add --dataset {}, or use --protocol paper",
            omniglot.name()
        )));
    }
    let dir = trained.config.data_dir.as_deref().ok_or(DataError::NoFolder { dataset: omniglot.name() })?;
    let Shape { height, width, .. } = trained.description.input;
    let runs = official_runs(dir, Some((height, width)), trained.config.fit)?;
    for warning in &runs.warnings {
        say(format_args!("warning: {warning}"));
    }
    fits(&trained.description.input, runs.album.shape, name)?;
    let last = runs.tasks.iter().map(|task| task.run + 1).max().unwrap_or(0);
    let tasks = Tasks {
        list: runs
            .tasks
            .iter()
            .map(|task| Task {
                query: task.query,
                support: task.support.to_vec(),
                right: task.right as u32,
                alphabet: task.run as u32,
            })
            .collect(),
        shots: 1,
        alphabets: (1..=last).map(|run| format!("run {run:02}")).collect(),
    };
    let images = runs.album.len();
    let dataset = Dataset {
        name: omniglot.name().into(),
        title: omniglot.title().into(),
        shape: runs.album.shape,
        images: runs.album.images,
        labels: vec![0; images],
        classes: Vec::new(),
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images: 0,
        warnings: Vec::new(),
    };
    Ok((dataset, tasks))
}

/// Refuses images of another size than the network's.
fn fits(input: &Shape, shape: Shape, dataset: &str) -> Result<(), Failure> {
    if *input == shape {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "--dataset {dataset}: its images are {shape}, but the network takes {input}; use weights that were trained on such"
    )))
}
