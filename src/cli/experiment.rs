//! `gpu-siamese experiment`: runs that a file lists, and the tables and figures made of them.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::Args;
use serde_json::Value;

use self::file::{Experiment, Figure, FigureKind, Run};
use super::config::PlanChoice;
use super::fail::{DIVERGED, INTERRUPTED};
use super::open::Target;
use super::resume::Resumed;
use super::trained::{self, Trained};
use super::{Config, Failure, block_on, print_line, progress, say, train};
use crate::data::{Album, Dataset, Pair, Source, Split, pairs};
use crate::eval::{self, Score};
use crate::plan::{Capacity, Mode};
use crate::report::results::{self, Cell, Drawing, Results, figures};
use crate::train::output;
use crate::train::{EpochMetrics, RunFolder};

/// Pairs that a figure shows.
const SHOWN: usize = 24;

#[derive(Args)]
pub struct Arguments {
    /// What to run, and what to make of it
    file: PathBuf,
    /// Share of each run's epochs to train, above 0 and at most 1; every run has at least one epoch
    #[arg(long, default_value_t = 1.0, value_parser = budget)]
    budget: f64,
    /// Folder of the results [default: runs/NAME, with the budget behind it where it is not 1]
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Folder of the runs, which experiments with the same runs may share [default: runs/ in --run-dir]
    #[arg(long)]
    runs: Option<PathBuf>,
    /// Folder in which data sets are looked for
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// auto, cpu, a backend (vulkan, metal, dx12, gl), an index from `adapters`, or part of a name
    #[arg(long)]
    adapter: Option<String>,
    /// How the training step is cut into launches
    #[arg(long)]
    plan: Option<PlanChoice>,
    /// Threads of the CPU; 0 takes all
    #[arg(long)]
    threads: Option<usize>,
    /// List the runs, each with its plan, and stop
    #[arg(long)]
    list: bool,
}

fn budget(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(budget) if budget > 0.0 && budget <= 1.0 => Ok(budget),
        _ => Err("must be a number above 0, at most 1".into()),
    }
}

/// What is left of a run.
struct Finished {
    summary: Value,
    epochs: Vec<EpochMetrics>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let experiment = Experiment::read(&arguments.file)?;
    let folder = folder(arguments);
    let runs_folder = arguments.runs.clone().unwrap_or(folder.join("runs"));
    let runs = planned(&experiment, arguments, &runs_folder)?;
    let trained: Vec<&Run> = runs.iter().filter(|run| experiment.trains(&run.name)).collect();
    for run in &trained {
        let plan = plan(&run.config)?;
        if arguments.list {
            print_line(&format!(
                "{}: {} on {}, {} of {} epochs of {} pairs a step; {} parameters, {} launches a step",
                run.folder,
                run.config.model,
                run.config.dataset,
                run.config.epochs,
                run.whole_epochs,
                run.config.batch_size,
                plan.trainable() + plan.state(),
                plan.train.len()
            ))?;
        }
    }
    if arguments.list {
        return Ok(ExitCode::SUCCESS);
    }
    let results_folder = own_folder(&folder, &arguments.file)?;
    progress::watch_for_interrupts();
    let (mut finished, mut diverged, mut interrupted) = (BTreeMap::new(), Vec::new(), false);
    for (number, run) in trained.iter().enumerate() {
        let path = runs_folder.join(&run.folder);
        say(format_args!("run {} of {}: {}", number + 1, trained.len(), run.folder));
        match self::run_once(run, &path) {
            Ok(Some(run_results)) => {
                finished.insert(run.folder.clone(), run_results);
            }
            Ok(None) => interrupted = true,
            // The next ones may do better, and this is a result too.
            Err(Failure::Run(failure)) if failure.is_of_training() => {
                say(format_args!("{}: {failure}", run.folder));
                diverged.push(format!("{}: {failure}", run.folder));
            }
            Err(failure) => return Err(failure),
        }
        if interrupted || progress::INTERRUPTED.load(Ordering::Relaxed) {
            interrupted = finished.len() + diverged.len() < trained.len();
            break;
        }
    }
    let maker =
        Maker { experiment: &experiment, runs: &runs, finished: &finished, runs_folder: &runs_folder };
    let results = maker.results(arguments, &diverged)?;
    write(&results_folder, &results)?;
    print_line(&results::text(&results))?;
    say(format_args!("results: {}", folder.join("results.html").display()));
    if interrupted {
        let done = format!("{} of {} runs are finished", finished.len(), trained.len());
        say(format_args!("interrupted; {done}, and the same command goes on"));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(if diverged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIVERGED) })
}

