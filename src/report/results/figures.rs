//! Drawings of an experiment, in the paper's form: each is a part of the page and a file of its own.

use maud::{Markup, PreEscaped, html};

use super::{Metric, Spread};
use crate::data::{Dataset, Pair};
use crate::report::axis::{Area, Axis, px};
use crate::report::curves;
use crate::report::{STYLE as PAGE_STYLE, picture};
use crate::train::EpochMetrics;

/// What drawings need beside the page's styles.
pub const STYLE: &str = include_str!("figures.css");

/// What is drawn, within a width and a height.
#[derive(Clone, Debug)]
pub struct Picture {
    width: f64,
    height: f64,
    /// In words.
    label: String,
    content: Markup,
}

impl Picture {
    /// As a part of a page that has the styles.
    pub fn inline(&self) -> Markup {
        let size = format!("0 0 {} {}", px(self.width), px(self.height));
        let style = format!("max-width: {}px", px(self.width * 1.2));
        html! { svg viewBox=(size) role="img" aria-label=(self.label) style=(style) { (self.content) } }
    }

    /// As a file of its own.
    pub fn file(&self) -> String {
        let size = format!("0 0 {} {}", px(self.width), px(self.height));
        html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox=(size) width=(px(self.width)) height=(px(self.height))
                font-family="system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', sans-serif" {
                title { (self.label) }
                style { (PreEscaped(PAGE_STYLE)) (PreEscaped(STYLE)) }
                rect x="0" y="0" width="100%" height="100%" fill="var(--paper)" {}
                (self.content)
            }
        }
        .into_string()
    }
}

/// Words where there is nothing to draw.
pub fn nothing(words: &str) -> Picture {
    let content = html! { text x="8" y="28" { (words) } };
    Picture { width: 420.0, height: 48.0, label: words.into(), content }
}

/// The epochs of a run, one list for each seed.
#[derive(Clone, Debug)]
pub struct Curves {
    pub label: String,
    pub seeds: Vec<Vec<EpochMetrics>>,
}

/// Between a chart and the next one, and above each for its name.
const GAP: f64 = 30.0;

/// Loss and accuracy by epoch: a line of two charts for each run. Of several seeds the line is the
/// mean and the band goes from the lowest to the highest.
pub fn curves(runs: &[Curves]) -> Picture {
    let row = curves::HEIGHT + 2.0 * GAP;
    let content = html! {
        @for (number, run) in runs.iter().enumerate() {
            @let top = number as f64 * row;
            text.head x="0" y=(px(top + 14.0)) { (run.label) @if run.seeds.len() > 1 { ", mean of " (run.seeds.len()) " seeds" } }
            @let seeds = run.seeds.iter().map(Vec::as_slice).collect::<Vec<_>>();
            @let [losses, accuracies] = curves::charts(&seeds, None);
            // Of tasks, the loss that was trained and the accuracy that was validated.
            @for (column, chart) in losses.last().into_iter().chain(accuracies.first()).enumerate() {
                g transform=(format!("translate({} {})", px(column as f64 * (curves::WIDTH + GAP)), px(top + GAP))) {
                    (chart.drawing())
                }
            }
        }
    };
    Picture {
        width: 2.0 * curves::WIDTH + GAP,
        height: row * runs.len() as f64 - GAP,
        label: "Loss and accuracy by epoch, training and validation".into(),
        content,
    }
}

/// What one setting gave, by seed, and in the paper.
#[derive(Clone, Debug)]
pub struct Group {
    pub label: String,
    pub ours: Vec<f64>,
    pub paper: Option<f64>,
}

