//! `gpu-siamese eval`: what a trained network makes of a test set, or of pairs of your own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::config::Config;
use super::fail::DIVERGED;
use super::progress::Progress;
use super::trained::{self, Trained};
use super::{Failure, block_on, print_json, print_line, say};
use crate::data::pair_list::{self, ListedPair, Member, Skips};
use crate::data::{Album, DataError, Dataset, Pair, Split, pairs};
use crate::eval::collapse::Answered;
use crate::eval::{self, ClassMetrics, Classification, Roc, Score, embeddings};
use crate::session::Session;
use crate::train::Watch;
use crate::train::output;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    network: trained::Arguments,
    /// Data set whose test pairs are scored [default: the one that the network was trained on]
    #[arg(long)]
    dataset: Option<String>,
    /// Folder in which data sets are looked for [default: the run's]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Seed of the test pairs, and of glyphs [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
    /// Score the pairs of this list instead: `a,b` or `a,b,same` a line, numbers of test images or
    /// paths of pictures
    #[arg(long, value_name = "FILE.csv")]
    pairs: Option<PathBuf>,
    #[command(flatten)]
    pictures: trained::Pictures,
    /// Leave out up to N lines of the list that are bad, or whose pictures are, and list them
    #[arg(long, value_name = "N", default_value_t = 0, requires = "pairs")]
    skip_bad: usize,
    /// Write each pair's distance and similarity to this file
    #[arg(long, value_name = "FILE.csv")]
    scores: Option<PathBuf>,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

/// Fewer pairs may well be all alike.
const FEW: usize = 20;

/// Most pictures that are warned of one by one.
const WARNED: usize = 10;

/// Pairs to score, and what to call them.
struct Task {
    pairs: Vec<Pair>,
    /// The two fields of each pair in the list of scores.
    names: Vec<[String; 2]>,
    /// Whether it is known which pairs are the same.
    labelled: bool,
    dataset: Option<String>,
    /// Images by whose embeddings the network is to tell classes.
    classes: Option<Classes>,
}

