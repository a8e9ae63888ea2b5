//! How similar the network finds test pairs, by class, and what the threshold makes of it.

use maud::{Markup, html};

use super::axis::{Area, px};
use super::{Report, THRESHOLD, number, roc};
use crate::eval::Roc;

const BINS: usize = 20;
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = WIDTH - 12.0;
const PANEL: f64 = 96.0;
/// Upper edges of the panels: same pairs, different pairs.
const TOPS: [f64; 2] = [52.0, 184.0];

/// Counts of similarities from 0 to 1, in bins of which none has the threshold inside.
#[derive(Debug, PartialEq)]
struct Bins {
    /// Bounds of each bin and how many pairs lie in it.
    bins: Vec<(f64, f64, usize)>,
    /// How many of the bins are at or below the threshold.
    below: usize,
}

impl Bins {
    fn new(similarities: impl Iterator<Item = f32>, threshold: f64) -> Self {
        let threshold = threshold.clamp(0.0, 1.0);
        let below = ((threshold * BINS as f64).round() as usize).clamp(1, BINS - 1);
        let above = BINS - below;
        let bound = |bin: usize| match bin.checked_sub(below) {
            None => threshold * bin as f64 / below as f64,
            Some(bin) => threshold + (1.0 - threshold) * bin as f64 / above as f64,
        };
        let mut bins: Vec<_> = (0..BINS).map(|bin| (bound(bin), bound(bin + 1), 0)).collect();
        for similarity in similarities.map(f64::from).filter(|similarity| similarity.is_finite()) {
            let part = |share: f64, count: usize| ((share * count as f64) as usize).min(count - 1);
            let bin = if similarity > threshold {
                below + part((similarity - threshold) / (1.0 - threshold), above)
            } else {
                part(similarity / threshold, below)
            };
            bins[bin].2 += 1;
        }
        Self { bins, below }
    }

    fn total(&self) -> usize {
        self.bins.iter().map(|(_, _, count)| count).sum()
    }

    fn called_different(&self) -> usize {
        self.bins[..self.below].iter().map(|(_, _, count)| count).sum()
    }
}

pub fn section(report: &Report) -> Markup {
    if report.tested().next().is_none() {
        return html! {};
    }
    let of = |same| {
        let similarities = report.tested().filter(move |(pair, _)| pair.same == same);
        Bins::new(similarities.map(|(_, score)| score.similarity), THRESHOLD)
    };
    let (same, different) = (of(true), of(false));
    let chosen = report.summary.threshold;
    let (pairs, scores): (Vec<_>, Vec<_>) = report.tested().map(|(pair, score)| (*pair, *score)).unzip();
    let roc = Roc::of(&pairs, &scores);
    html! {
        section {
            h2 { "Similarities of the test pairs" }
            div.columns {
                figure {
                    h3 { "Histogram by class" }
                    (drawing(&same, &different, chosen))
                    figcaption {
                        "Bars count pairs. The count axis is logarithmic, or few mistakes would not show. "
                        "Hatched: the wrong side of the threshold."
                        @if chosen != THRESHOLD { " Dotted: the threshold chosen on validation pairs." }
                    }
                }
                div {
                    h3 { "What the threshold makes of it" }
                    (verdicts(&same, &different))
                    p.caption {
                        "A pair is called the same where its similarity is above " (THRESHOLD) ", as in the "
                        "paper. Validation pairs of the best epoch are told apart best at " (format!("{chosen:.3}"))
                        "; there, " (number::percent(report.test_accuracy(chosen))) " of the test pairs are right."
                    }
                    @if let Some(roc) = &roc { (roc::figure(roc)) }
                }
            }
        }
    }
}

fn verdicts(same: &Bins, different: &Bins) -> Markup {
    let count = |number: usize| number::grouped(number as u64);
    let row = |name: &str, called_same: usize, called_different: usize, wrong: usize| {
        let total = called_same + called_different;
        html! {
            tr {
                th scope="row" { (name) }
                td { (count(called_same)) }
                td { (count(called_different)) }
                td { @if total > 0 { (number::percent(100.0 * wrong as f64 / total as f64)) } @else { "none" } }
            }
        }
    };
    let (missed, kept) = (same.called_different(), different.called_different());
    html! {
        table.figures {
            thead {
                tr {
                    th scope="col" { "Pairs that are" }
                    th scope="col" { "called the same" }
                    th scope="col" { "called different" }
                    th scope="col" { "wrong" }
                }
            }
            tbody {
                (row("the same", same.total() - missed, missed, missed))
                (row("different", different.total() - kept, kept, different.total() - kept))
            }
        }
    }
}

