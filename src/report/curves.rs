//! Loss and accuracy by epoch, training beside validation.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::{Area, Axis, px};
use super::results::Spread;
use super::{Report, number};
use crate::train::{EpochMetrics, Measure};

pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 270.0;
const AREA: Area = Area { left: 44.0, right: WIDTH - 12.0, top: 48.0, bottom: HEIGHT - 42.0 };

/// More points than these hide the line that they mark.
const MOST_MARKS: usize = 30;

pub fn section(report: &Report) -> Markup {
    if report.epochs.is_empty() {
        return html! {
            section { h2 { "Learning" } p { "No epoch was completed, so there are no curves." } }
        };
    }
    let best = report.best().map(|best| best.epoch);
    html! {
        section {
            h2 { "Learning" }
            div.columns {
                @for chart in charts(&[report.epochs], best).iter().flatten() { (chart.figure()) }
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

type Value = fn(&EpochMetrics) -> f64;

/// The losses by epoch, then the accuracies: of a run, or the means of one for each seed. Epochs that some seed has
/// not are left out: a mean of fewer would jump.
pub(super) fn charts(seeds: &[&[EpochMetrics]], best: Option<u64>) -> [Vec<Chart>; 2] {
    let last = seeds.iter().flat_map(|epochs| epochs.last()).map(|epoch| epoch.epoch).max().unwrap_or(1);
    let by_epoch = |number: u64| -> Option<Vec<&EpochMetrics>> {
        seeds.iter().map(|seed| seed.iter().find(|epoch| epoch.epoch == number)).collect()
    };
    let epochs: Vec<(u64, Vec<&EpochMetrics>)> =
        (1..=last).filter_map(|number| Some((number, by_epoch(number)?))).collect();
    let chart = |name, unit, lines: [Option<Value>; 2], is_loss: bool| {
        let [training, validation] = lines.map(|value| {
            let spread = |value: Value| {
                epochs.iter().filter_map(move |(_, of)| {
                    Spread::of(&of.iter().map(|epoch| value(epoch)).collect::<Vec<f64>>())
                })
            };
            value.into_iter().flat_map(spread).collect::<Vec<Spread>>()
        });
        let all = training.iter().chain(&validation);
        let (low, high) = range(all.flat_map(|spread| [spread.low, spread.high]));
        let values = match is_loss {
            // Distances to no loss at all must be comparable by eye; accuracies cannot all start at 0.
            true => Axis::around(0.0, if high > 0.0 { high } else { 1.0 }),
            // Less than a point between the edges would make mountains of nothing.
            false => Axis::around(low.min(high - 1.0).max(0.0), high),
        };
        Chart {
            name,
            unit,
            numbers: epochs.iter().map(|(number, _)| *number).collect(),
            training,
            validation,
            epochs: Axis::epochs(1, last),
            values,
            best,
            text: if is_loss { |value| format!("{value:.4}") } else { number::percent },
        }
    };
    let loss = |name, unit, lines| chart(name, unit, lines, true);
    let accuracy = |name, unit, lines| chart(name, unit, lines, false);
    let losses: [Value; 2] = [|epoch| epoch.train_loss, |epoch| epoch.val_loss];
    let accuracies: [Value; 2] = [|epoch| epoch.train_accuracy, |epoch| epoch.val_accuracy];
    let measure = seeds.iter().flat_map(|epochs| epochs.first()).map(|epoch| epoch.measure).next();
    let units = match measure {
        // Training counts pairs, validation tasks: different measures, which never share axes.
        Some(Measure::Tasks) => {
            let training = |[training, _]: [Value; 2]| [Some(training), None];
            let validation = |[_, validation]: [Value; 2]| [None, Some(validation)];
            return [
                vec![
                    loss("Loss of tasks", "mean over tasks", validation(losses)),
                    loss("Training loss", "mean over pairs", training(losses)),
                ],
                vec![
                    accuracy("One-shot accuracy", "% of tasks", validation(accuracies)),
                    accuracy("Training accuracy", "% of pairs", training(accuracies)),
                ],
            ];
        }
        Some(Measure::Classes) => ["mean over images", "% of images"],
        Some(Measure::Pairs) | None => ["mean over pairs", "% of pairs"],
    };
    [
        vec![loss("Loss", units[0], losses.map(Some))],
        vec![accuracy("Accuracy", units[1], accuracies.map(Some))],
    ]
}

/// Smallest and largest of the finite values.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

pub(super) struct Chart {
    name: &'static str,
    unit: &'static str,
    /// Numbers of the epochs.
    numbers: Vec<u64>,
    /// One for each epoch, or none at all.
    training: Vec<Spread>,
    validation: Vec<Spread>,
    epochs: Axis,
    values: Axis,
    /// The epoch to mark.
    best: Option<u64>,
    text: fn(f64) -> String,
}

impl Chart {
    fn figure(&self) -> Markup {
        let id = self.name.to_lowercase().replace(' ', "-");
        let description = self.description();
        html! {
            figure {
                h3 { (self.name) " by epoch" }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                    aria-labelledby=(format!("{id}-title {id}-description")) {
                    title id=(format!("{id}-title")) {
                        (self.name) " by epoch" @if self.lines().count() > 1 { ", training and validation" }
                    }
                    desc id=(format!("{id}-description")) { (description) }
                    (self.drawing())
                }
                figcaption { (description) }
            }
        }
    }

    /// What stands in the chart's area, [`WIDTH`] by [`HEIGHT`].
    pub fn drawing(&self) -> Markup {
        html! {
            (self.frame())
            @for (class, line) in self.lines() { (self.band(class, line)) }
            (self.best_mark())
            @for (class, line) in self.lines() { (self.line(class, line)) }
        }
    }

    /// Those of the two lines that the chart has.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &[Spread])> {
        let lines = [("training", &self.training[..]), ("validation", &self.validation)];
        lines.into_iter().filter(|(_, line)| !line.is_empty())
    }

    /// The chart in words.
    fn description(&self) -> String {
        let text = |spread: &Spread| (self.text)(spread.mean);
        let ends = |(class, line): (&str, &[Spread])| match line {
            [first, .., last] => format!("{class} from {} to {}", text(first), text(last)),
            line => format!("{class} {}", line.iter().map(text).collect::<String>()),
        };
        let words = self.lines().map(ends).collect::<Vec<_>>().join(", ");
        words.split_at_checked(1).map_or(String::new(), |(first, rest)| first.to_uppercase() + rest + ".")
    }

    fn x(&self, epoch: u64) -> f64 {
        self.epochs.place(epoch as f64, AREA.left + 6.0, AREA.right - 6.0)
    }

    fn y(&self, value: f64) -> f64 {
        AREA.y(&self.values, value)
    }

    /// Legend, grid and axes.
    fn frame(&self) -> Markup {
        let key = AREA.right - 172.0;
        html! {
            text.name x="0" y="12" { (self.name) ", " (self.unit) }
            @for ((class, _), x) in self.lines().zip([key, key + 84.0]) {
                line.(class) x1=(px(x)) x2=(px(x + 24.0)) y1="8" y2="8" {}
                (mark(class, x + 12.0, 8.0, None))
                text x=(px(x + 29.0)) y="12" { (class) }
            }
            (AREA.values(&self.values))
            (AREA.columns(self.epochs.ticks.iter().map(|&tick| (self.x(tick as u64), self.epochs.text(tick))), "epoch"))
        }
    }

    fn best_mark(&self) -> Markup {
        let Some(best) = self.best else { return html! {} };
        let x = self.x(best);
        // Room for its words on the side where there is some.
        let anchor = match (x - AREA.left) / (AREA.right - AREA.left) {
            share if share < 0.2 => "start",
            share if share > 0.8 => "end",
            _ => "middle",
        };
        html! {
            line.best x1=(px(x)) x2=(px(x)) y1=(px(AREA.top - 6.0)) y2=(px(AREA.bottom)) {}
            text.tick x=(px(x)) y=(px(AREA.top - 11.0)) text-anchor=(anchor) { "best epoch " (best) }
        }
    }

    /// Of several seeds, the area from their lowest values to their highest.
    fn band(&self, class: &str, line: &[Spread]) -> Markup {
        let points = || {
            self.numbers.iter().zip(line).filter(|(_, spread)| spread.deviation.is_some_and(f64::is_finite))
        };
        let place = |number: u64, value: f64| format!("{} {}", px(self.x(number)), px(self.y(value)));
        let there = points().map(|(&number, spread)| place(number, spread.low));
        let back = points().rev().map(|(&number, spread)| place(number, spread.high));
        let path: Vec<String> = there.chain(back).collect();
        html! { @if !path.is_empty() { path.band.(class) d=(format!("M{}Z", path.join("L"))) {} } }
    }

    fn line(&self, class: &'static str, line: &[Spread]) -> Markup {
        let means = self.numbers.iter().zip(line).map(|(&epoch, spread)| (epoch, spread.mean));
        let points: Vec<(u64, f64)> = means.filter(|(_, mean)| mean.is_finite()).collect();
        let places = points.iter().map(|&(epoch, mean)| [self.x(epoch), self.y(mean)]);
        html! {
            @if points.len() > 1 { path.(class) d=(path(places)) {} }
            @if points.len() <= MOST_MARKS {
                @for &(epoch, mean) in &points {
                    (mark(class, self.x(epoch), self.y(mean),
                        Some(format!("{class}, epoch {epoch}: {}", (self.text)(mean)))))
                }
            }
        }
    }
}

/// A line through points.
pub(super) fn path(points: impl Iterator<Item = [f64; 2]>) -> String {
    let mut path = String::new();
    for [x, y] in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{command}{} {}", px(x), px(y));
    }
    path
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
