//! `gpu-siamese data`: what data sets are found where, and whether they are what they should be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::fail::BAD_DATA;
use super::{Failure, print_json, print_line, say};
use crate::data::{self, DataError, Dataset, Shape, Source};

#[derive(Args)]
pub struct Arguments {
    /// Folder in which data sets are looked for
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

/// What there is of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Made by the program.
    BuiltIn,
    /// Found, and what was published.
    Verified,
    /// Found and usable, but not what was published.
    Other,
    Absent,
    /// Found, but of no use.
    Broken,
}

/// What is told of a data set.
#[derive(Debug, Serialize)]
struct Finding {
    dataset: &'static str,
    title: String,
    state: State,
    files: Vec<File>,
    shape: Option<Shape>,
    train_images: Option<usize>,
    test_images: Option<usize>,
    /// Images of each class, by its name.
    classes: Vec<Class>,
    /// Number of alphabets that classes belong to.
    alphabets: usize,
    notes: Vec<String>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct File {
    path: PathBuf,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Class {
    name: String,
    train_images: usize,
    test_images: usize,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let dir = arguments.data_dir.as_deref();
    if dir.is_none() {
        say("no --data-dir was given: sets from files are not looked for");
    }
    let findings: Vec<Finding> = Source::ALL.into_iter().map(|source| look(source, dir)).collect();
    if arguments.json {
        print_json(&findings)?;
    } else {
        findings.iter().try_for_each(print)?;
    }
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    Ok(if broken { ExitCode::from(BAD_DATA) } else { ExitCode::SUCCESS })
}

fn look(source: Source, dir: Option<&Path>) -> Finding {
    let files = dir.and_then(|dir| source.files(dir).ok()).unwrap_or_default();
    let files = files.into_iter().map(|path| File { bytes: path.metadata().map_or(0, |m| m.len()), path });
    let mut finding = Finding {
        dataset: source.name(),
        title: source.title().to_owned(),
        state: State::Absent,
        files: files.collect(),
        shape: None,
        train_images: None,
        test_images: None,
        classes: Vec::new(),
        alphabets: 0,
        notes: Vec::new(),
        error: None,
    };
    match data::load(source.name(), dir, 0) {
        Ok(set) => {
            finding.state = match (source, set.warnings.is_empty()) {
                (Source::Glyphs | Source::GlyphAlphabets, _) => State::BuiltIn,
                (_, true) => State::Verified,
                (_, false) => State::Other,
            };
            finding.classes = classes(&set);
            finding.alphabets = set.alphabets.len();
            finding.shape = Some(set.shape);
            (finding.train_images, finding.test_images) = (Some(set.train_images), Some(set.test_images()));
            (finding.title, finding.notes) = (set.title, set.warnings);
        }
        Err(error) => {
            if !matches!(error, DataError::NoFolder { .. } | DataError::NotFound { incomplete: false, .. }) {
                finding.state = State::Broken;
            }
            finding.error = Some(error.to_string());
        }
    }
    finding
}

fn classes(set: &Dataset) -> Vec<Class> {
    let count =
        |labels: &[u32], class: usize| labels.iter().filter(|&&label| label as usize == class).count();
    let (train, test) = set.labels.split_at(set.train_images);
    let class = |(number, name): (usize, &String)| Class {
        name: name.clone(),
        train_images: count(train, number),
        test_images: count(test, number),
    };
    set.classes.iter().enumerate().map(class).collect()
}

/// How many classes: those of the test are the same as those of training, or others, or there are none.
fn classes_are(finding: &Finding) -> String {
    let count = |of: fn(&Class) -> usize| finding.classes.iter().filter(|class| of(class) > 0).count();
    let (train, test) = (count(|class| class.train_images), count(|class| class.test_images));
    let classes = match train + test {
        all if all == finding.classes.len() => format!("{train} + {test} classes"),
        _ => format!("{} classes", finding.classes.len()),
    };
    match finding.alphabets {
        0 => classes,
        alphabets => format!("{classes} in {alphabets} alphabets"),
    }
}

fn print(finding: &Finding) -> Result<(), Failure> {
    let state = match finding.state {
        State::BuiltIn => "made by the program",
        State::Verified => "verified: the published files",
        State::Other => "usable, but not the published files",
        State::Absent => "not found",
        State::Broken => "broken",
    };
    print_line(&format!("{}: {state}", finding.dataset))?;
    if let (Some(shape), Some(train), Some(test)) = (finding.shape, finding.train_images, finding.test_images)
    {
        let range = |of: fn(&Class) -> usize| {
            let counts = finding.classes.iter().map(of).filter(|&count| count > 0);
            (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
        };
        let (train_range, test_range) = (range(|class| class.train_images), range(|class| class.test_images));
        let each = |(low, high): (usize, usize)| {
            if low == high { low.to_string() } else { format!("{low} to {high}") }
        };
        print_line(&format!(
            "  {}: {train} + {test} images of {shape}; {} of {} + {} each",
            finding.title,
            classes_are(finding),
            each(train_range),
            each(test_range)
        ))?;
    }
    for file in &finding.files {
        print_line(&format!("  {} ({} bytes)", file.path.display(), file.bytes))?;
    }
    for note in &finding.notes {
        print_line(&format!("  note: {note}"))?;
    }
    match (&finding.error, finding.state) {
        (Some(error), State::Broken) => print_line(&format!("  {}", error.replace('\n', "\n  "))),
        _ => Ok(()),
    }
}