/// Training and test images, as the album numbers them, with their labels.
struct Classes {
    train: Vec<u32>,
    train_labels: Vec<u32>,
    test: Vec<u32>,
    test_labels: Vec<u32>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut trained = Trained::read(&arguments.network)?;
    let config = &mut trained.config;
    if let Some(dataset) = arguments.dataset.clone().filter(|dataset| *dataset != config.dataset) {
        // How the run parted and extended its own set is nothing to another.
        *config = Config { dataset, split: None, rotations: false, ..config.clone() };
    }
    config.data_dir = arguments.data_dir.clone().or(config.data_dir.clone());
    config.seed = arguments.seed.unwrap_or(config.seed);
    if trained.is_classifier() {
        return classify(arguments, &trained);
    }
    if let Some(path) = &arguments.scores {
        output::check(path).map_err(|error| Failure::unwritable(path, "--scores", &error))?;
    }
    let mut album = Album::prepared(trained.description.input, trained.preparation(&arguments.pictures));
    let mut skips = Skips { allowed: arguments.skip_bad, ..Skips::default() };
    let task = match &arguments.pairs {
        Some(path) => {
            let task = listed(path, &trained, &mut album, &mut skips);
            let left_out = skips.skipped.iter().map(|error| format!("left out: {error}"));
            let warnings = album.warnings.iter().take(WARNED).map(|warning| format!("warning: {warning}"));
            left_out.chain(warnings).for_each(say);
            if album.warnings.len() > WARNED {
                say(format_args!("warning: and so on, {} in all", album.warnings.len()));
            }
            task?
        }
        None => test_pairs(&trained, &mut album)?,
    };
    let mut executor = trained.executor(&album, task.pairs.len())?;
    let start = Instant::now();
    let mut progress = Progress::of_scoring();
    let scores = block_on(eval::score_watched(executor.as_mut(), &task.pairs, &mut |share| {
        progress.scoring("scoring", share);
        true
    }))?
    .unwrap_or_default();
    let seconds = start.elapsed().as_secs_f64();
    let learnt = executor.plan().learnt();
    let metrics = eval::metrics(&task.pairs, &scores, learnt, trained.threshold);
    let roc = Roc::of(&task.pairs, &scores).filter(|_| task.labelled).map(|roc| roc.figures());
    let classes = match &task.classes {
        Some(images) => class_metrics(executor.as_mut(), images, &mut progress)?,
        None => None,
    };
    let saved = trained.saved_threshold().filter(|_| task.labelled);
    let at_saved = saved.map(|threshold| eval::metrics(&task.pairs, &scores, learnt, threshold).accuracy);
    if let Some(path) = &arguments.scores {
        write_scores(path, &task, &scores)?;
    }
    let answered = Answered::of_pairs(&task.pairs, &scores, executor.plan().features);
    let collapsed = task.pairs.len() >= FEW && answered.dead;
    if collapsed {
        say(format_args!(
            "warning: the network has collapsed: {}. Its figures mean nothing; use weights of another run",
            answered.seen
        ));
    }
    let code = if collapsed { ExitCode::from(DIVERGED) } else { ExitCode::SUCCESS };
    let known = task.labelled.then_some(metrics);
    if arguments.json {
        print_json(&json!({
            "model": trained.description.model,
            "dataset": task.dataset,
            "adapter": executor.adapter(),
            "pairs": metrics.pairs,
            "skipped": skips.skipped.len(),
            "scores": (!task.labelled).then(|| listed_scores(&task, &scores)),
            "accuracy": known.map(|metrics| metrics.accuracy),
            "loss": known.map(|metrics| metrics.loss),
            "threshold": trained.threshold,
            "saved_threshold": saved,
            "accuracy_at_saved_threshold": at_saved,
            "roc_auc": roc.map(|roc| roc.roc_auc),
            "eer": roc.map(|roc| roc.eer),
            "tar_at_far": roc.map(|roc| roc.tar_at_far),
            "threshold_at_far": roc.map(|roc| roc.threshold_at_far),
            "class_accuracy_centroid": classes.map(|classes| classes.centroid),
            "class_accuracy_knn": classes.map(|classes| classes.knn),
            "seconds": seconds,
        }))?;
        return Ok(code);
    }
    let threshold = trained.threshold;
    print_line(&match known {
        Some(metrics) => format!(
            "{} pairs: accuracy {:.2} % at threshold {threshold:.4}, loss {:.5}; {seconds:.2} s",
            metrics.pairs, metrics.accuracy, metrics.loss
        ),
        None => {
            let shown = if arguments.scores.is_none() { &scores[..] } else { &[] };
            for ([a, b], score) in task.names.iter().zip(shown) {
                print_line(&format!("{a}\t{b}\t{:.6}\t{:.6}", score.distance, score.similarity))?;
            }
            format!("{} pairs scored (distance, similarity); {seconds:.2} s", metrics.pairs)
        }
    })?;
    if let (Some(saved), Some(accuracy)) = (saved, at_saved) {
        print_line(&format!(
            "accuracy {accuracy:.2} % at threshold {saved:.4}, the saved one of validation"
        ))?;
    }
    if !skips.skipped.is_empty() {
        print_line(&format!("{} lines left out", skips.skipped.len()))?;
    }
    if let Some(roc) = roc {
        let rates = roc.tar_at_far.each().into_iter().zip(roc.threshold_at_far.each());
        let rates: Vec<String> = rates
            .map(|((far, tar), (_, threshold))| {
                format!("{tar:.2} % at FAR {} % (threshold {threshold:.4})", 100.0 * far)
            })
            .collect();
        print_line(&format!(
            "ROC: area {:.5}, equal error rate {:.2} %; TAR {}",
            roc.roc_auc,
            roc.eer,
            rates.join(", ")
        ))?;
    }
    if let Some(classes) = classes {
        print_line(&format!(
            "classes of the test images: {:.2} % by the nearest centroid, {:.2} % by the {} nearest neighbours",
            classes.centroid,
            classes.knn,
            eval::classes::NEIGHBOURS
        ))?;
    }
    if let Some(path) = &arguments.scores {
        say(format_args!("scores: {}", path.display()));
    }
    Ok(code)
}