/// The runs with the command line's settings.
fn planned(experiment: &Experiment, arguments: &Arguments, runs_folder: &Path) -> Result<Vec<Run>, Failure> {
    let wrong = |message| Failure::Usage(format!("{}: {message}", arguments.file.display()));
    let mut runs = experiment.runs(arguments.budget).map_err(wrong)?;
    for Run { config, init_run, .. } in &mut runs {
        if let Some(run) = init_run {
            config.init = Some(runs_folder.join(run).join("best.safetensors"));
        }
        config.data_dir = arguments.data_dir.clone().or(config.data_dir.take());
        config.adapter = arguments.adapter.clone().unwrap_or(std::mem::take(&mut config.adapter));
        config.plan = arguments.plan.unwrap_or(config.plan);
        config.threads = arguments.threads.unwrap_or(config.threads);
        *config = config.clone().absolute()?;
    }
    Ok(runs)
}

/// Classes of every data set of the papers that these experiments take.
const CLASSES: usize = 10;

/// The plan of a run on the data set as published, before anything is trained or even there.
fn plan(config: &Config) -> Result<crate::plan::Plan, Failure> {
    let source: Source = config.dataset.parse()?;
    let (mut shape, train_images, test_images) = source.published();
    if let Some(size) = config.image_size {
        (shape.height, shape.width) = (size, size);
    }
    let validation = (train_images as f64 * config.val_share) as usize;
    let evaluated = validation.max(test_images);
    let copies = if config.rotations { 4 } else { 1 };
    let trained = copies * (train_images - validation);
    let of_an_image = config.batch().branches();
    let capacity = Capacity {
        images: validation + trained + test_images,
        pairs: of_an_image * trained,
        embeddings: evaluated,
        scores: of_an_image * evaluated,
    };
    Target::Cpu.plan(config, (shape, CLASSES), capacity, Mode::Training)
}

fn folder(arguments: &Arguments) -> PathBuf {
    arguments.run_dir.clone().unwrap_or_else(|| {
        let name = arguments.file.file_stem().unwrap_or_default().to_string_lossy();
        let budget =
            if arguments.budget < 1.0 { format!("-budget-{}", arguments.budget) } else { String::new() };
        Path::new("runs").join(format!("{name}{budget}"))
    })
}

/// Makes the folder, for this experiment alone: its file is kept in it.
fn own_folder(folder: &Path, file: &Path) -> Result<PathBuf, Failure> {
    let unwritable = |error| Failure::unwritable(folder, "--run-dir", &error);
    std::fs::create_dir_all(folder).map_err(unwritable)?;
    let text = std::fs::read(file)
        .map_err(|error| Failure::Usage(format!("{}: {error}; check the path", file.display())))?;
    let kept = folder.join("experiment.toml");
    match std::fs::read(&kept) {
        Ok(other) if other != text => Err(Failure::Usage(format!(
            "--run-dir {}: the folder holds results of another experiment, or of an earlier state of this file \
             (experiment.toml); name a new folder",
            folder.display()
        ))),
        Ok(_) => Ok(folder.to_path_buf()),
        Err(_) => output::write(&kept, &text).map(|()| folder.to_path_buf()).map_err(unwritable),
    }
}

/// What a run left; trains it, or goes on with it, where it is not finished. `None` where it was
/// interrupted.
fn run_once(run: &Run, path: &Path) -> Result<Option<Finished>, Failure> {
    let began = path.join("config.toml");
    if began.is_file() {
        let began = Config::read(&began)?;
        run.config.check_resumed(&began)?;
        if (began.epochs, began.max_steps) != (run.config.epochs, run.config.max_steps) {
            return Err(Failure::Usage(format!(
                "{}: the run there is one of {} epochs, not of {}; name another --run-dir for another --budget",
                path.display(),
                began.epochs,
                run.config.epochs
            )));
        }
        if let Some(finished) = finished(path)? {
            say(format_args!("{}: finished already", path.display()));
            return Ok(Some(finished));
        }
    }
    let folder = RunFolder::resume(path)?;
    let resumed = Resumed::read(&folder)?;
    if let Some(resumed) = &resumed {
        resumed.check_settings(&run.config, &folder.file("config.toml"))?;
    }
    let summary = train::train(&run.config, Some(folder), resumed)?;
    if summary.interrupted { Ok(None) } else { finished(path) }
}

