//! Loss and accuracy by epoch, training beside validation.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::Axis;
use super::{Report, number};
use crate::train::{EpochMetrics, Measure};

pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 270.0;
/// Edges of the area that holds the lines.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = HEIGHT - 42.0;

/// More points than these hide the line that they mark.
const MOST_MARKS: usize = 30;

pub fn section(report: &Report) -> Markup {
    let (Some(first), Some(last)) = (report.epochs.first(), report.epochs.last()) else {
        return html! {
            section { h2 { "Learning" } p { "No epoch was completed, so there are no curves." } }
        };
    };
    let of = |value: fn(&EpochMetrics) -> f64| report.epochs.iter().map(value).collect::<Vec<f64>>();
    let epochs = Axis::epochs(first.epoch, last.epoch);
    let numbers: Vec<u64> = report.epochs.iter().map(|metrics| metrics.epoch).collect();
    let best = report.best();
    let chart = |name, unit, training: Vec<f64>, validation: Vec<f64>, values| Chart {
        name,
        unit,
        numbers: numbers.clone(),
        training,
        validation,
        bands: Vec::new(),
        epochs: epochs.clone(),
        values,
        best: best.map(|best| best.epoch),
    };
    // Distances to no loss at all must be comparable by eye; accuracies cannot all start at 0.
    let loss = |name, unit, training: Vec<f64>, validation: Vec<f64>| {
        let (_, highest) = range(training.iter().chain(&validation).copied());
        let highest = if highest > 0.0 { highest } else { 1.0 };
        chart(name, unit, training, validation, Axis::around(0.0, highest))
    };
    // Less than a point between the edges would make mountains of nothing.
    let accuracy = |name, unit, training: Vec<f64>, validation: Vec<f64>| {
        let (low, high) = range(training.iter().chain(&validation).copied());
        chart(name, unit, training, validation, Axis::around(low.min(high - 1.0).max(0.0), high))
    };
    let (train_loss, val_loss) = (of(|metrics| metrics.train_loss), of(|metrics| metrics.val_loss));
    let (train, val) = (of(|metrics| metrics.train_accuracy), of(|metrics| metrics.val_accuracy));
    let measure = report.summary.measure;
    let (accuracies, losses) = match measure {
        // Pairs and tasks are different measures, and never share axes.
        Measure::Tasks => (
            vec![
                accuracy("One-shot accuracy", "% of tasks", vec![], val),
                accuracy("Training accuracy", "% of pairs", train, vec![]),
            ],
            vec![
                loss("Loss of tasks", "mean over tasks", vec![], val_loss),
                loss("Training loss", "mean over pairs", train_loss, vec![]),
            ],
        ),
        Measure::Pairs => (
            vec![accuracy("Accuracy", "% of pairs", train, val)],
            vec![loss("Loss", "mean over pairs", train_loss, val_loss)],
        ),
        Measure::Classes => (
            vec![accuracy("Accuracy", "% of images", train, val)],
            vec![loss("Loss", "mean over images", train_loss, val_loss)],
        ),
    };
    html! {
        section {
            h2 { "Learning" }
            div.columns {
                @for chart in &losses { (chart.figure(|value| format!("{value:.4}"))) }
                @for chart in &accuracies { (chart.figure(number::percent)) }
            }
            @if best.is_some() {
                p.caption {
                    "The best epoch is the one with the highest validation accuracy; of several, that with "
                    "the lower validation loss. Its weights are the ones tested."
                }
            }
        }
    }
}

/// Smallest and largest of the finite values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

pub(super) struct Chart {
    pub name: &'static str,
    pub unit: &'static str,
    /// Numbers of the epochs.
    pub numbers: Vec<u64>,
    pub training: Vec<f64>,
    pub validation: Vec<f64>,
    /// Lowest and highest value of each epoch, where a line is the mean of several runs; by class.
    pub bands: Vec<(&'static str, Vec<[f64; 2]>)>,
    pub epochs: Axis,
    pub values: Axis,
    /// The epoch to mark.
    pub best: Option<u64>,
}

impl Chart {
    fn figure(&self, text: fn(f64) -> String) -> Markup {
        let id = self.name.to_lowercase().replace(' ', "-");
        let description = self.description(text);
        html! {
            figure {
                h3 { (self.name) " by epoch" }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                    aria-labelledby=(format!("{id}-title {id}-description")) {
                    title id=(format!("{id}-title")) {
                        (self.name) " by epoch" @if self.lines().len() > 1 { ", training and validation" }
                    }
                    desc id=(format!("{id}-description")) { (description) }
                    (self.drawing(text))
                }
                figcaption { (description) }
            }
        }
    }

    /// What stands in the chart's area, [`WIDTH`] by [`HEIGHT`].
    pub fn drawing(&self, text: fn(f64) -> String) -> Markup {
        html! {
            (self.frame())
            @for (class, band) in &self.bands { (self.band(class, band)) }
            (self.best_mark())
            (self.line("training", &self.training, text))
            (self.line("validation", &self.validation, text))
        }
    }

