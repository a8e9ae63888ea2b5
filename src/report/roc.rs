//! The ROC curve of the test pairs.

use maud::{Markup, html};

use super::axis::Area;
use super::curves::{HEIGHT, WIDTH, path};
use super::number;
use crate::eval::Roc;

const AREA: Area = Area { left: 44.0, right: WIDTH - 14.0, top: 30.0, bottom: HEIGHT - 42.0 };

/// Points of the curve that lie nearer than this to the last one drawn are left out.
const NEAR: f64 = 0.4;

pub fn figure(roc: &Roc) -> Markup {
    let figures = roc.figures();
    // Rates below the smallest that so many pairs can have are drawn at the left edge.
    let decades = (roc.different as f64).log10().ceil().clamp(1.0, 6.0);
    let x = |rate: f64| AREA.right + (AREA.right - AREA.left) * rate.log10().max(-decades) / decades;
    let y = |rate: f64| AREA.bottom + (AREA.top - AREA.bottom) * rate;
    let mut drawn: Vec<[f64; 2]> = Vec::new();
    for (at, point) in roc.points.iter().enumerate() {
        let place = [
            x(point.accepted_different as f64 / roc.different as f64),
            y(point.accepted_same as f64 / roc.same as f64),
        ];
        let near =
            drawn.last().is_some_and(|last| (0..2).all(|axis| (place[axis] - last[axis]).abs() < NEAR));
        if !near || at + 1 == roc.points.len() {
            drawn.push(place);
        }
    }
    html! {
        figure {
            h3 { "ROC curve" }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="ROC curve of the test pairs" {
                text.name x="0" y="12" { "same pairs accepted, %" }
                (AREA.rows((0..=5).map(|tick| (y(f64::from(tick) / 5.0), (20 * tick).to_string()))))
                @let powers = (0..=decades as i32).map(|power| (x(10f64.powi(-power)), 10f64.powi(2 - power).to_string()));
                (AREA.columns(powers, "different pairs accepted, %"))
                path.training d=(path(drawn.into_iter())) {}
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