/// A metric by setting: each seed a point, their mean a bar, the paper's figure a square.
pub fn sensitivity(metric: Metric, groups: &[Group]) -> Picture {
    const WIDTH: f64 = 560.0;
    const HEIGHT: f64 = 320.0;
    const AREA: Area = Area { left: 60.0, right: WIDTH - 12.0, top: 44.0, bottom: HEIGHT - 36.0 };
    let all = groups.iter().flat_map(|group| group.ours.iter().copied().chain(group.paper));
    let (low, high) = curves::range(all);
    let axis = Axis::around(low.min(high - 0.1), high);
    let y = |value: f64| AREA.y(&axis, value);
    let step = (AREA.right - AREA.left) / groups.len().max(1) as f64;
    let key = AREA.right - 250.0;
    let content = html! {
        text.name x="0" y="12" { (metric.heading()) }
        circle.seed cx=(px(key)) cy="8" r="4" {}
        text x=(px(key + 9.0)) y="12" { "a seed" }
        line.mean x1=(px(key + 60.0)) x2=(px(key + 84.0)) y1="8" y2="8" {}
        text x=(px(key + 89.0)) y="12" { "their mean" }
        rect.theirs x=(px(key + 166.0)) y="3" width="10" height="10" {}
        text x=(px(key + 182.0)) y="12" { "the paper" }
        (AREA.values(&axis))
        @for (number, group) in groups.iter().enumerate() {
            @let x = AREA.left + step * (number as f64 + 0.5);
            text x=(px(x)) y=(px(AREA.bottom + 22.0)) text-anchor="middle" { (group.label) }
            @if let Some(spread) = Spread::of(&group.ours) {
                line.span x1=(px(x)) x2=(px(x)) y1=(px(y(spread.low))) y2=(px(y(spread.high))) {}
                line.mean x1=(px(x - 16.0)) x2=(px(x + 16.0)) y1=(px(y(spread.mean))) y2=(px(y(spread.mean))) {}
            }
            @for &value in &group.ours {
                circle.seed cx=(px(x)) cy=(px(y(value))) r="4" { title { (group.label) ": " (metric.text(value)) } }
            }
            @if let Some(value) = group.paper {
                rect.theirs x=(px(x + 21.0)) y=(px(y(value) - 5.0)) width="10" height="10" {
                    title { (group.label) ", the paper: " (metric.text(value)) }
                }
            }
        }
    };
    Picture { width: WIDTH, height: HEIGHT, label: format!("{} by setting", metric.heading()), content }
}

/// Pairs as pictures, eight in a line, with a word above each; where it is known which of them the
/// network told rightly, mistakes are framed.
pub fn pairs(dataset: &Dataset, shown: &[(Pair, String)], right: Option<&[bool]>) -> Picture {
    const SIDE: f64 = 48.0;
    const BETWEEN: f64 = 3.0;
    const CARD: f64 = 2.0 * SIDE + BETWEEN + 14.0;
    const ROW: f64 = SIDE + 38.0;
    const COLUMNS: usize = 8;
    let rows = shown.len().div_ceil(COLUMNS).max(1);
    let content = html! {
        @for (number, (pair, words)) in shown.iter().enumerate() {
            @let x = 4.0 + CARD * (number % COLUMNS) as f64;
            @let y = ROW * (number / COLUMNS) as f64;
            @let wrong = right.is_some_and(|right| right.get(number) == Some(&false));
            text.tagged x=(px(x)) y=(px(y + 16.0)) { (words) @if wrong { " ✗" } }
            @for (side, image) in [pair.a, pair.b].into_iter().enumerate() {
                @if let Some(uri) = picture::data_uri(dataset, image) {
                    image href=(uri) x=(px(x + side as f64 * (SIDE + BETWEEN))) y=(px(y + 22.0))
                        width=(px(SIDE)) height=(px(SIDE)) {}
                }
            }
            @if wrong {
                rect.frame x=(px(x - 2.5)) y=(px(y + 19.5)) width=(px(2.0 * SIDE + BETWEEN + 5.0)) height=(px(SIDE + 5.0)) {}
            }
        }
    };
    let label = match right {
        Some(_) => "Test pairs with their similarity above",
        None => "Training pairs, POS: of one class, NEG: of two",
    };
    Picture { width: CARD * COLUMNS as f64, height: ROW * rows as f64, label: label.into(), content }
}
