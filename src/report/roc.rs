//! The ROC curve of the test pairs.

use std::fmt::Write;

use maud::{Markup, html};

use super::curves::px;
use super::number;
use crate::eval::Roc;

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = HEIGHT - 42.0;

/// Points of the curve that lie nearer than this to the last one drawn are left out.
const NEAR: f64 = 0.4;

pub fn figure(roc: &Roc) -> Markup {
    let figures = roc.figures();
    // Rates below the smallest that so many pairs can have are drawn at the left edge.
    let decades = (roc.different as f64).log10().ceil().clamp(1.0, 6.0);
    let x = |rate: f64| LEFT + (RIGHT - LEFT) * (1.0 + rate.log10().max(-decades) / decades);
    let y = |rate: f64| BOTTOM + (TOP - BOTTOM) * rate;
    let mut path = String::new();
    let mut last = [f64::NEG_INFINITY; 2];
    for (at, point) in roc.points.iter().enumerate() {
        let place = [
            x(point.accepted_different as f64 / roc.different as f64),
            y(point.accepted_same as f64 / roc.same as f64),
        ];
        let near = (place[0] - last[0]).abs() < NEAR && (place[1] - last[1]).abs() < NEAR;
        if !near || at + 1 == roc.points.len() {
            // Writing to a string cannot fail.
            let _ =
                write!(path, "{}{} {}", if path.is_empty() { 'M' } else { 'L' }, px(place[0]), px(place[1]));
            last = place;
        }
    }
    html! {
        figure {
            h3 { "ROC curve" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="ROC curve of the test pairs" {
                text.name x="0" y="12" { "same pairs accepted, %" }
                @for tick in 0..=5 {
                    @let rate = f64::from(tick) / 5.0;
                    line.grid x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y(rate))) y2=(px(y(rate))) {}
                    text.tick x=(px(LEFT - 7.0)) y=(px(y(rate) + 4.0)) text-anchor="end" { (tick * 20) }
                }
                line.edge x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(BOTTOM)) y2=(px(BOTTOM)) {}
                @for decade in 0..=decades as i32 {
                    @let at = x(10f64.powi(-decade));
                    line.edge x1=(px(at)) x2=(px(at)) y1=(px(BOTTOM)) y2=(px(BOTTOM + 4.0)) {}
                    text.tick x=(px(at)) y=(px(BOTTOM + 18.0)) text-anchor="middle" {
                        (format!("{}", 10f64.powi(2 - decade)))
                    }
                }
                text.name x=(px((LEFT + RIGHT) / 2.0)) y=(px(HEIGHT - 4.0)) text-anchor="middle" {
                    "different pairs accepted, %"
                }
                path.training d=(path) {}
            }
            figcaption {
                "Area under the curve " (format!("{:.5}", figures.roc_auc)) ", equal error rate "
                (number::percent(figures.eer)) ". Same pairs accepted where one in 10, 100 or 1,000 different ones is: "
                (number::percent(figures.tar_at_far.tenth)) ", " (number::percent(figures.tar_at_far.hundredth))
                ", " (number::percent(figures.tar_at_far.thousandth)) "."
            }
        }
    }
}