    /// An area from the lowest values to the highest.
    fn band(&self, class: &str, band: &[[f64; 2]]) -> Markup {
        let place = |(&number, values): (&u64, &[f64; 2]), which: usize| {
            format!("{} {}", px(self.x(number as f64)), px(self.y(values[which])))
        };
        let points =
            || self.numbers.iter().zip(band).filter(|(_, values)| values.iter().all(|v| v.is_finite()));
        let there = points().map(|point| place(point, 0));
        let back = points().rev().map(|point| place(point, 1));
        let path: Vec<String> = there.chain(back).collect();
        html! { @if !path.is_empty() { path.band.(class) d=(format!("M{}Z", path.join("L"))) {} } }
    }

    /// The chart in words.
    fn description(&self, text: fn(f64) -> String) -> String {
        let ends = |values: &[f64]| match values {
            [first, .., last] => format!("from {} to {}", text(*first), text(*last)),
            [only] => text(*only),
            [] => "nothing".into(),
        };
        match (self.training.is_empty(), self.validation.is_empty()) {
            (false, true) => format!("Training {}.", ends(&self.training)),
            (true, false) => format!("Validation {}.", ends(&self.validation)),
            _ => format!("Training {}, validation {}.", ends(&self.training), ends(&self.validation)),
        }
    }

    /// Those of the two lines that the chart has.
    fn lines(&self) -> Vec<&'static str> {
        let lines = [("training", &self.training), ("validation", &self.validation)];
        lines.iter().filter(|(_, values)| !values.is_empty()).map(|(class, _)| *class).collect()
    }

    fn x(&self, epoch: f64) -> f64 {
        self.epochs.place(epoch, LEFT + 6.0, RIGHT - 6.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.values.place(value, BOTTOM, TOP)
    }

    /// Legend, grid and axes.
    fn frame(&self) -> Markup {
        let key = RIGHT - 172.0;
        html! {
            text.name x="0" y="12" { (self.name) ", " (self.unit) }
            @for (class, x) in self.lines().into_iter().zip([key, key + 84.0]) {
                line.(class) x1=(px(x)) x2=(px(x + 24.0)) y1="8" y2="8" {}
                (mark(class, x + 12.0, 8.0, None))
                text x=(px(x + 29.0)) y="12" { (class) }
            }
            @for &tick in &self.values.ticks {
                line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(self.y(tick))) y2=(px(self.y(tick))) {}
                text.tick x=(px(LEFT - 7.0)) y=(px(self.y(tick) + 4.0)) text-anchor="end" {
                    (self.values.text(tick))
                }
            }
            line.edge x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(BOTTOM)) y2=(px(BOTTOM)) {}
            @for &tick in &self.epochs.ticks {
                line.edge x1=(px(self.x(tick))) x2=(px(self.x(tick))) y1=(px(BOTTOM)) y2=(px(BOTTOM + 4.0)) {}
                text.tick x=(px(self.x(tick))) y=(px(BOTTOM + 18.0)) text-anchor="middle" {
                    (self.epochs.text(tick))
                }
            }
            text.name x=(px((LEFT + RIGHT) / 2.0)) y=(px(HEIGHT - 4.0)) text-anchor="middle" { "epoch" }
        }
    }

    fn best_mark(&self) -> Markup {
        let Some(best) = self.best else { return html! {} };
        let x = self.x(best as f64);
        // Room for its words on the side where there is some.
        let anchor = match (x - LEFT) / (RIGHT - LEFT) {
            share if share < 0.2 => "start",
            share if share > 0.8 => "end",
            _ => "middle",
        };
        html! {
            line.best x1=(px(x)) x2=(px(x)) y1=(px(TOP - 6.0)) y2=(px(BOTTOM)) {}
            text.tick x=(px(x)) y=(px(TOP - 11.0)) text-anchor=(anchor) { "best epoch " (best) }
        }
    }

    fn line(&self, class: &'static str, values: &[f64], text: fn(f64) -> String) -> Markup {
        let points: Vec<(u64, f64)> =
            self.numbers.iter().copied().zip(values.iter().copied()).filter(|(_, v)| v.is_finite()).collect();
        let mut path = String::new();
        for (index, &(epoch, value)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{} {}", px(self.x(epoch as f64)), px(self.y(value)));
        }
        html! {
            @if points.len() > 1 { path.(class) d=(path) {} }
            @if points.len() <= MOST_MARKS {
                @for &(epoch, value) in &points {
                    (mark(class, self.x(epoch as f64), self.y(value),
                        Some(format!("{class}, epoch {epoch}: {}", text(value)))))
                }
            }
        }
    }
}

/// A point: full and round for training, hollow and square for validation.
fn mark(class: &str, x: f64, y: f64, words: Option<String>) -> Markup {
    html! {
        @if class == "training" {
            circle.mark.(class) cx=(px(x)) cy=(px(y)) r="3.4" { @if let Some(words) = words { title { (words) } } }
        } @else {
            rect.mark.(class) x=(px(x - 3.1)) y=(px(y - 3.1)) width="6.2" height="6.2" {
                @if let Some(words) = words { title { (words) } }
            }
        }
    }
}

/// A length or position in a drawing, in its units.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}
