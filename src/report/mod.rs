//! The page of a run: what was trained, how it went, what the network sees, and how to repeat it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`curves`] | loss and accuracy by epoch |
//! | [`pairs`] | pairs as pictures: training pairs, test pairs, the most confident mistakes |
//! | [`embedding`] | where the test images lie, and what that tells of classes |
//! | [`histogram`] | similarities by class, and what the threshold makes of them |
//! | [`results`] | the page of an experiment: the paper's figures beside ours |
//! | [`roc`] | the ROC curve |
//! | [`tasks`] | one-shot tasks as pictures, by alphabet; in the page of a run, or one of their own |
//! | [`tables`] | every figure, every epoch, where it ran |
//! | [`axis`], [`number`], [`picture`] | ticks; figures as text; bytes to an image in the page |
//!
//! One file, which needs no other and runs no script: styles, charts (SVG) and pictures (PNG) are in it.

mod axis;
mod curves;
mod embedding;
mod histogram;
mod number;
mod pairs;
mod picture;
pub mod results;
mod roc;
mod tables;
mod tasks;
#[cfg(test)]
mod tests;

pub use tasks::{OneShotPage, oneshot_html};

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use crate::data::{Augmentation, Dataset, Pair};
use crate::eval::oneshot::{Solved, Tasks};
use crate::eval::{Projection, Score};
use crate::train::{EpochMetrics, Measure, Summary};

const STYLE: &str = include_str!("style.css");

/// Whatever is loaded from elsewhere, or run, is refused by the browser.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Above this similarity a pair is called the same, as in the paper: the summary's accuracies are at
/// one half, whatever threshold was chosen on the validation pairs for later use.
const THRESHOLD: f64 = 0.5;

/// Names longer than this many characters are set smaller in the headline.
const LONG: usize = 16;

/// What the page tells.
pub struct Report<'a> {
    pub summary: &'a Summary,
    /// In order; empty where no epoch was completed.
    pub epochs: &'a [EpochMetrics],
    pub dataset: &'a Dataset,
    /// The first of them are shown, so in the order in which they were trained.
    pub training_pairs: &'a [Pair],
    pub test_pairs: &'a [Pair],
    /// One for each of `test_pairs`, in their order; empty where the run was not tested.
    pub test_scores: &'a [Score],
    /// The test's one-shot tasks and what the network made of them, where it was measured by such.
    pub tasks: Option<(&'a Tasks, &'a Solved)>,
    /// What happened to training images, and those of the first epoch in the order of its list.
    pub augment: Option<Augmentation>,
    pub images: &'a [u32],
    /// The test images' embeddings, in the set's order; none where the run was not tested.
    pub projection: Option<&'a Projection>,
    /// What repeats the run, as one types it.
    pub command: String,
}

impl Report<'_> {
    /// Test pairs with what the network says of them.
    fn tested(&self) -> impl Iterator<Item = (&Pair, &Score)> {
        self.test_pairs.iter().zip(self.test_scores)
    }

    /// Test pairs told apart rightly at a threshold, in percent.
    fn test_accuracy(&self, threshold: f64) -> f64 {
        let hits = self.tested().filter(|(pair, score)| pair.same == called_same(score, threshold)).count();
        100.0 * hits as f64 / self.tested().count().max(1) as f64
    }

    /// Why there is no test, as part of a sentence.
    fn untested(&self) -> &'static str {
        match (self.summary.interrupted, self.epochs.is_empty()) {
            (true, _) => "the run was interrupted before its test",
            (false, true) => "no epoch was completed",
            (false, false) => "the set has no test images here",
        }
    }

    /// Whether the network compares images, rather than classify them.
    fn compares(&self) -> bool {
        self.summary.measure != Measure::Classes
    }

    /// What the test's accuracy is called.
    fn test_name(&self) -> &'static str {
        match self.summary.measure {
            Measure::Pairs => "Test pair accuracy",
            Measure::Classes => "Test class accuracy",
            Measure::Tasks => "Test one-shot accuracy",
        }
    }

    fn best(&self) -> Option<&EpochMetrics> {
        self.epochs.iter().find(|metrics| metrics.epoch == self.summary.best_epoch)
    }
}

fn called_same(score: &Score, threshold: f64) -> bool {
    f64::from(score.similarity) > threshold
}