/// What a classifier makes of the test images.
fn classify(arguments: &Arguments, trained: &Trained) -> Result<ExitCode, Failure> {
    if arguments.pairs.is_some() || arguments.scores.is_some() {
        let model = &trained.description.model;
        return Err(Failure::Usage(format!(
            "--pairs, --scores: {model} classifies images and compares none"
        )));
    }
    let (dataset, split) = load(trained)?;
    let images = split.test;
    let mut album = Album::new(trained.description.input);
    let rows = album.add_images(&dataset, &images)?;
    // By number in the album.
    let mut labels = vec![0; album.len()];
    for (&row, &image) in rows.iter().zip(&images) {
        labels[row as usize] = dataset.labels[image as usize];
    }
    let mut executor = trained.executor(&album, 1)?;
    let start = Instant::now();
    let mut progress = Progress::of_scoring();
    let metrics = block_on(eval::classify_watched(executor.as_mut(), &rows, &labels, &mut |share| {
        progress.scoring("classifying", share);
        true
    }))?;
    let seconds = start.elapsed().as_secs_f64();
    let Some(Classification { images, accuracy, loss, .. }) = metrics else { return Ok(ExitCode::SUCCESS) };
    if arguments.json {
        print_json(&json!({
            "model": trained.description.model,
            "dataset": dataset.name,
            "adapter": executor.adapter(),
            "images": images,
            "class_accuracy": accuracy,
            "loss": loss,
            "seconds": seconds,
        }))?;
    } else {
        print_line(&format!(
            "{images} images: {accuracy:.2} % of classes right, loss {loss:.5}; {seconds:.2} s"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The data set of the settings with its parts; its images must be of the network's size.
pub fn load(trained: &Trained) -> Result<(Dataset, Split), Failure> {
    let input = trained.description.input;
    let (dataset, split) = trained.config.load_at(Some((input.height, input.width)))?;
    for warning in &dataset.warnings {
        say(format_args!("warning: {warning}"));
    }
    if dataset.shape == input {
        return Ok((dataset, split));
    }
    Err(Failure::Usage(format!(
        "--dataset {}: its images are {}, but the network takes {input}; choose another set or other weights",
        dataset.name, dataset.shape
    )))
}

/// The pairs that training ends with.
fn test_pairs(trained: &Trained, album: &mut Album) -> Result<Task, Failure> {
    let (dataset, split) = load(trained)?;
    let drawn = pairs::test(&dataset.labels, &split, trained.config.seed)?;
    let number = |image: u32| (image as usize - dataset.train_images).to_string();
    let names = drawn.iter().map(|pair| [number(pair.a), number(pair.b)]).collect();
    let pairs = album.add_pairs(&dataset, &drawn)?;
    let labels =
        |images: &[u32]| images.iter().map(|&image| dataset.labels[image as usize]).collect::<Vec<u32>>();
    let classes = Classes {
        train_labels: labels(&split.train),
        test_labels: labels(&split.test),
        train: album.add_images(&dataset, &split.train)?,
        test: album.add_images(&dataset, &split.test)?,
    };
    Ok(Task { pairs, names, labelled: true, dataset: Some(dataset.name), classes: Some(classes) })
}

/// What embeddings tell of classes.
fn class_metrics(
    executor: &mut dyn Session,
    images: &Classes,
    progress: &mut Progress,
) -> Result<Option<ClassMetrics>, Failure> {
    let mut embed = |images: &[u32]| {
        block_on(embeddings::embeddings(executor, images, &mut |share| {
            progress.scoring("embedding", share);
            true
        }))
    };
    let (train, test) = (embed(&images.train)?.unwrap_or_default(), embed(&images.test)?.unwrap_or_default());
    Ok(eval::classes::metrics((&train, &images.train_labels), (&test, &images.test_labels), &mut |share| {
        progress.scoring("classes by embeddings", share);
        true
    }))
}

/// The pairs of a list; the data set is read only if some image is a number.
fn listed(path: &Path, trained: &Trained, album: &mut Album, skips: &mut Skips) -> Result<Task, Failure> {
    let mut list = pair_list::read(path, skips)?;
    let labelled = list[0].same.is_some();
    let numbered = |pair: &ListedPair| [&pair.a, &pair.b].iter().any(|m| matches!(m, Member::Index(_)));
    let dataset = if list.iter().any(numbered) { Some(load(trained)?.0) } else { None };
    let pairs = album.add_list(&mut list, path, dataset.as_ref(), skips)?;
    if pairs.is_empty() {
        let message = "no pair is left".into();
        return Err(DataError::PairList { path: path.to_owned(), line: 1, message }.into());
    }
    Ok(Task {
        pairs,
        labelled,
        names: list.into_iter().map(|pair| pair.names).collect(),
        dataset: dataset.map(|set| set.name),
        classes: None,
    })
}

/// The scores of pairs of which nothing else is known.
fn listed_scores(task: &Task, scores: &[Score]) -> Vec<serde_json::Value> {
    let told = task.names.iter().zip(scores);
    told.map(
        |([a, b], score)| json!({"a": a, "b": b, "distance": score.distance, "similarity": score.similarity}),
    )
    .collect()
}

/// Writes `a,b,same,distance,similarity` in the order of the pairs; where it is not known whether a
/// pair is the same, that field is empty.
fn write_scores(path: &Path, task: &Task, scores: &[Score]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut row = |fields: [&str; 5]| writer.write_record(fields);
    let written = row(["a", "b", "same", "distance", "similarity"]).and_then(|()| {
        task.pairs.iter().zip(&task.names).zip(scores).try_for_each(|((pair, [a, b]), score)| {
            let same = if task.labelled { if pair.same { "1" } else { "0" } } else { "" };
            row([a, b, same, &score.distance.to_string(), &score.similarity.to_string()])
        })
    });
    let encoded = |error: String| Failure::Output(format!("{}: {error}", path.display()));
    written.map_err(|error| encoded(error.to_string()))?;
    let text = writer.into_inner().map_err(|error| encoded(error.to_string()))?;
    output::write(path, &text).map_err(|error| Failure::unwritable(path, "--scores", &error))
}