fn drawing(same: &Bins, different: &Bins, chosen: f64) -> Markup {
    let description = format!(
        "{} of {} same pairs and {} of {} different pairs lie above the threshold of {THRESHOLD}.",
        number::grouped((same.total() - same.called_different()) as u64),
        number::grouped(same.total() as u64),
        number::grouped((different.total() - different.called_different()) as u64),
        number::grouped(different.total() as u64),
    );
    let most = same.bins.iter().chain(&different.bins).map(|(_, _, count)| *count).max().unwrap_or(0);
    let middle = x(THRESHOLD);
    let beside = x(chosen.clamp(0.0, 1.0));
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-labelledby="histogram-title histogram-description" {
            title id="histogram-title" { "Histogram of similarities: same pairs above, different pairs below" }
            desc id="histogram-description" { (description) }
            defs {
                pattern #hatch width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.wrong width="2.4" height="5" {}
                }
            }
            text.name x="0" y="12" { "Pairs (logarithmic)" }
            (panel("same pairs", same, TOPS[0], most, |above| above))
            (panel("different pairs", different, TOPS[1], most, |above| !above))
            text.tick x=(px(middle)) y=(px(TOPS[0] - 24.0)) text-anchor="middle" { "threshold " (THRESHOLD) }
            // In pieces, which leave the panels' names legible.
            line.threshold x1=(px(middle)) x2=(px(middle)) y1=(px(TOPS[0] - 18.0)) y2=(px(TOPS[0])) {}
            @for top in TOPS {
                line.threshold x1=(px(middle)) x2=(px(middle)) y1=(px(top)) y2=(px(top + PANEL)) {}
                @if chosen != THRESHOLD {
                    line.chosen x1=(px(beside)) x2=(px(beside)) y1=(px(top)) y2=(px(top + PANEL)) {}
                }
            }
            (area(TOPS[1]).columns([0.0, 0.25, 0.5, 0.75, 1.0].into_iter().map(|tick| (x(tick), tick.to_string())), "similarity"))
        }
    }
}

/// The bars of one class, which is right above the threshold or below it.
fn panel(name: &str, bins: &Bins, top: f64, most: usize, right: fn(bool) -> bool) -> Markup {
    let bottom = top + PANEL;
    // A single pair stands a little above the axis, none does not.
    let height = |count: usize| {
        let size = |count: usize| if count == 0 { 0.0 } else { (count as f64).log10() + 0.25 };
        PANEL * size(count) / size(most.max(10))
    };
    let ticks = (0..).map(|power| 10usize.pow(power)).take_while(|&tick| tick <= most.max(10));
    html! {
        text.panel x=(px(LEFT)) y=(px(top - 8.0)) { (number::grouped(bins.total() as u64)) " " (name) }
        (area(top).rows(ticks.map(|tick| (bottom - height(tick), number::grouped(tick as u64)))))
        @for (index, &(low, high, count)) in bins.bins.iter().enumerate() {
            @if count > 0 {
                rect.(if right(index >= bins.below) { "right" } else { "wrong-side" })
                    x=(px(x(low) + 1.0)) y=(px(bottom - height(count)))
                    width=(px(x(high) - x(low) - 2.0)) height=(px(height(count))) {
                    title { (format!("{low:.2} to {high:.2}: {}", number::counted(count, "pair"))) }
                }
            }
        }
    }
}

/// Of the panel at this height.
fn area(top: f64) -> Area {
    Area { left: LEFT, right: RIGHT, top, bottom: top + PANEL }
}

fn x(similarity: f64) -> f64 {
    LEFT + similarity * (RIGHT - LEFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(similarities: &[f32], threshold: f64) -> Vec<usize> {
        Bins::new(similarities.iter().copied(), threshold).bins.iter().map(|bin| bin.2).collect()
    }

    #[test]
    fn every_similarity_is_counted_where_it_lies() {
        let found = counts(&[0.0, 0.01, 0.049, 0.051, 0.449, 0.5, 0.501, 0.999, 1.0], 0.5);
        let mut expected = vec![0; BINS];
        (expected[0], expected[1], expected[8], expected[9]) = (3, 1, 1, 1);
        (expected[10], expected[19]) = (1, 2);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_similarity_at_the_threshold_is_called_different() {
        for threshold in [0.5, 0.25, 0.75] {
            let bins = Bins::new([threshold as f32, threshold as f32 + 1e-3].into_iter(), threshold);
            assert_eq!((bins.called_different(), bins.total()), (1, 2), "{threshold}");
        }
    }

    #[test]
    fn no_bin_spans_the_threshold() {
        for threshold in [0.0, 0.013, 0.31, 0.5, 0.87, 0.999, 1.0] {
            let bins = Bins::new(std::iter::empty(), threshold);
            assert_eq!((bins.bins[0].0, bins.bins[BINS - 1].1), (0.0, 1.0));
            assert!((bins.bins[bins.below].0 - threshold).abs() < 1e-12, "{bins:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert_eq!(counts(&[f32::NAN, 0.3], 0.5).iter().sum::<usize>(), 1);
    }
}