/// The figures of a run that came to its end.
fn finished(path: &Path) -> Result<Option<Finished>, Failure> {
    let file = path.join("summary.json");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
    let foreign = |path: &Path, message: String| {
        Failure::Usage(format!("{}: {message}; remove the folder of the run", path.display()))
    };
    let summary: Value = serde_json::from_str(&text).map_err(|error| foreign(&file, error.to_string()))?;
    if summary["interrupted"] != false {
        return Ok(None);
    }
    let file = path.join("metrics.jsonl");
    let text = std::fs::read_to_string(&file).map_err(|error| foreign(&file, error.to_string()))?;
    let epochs = text.lines().map(serde_json::from_str).collect::<Result<Vec<EpochMetrics>, _>>();
    Ok(Some(Finished { summary, epochs: epochs.map_err(|error| foreign(&file, error.to_string()))? }))
}

/// Makes tables and figures of what is finished.
struct Maker<'a> {
    experiment: &'a Experiment,
    runs: &'a [Run],
    finished: &'a BTreeMap<String, Finished>,
    runs_folder: &'a Path,
}

impl Maker<'_> {
    fn results(&self, arguments: &Arguments, diverged: &[String]) -> Result<Results, Failure> {
        let Experiment { title, about, .. } = self.experiment;
        Ok(Results {
            title: title.clone(),
            about: about.clone(),
            notes: self.notes(arguments, diverged),
            tables: self.experiment.tables.iter().map(|table| self.table(table)).collect(),
            drawings: self
                .experiment
                .figures
                .iter()
                .map(|figure| self.drawing(figure))
                .collect::<Result<_, _>>()?,
            runs: self
                .runs
                .iter()
                .filter(|run| self.experiment.trains(&run.name))
                .map(|run| self.told(run))
                .collect(),
        })
    }

    /// The runs of a name, one for each seed, with what is left of them.
    fn of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = (&'b Run, Option<&'b Finished>)> {
        let named = self.runs.iter().filter(move |run| run.name == name);
        named.map(|run| (run, self.finished.get(&run.folder)))
    }

    /// What a run is called: its own label, else the data set's title.
    fn label(&self, name: &str) -> String {
        let Some((run, finished)) = self.of(name).next() else { return name.into() };
        let published = || run.config.dataset.parse().map_or("", Source::title).to_string();
        let title =
            finished.and_then(|finished| finished.summary["dataset_title"].as_str()).map(str::to_string);
        run.label.clone().or(title).unwrap_or_else(published)
    }

    fn table(&self, table: &file::Table) -> results::Table {
        let row = |row: &file::Row| {
            let finished: Vec<&Finished> =
                row.run.iter().flat_map(|name| self.of(name)).filter_map(|(_, finished)| finished).collect();
            let cell = |metric: &results::Metric| Cell {
                paper: row.paper.get(metric).copied(),
                ours: finished.iter().filter_map(|run| metric.of(&run.summary, &run.epochs)).collect(),
            };
            let label = match (&row.label, &row.run) {
                (Some(label), _) => label.clone(),
                (None, Some(run)) => self.label(run),
                (None, None) => String::new(),
            };
            results::Row {
                label,
                epochs: cell(&results::Metric::Epochs),
                cells: table.metrics.iter().map(cell).collect(),
                awaited: row.run.iter().flat_map(|name| self.of(name)).filter(|(_, f)| f.is_none()).count(),
            }
        };
        results::Table {
            title: table.title.clone(),
            metrics: table.metrics.clone(),
            rows: table.rows.iter().map(row).collect(),
        }
    }

    fn drawing(&self, figure: &Figure) -> Result<Drawing, Failure> {
        let empty = || figures::nothing("Its runs are not finished yet.");
        let picture = match figure.kind {
            FigureKind::Curves => {
                let curves: Vec<figures::Curves> = figure
                    .runs
                    .iter()
                    .map(|name| figures::Curves {
                        label: self.label(name),
                        seeds: self.of(name).filter_map(|(_, f)| f).map(|f| f.epochs.clone()).collect(),
                    })
                    .filter(|curves| curves.seeds.iter().any(|epochs| !epochs.is_empty()))
                    .collect();
                if curves.is_empty() { empty() } else { figures::curves(&curves) }
            }
            FigureKind::Sensitivity => {
                let metric = figure.metric.unwrap_or(results::Metric::TestAccuracy);
                let group = |name: &String| figures::Group {
                    label: self.label(name),
                    ours: self
                        .of(name)
                        .filter_map(|(_, finished)| finished)
                        .filter_map(|run| metric.of(&run.summary, &run.epochs))
                        .collect(),
                    paper: figure.paper.get(name).copied(),
                };
                figures::sensitivity(metric, &figure.runs.iter().map(group).collect::<Vec<_>>())
            }
            FigureKind::LabelledPairs => match self.of(&figure.runs[0]).next() {
                Some((run, _)) => labelled(run)?,
                None => empty(),
            },
            FigureKind::ScoredPairs => {
                match self.of(&figure.runs[0]).find(|(_, finished)| finished.is_some()) {
                    Some((run, _)) => scored(run, &self.runs_folder.join(&run.folder))?,
                    None => empty(),
                }
            }
        };
        Ok(Drawing { file: figure.file.clone(), title: figure.title.clone(), picture })
    }

    /// What a reader must know before the figures.
    fn notes(&self, arguments: &Arguments, diverged: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        if arguments.budget < 1.0 {
            notes.push(format!(
                "Budget {}: runs were given that share of the epochs that the file asks for, at least one. Figures \
                 after fewer epochs do not compare with the paper's.",
                arguments.budget
            ));
        }
        let awaited = self
            .runs
            .iter()
            .filter(|run| self.experiment.trains(&run.name) && !self.finished.contains_key(&run.folder));
        let awaited = awaited.count();
        if awaited > 0 {
            notes.push(format!("{awaited} runs are not finished: their figures are missing."));
        }
        notes.extend(diverged.iter().cloned());
        for finished in self.finished.values() {
            let told = finished.summary["dataset_notes"].as_array().into_iter().flatten();
            notes.extend(told.filter_map(|note| note.as_str().map(str::to_string)));
            let adapter = &finished.summary["adapter"];
            let named = |key: &str| adapter[key].as_str().unwrap_or("unknown");
            let software = if adapter["software"] == true {
                ", a software adapter: its times say nothing of a GPU"
            } else {
                ""
            };
            notes.push(format!(
                "Ran on {} ({}, {}{software}).",
                named("name"),
                named("backend"),
                named("driver")
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        notes.retain(|note| seen.insert(note.clone()));
        notes
    }

    fn told(&self, run: &Run) -> results::RunLine {
        let finished = self.finished.get(&run.folder);
        let number = |key: &str| finished.and_then(|f| f.summary[key].as_f64());
        results::RunLine {
            folder: run.folder.clone(),
            epochs: number("epochs"),
            whole_epochs: run.whole_epochs,
            best_epoch: number("best_epoch"),
            seconds: finished.map(|f| f.epochs.iter().map(|epoch| epoch.train_seconds).sum()),
            test_accuracy: number("test_accuracy"),
        }
    }
}

fn load(run: &Run) -> Result<(Dataset, Split), Failure> {
    run.config.load()
}

/// The first training pairs.
fn labelled(run: &Run) -> Result<figures::Picture, Failure> {
    let (dataset, split) = load(run)?;
    let drawn = pairs::training(&dataset.labels, &split, run.config.seed, 1)?;
    let label = |pair: &Pair| if pair.same { "POS".to_string() } else { "NEG".to_string() };
    let shown: Vec<(Pair, String)> = drawn.iter().take(SHOWN).map(|pair| (*pair, label(pair))).collect();
    Ok(figures::pairs(&dataset, &shown, None))
}

/// The first test pairs with what the run's best weights say of them.
fn scored(run: &Run, folder: &Path) -> Result<figures::Picture, Failure> {
    let (dataset, split) = load(run)?;
    let mut drawn = pairs::test(&dataset.labels, &split, run.config.seed)?;
    drawn.truncate(SHOWN);
    let trained = Trained::read(&trained::Arguments::of_run(folder, &run.config))?;
    let mut album = Album::new(dataset.shape);
    let numbered = album.add_pairs(&dataset, &drawn)?;
    let mut executor = trained.executor(&album, numbered.len())?;
    let scores: Vec<Score> = block_on(eval::score(executor.as_mut(), &numbered))?;
    let shown: Vec<(Pair, String)> =
        drawn.iter().zip(&scores).map(|(pair, score)| (*pair, format!("{:.3}", score.similarity))).collect();
    let right: Vec<bool> =
        drawn.iter().zip(&scores).map(|(pair, score)| (score.similarity > 0.5) == pair.same).collect();
    Ok(figures::pairs(&dataset, &shown, Some(&right)))
}

fn write(folder: &Path, results: &Results) -> Result<(), Failure> {
    let put = |name: String, text: &str| {
        let path = folder.join(name);
        output::write(&path, text.as_bytes()).map_err(|error| Failure::unwritable(&path, "--run-dir", &error))
    };
    for drawing in &results.drawings {
        put(format!("{}.svg", drawing.file), &drawing.picture.file())?;
    }
    put("results.md".into(), &results::markdown(results))?;
    put("results.html".into(), &results::html(results))
}