/// The page, as HTML. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report) -> String {
    let Summary { model, dataset_title: dataset, .. } = report.summary;
    let header = markup! {
        p.lede { (lede(report)) }
        @for note in notes(report) { p.note { (note) } }
        (headline(report))
    };
    let main = markup! {
        (curves::section(report))
        @if report.compares() { (pairs::training(report)) }
        (pairs::augmented(report))
        @if report.summary.measure == Measure::Pairs { (pairs::tested(report)) (pairs::mistakes(report)) }
        @if let Some((tasks, solved)) = report.tasks { (tasks::section(report.dataset, tasks, solved)) }
        (histogram::section(report))
        (embedding::section(report))
        (tables::section(report))
    };
    page(&format!("{model} on {dataset}"), "", header, main)
}

/// A page of its own: it loads nothing and runs no script. `style` comes behind the pages' common one.
fn page(title: &str, style: &str, header: Markup, main: Markup) -> String {
    markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body {
                header { h1 { (title) } (header) }
                main { (main) }
            }
        }
    }
    .into_string()
}

fn lede(report: &Report) -> Markup {
    let Dataset { shape, classes, .. } = report.dataset;
    let colours = match shape.channels {
        1 => "grey".to_string(),
        3 => "colour".to_string(),
        channels => format!("{channels}-channel"),
    };
    markup! {
        (number::counted(report.dataset.len(), "image")) " in "
        (number::counted(classes.len(), "class")) ", " (colours) ", "
        (shape.width) " × " (shape.height) " pixels. "
        @if report.compares() {
            "A siamese network, trained on pairs of images to tell the same class from different ones."
        } @else {
            "A classifier, trained to name the class of each image."
        }
    }
}

/// What a reader must know before the figures.
fn notes(report: &Report) -> Vec<String> {
    let Summary { interrupted, steps, adapter, .. } = report.summary;
    let mut notes = Vec::new();
    if *interrupted {
        let steps = number::counted(*steps as usize, "step");
        notes.push(format!("The run was interrupted after {steps}; the page shows what there was by then."));
    }
    if adapter.software {
        notes.push(
            "It ran on a software adapter, a processor that acts as a GPU: the figures are right, \
             the times say nothing about a GPU."
                .into(),
        );
    }
    notes.extend(report.dataset.warnings.iter().cloned());
    notes
}

/// The figures that a reader looks for first.
fn headline(report: &Report) -> Markup {
    let summary = report.summary;
    let [.., test] = summary.accuracies();
    let test = match test {
        Some(accuracy) => {
            let of = match (summary.measure, summary.test_oneshot_standard_error) {
                (Measure::Pairs, _) => {
                    format!("of {} told apart rightly", number::counted(report.test_pairs.len(), "test pair"))
                }
                (Measure::Classes, _) => "of the test images named rightly".into(),
                (Measure::Tasks, error) => {
                    let tasks = report.tasks.map_or(0, |(tasks, _)| tasks.list.len());
                    let error = error.map_or(String::new(), |error| format!(", ± {error:.2}"));
                    format!("of {} right{error}", number::counted(tasks, "task"))
                }
            };
            (number::percent(accuracy), of)
        }
        None => ("none".into(), report.untested().into()),
    };
    let best = match report.best() {
        Some(best) => (
            format!("{} of {}", summary.best_epoch, summary.epochs),
            format!("{} of validation {}", number::percent(best.val_accuracy), summary.measure.counted()),
        ),
        None => ("none".into(), "no epoch was completed".into()),
    };
    let time = match summary.epochs {
        0 => ("none".into(), "no epoch was completed".into()),
        epochs => (
            number::seconds(summary.seconds_per_epoch),
            format!("training alone, mean of {}", number::counted(epochs as usize, "epoch")),
        ),
    };
    let software = if summary.adapter.software { ", software" } else { "" };
    let adapter = (
        summary.adapter.name.clone(),
        format!("{}, {}{software}", summary.adapter.backend, summary.adapter.driver),
    );
    let told =
        [(report.test_name(), test), ("Best epoch", best), ("Seconds per epoch", time), ("Adapter", adapter)];
    tiles(told)
}

/// Figures with their names and a detail each.
fn tiles(told: [(&str, (String, String)); 4]) -> Markup {
    markup! {
        dl.headline {
            @for (name, (value, detail)) in told {
                div {
                    dt { (name) }
                    dd.value.long[value.chars().count() > LONG] { (value) }
                    dd.detail { (detail) }
                }
            }
        }
    }
}
