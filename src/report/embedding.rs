//! Where the network puts the test images: its embedding, flattened to two dimensions.

use std::fmt::Write;

use maud::{Markup, html};

use super::axis::px;
use super::{Report, number, tables};
use crate::data::Dataset;
use crate::eval::Projection;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 420.0;
/// Room around the points, for their names.
const MARGIN: f64 = 28.0;

/// More points hide each other.
const MOST_POINTS: usize = 2000;

/// Colours that are told apart on light and on dark, for the first ten classes.
const COLOURS: [&str; 10] = [
    "#4477c9", "#e07b1a", "#3a9a4b", "#cf3d3e", "#8d62b8", "#8c6153", "#d065ad", "#7b7f86", "#a9a62a",
    "#1fa3b5",
];

pub fn section(report: &Report) -> Markup {
    let Some(projection) = report.projection else { return html! {} };
    let shown = projection.points.len().min(MOST_POINTS);
    html! {
        section {
            h2 { "Embedding of the test images" }
            div.columns {
                figure {
                    h3 { "Principal components (PCA)" }
                    (drawing(report.dataset, projection))
                    figcaption {
                        @if shown < projection.points.len() {
                            "The first " (number::grouped(shown as u64)) " of "
                        }
                        (number::counted(projection.points.len(), "test image"))
                        ", coloured by class, on the two directions in which embeddings vary most. They have "
                        (number::percent(100.0 * projection.shares[0])) " and "
                        (number::percent(100.0 * projection.shares[1])) " of the variance; the rest is not seen here."
                    }
                }
                div {
                    h3 { "Classes told by the embedding" }
                    (tables::list(&[
                        ("By the nearest centroid", share(report.summary.class_accuracy_centroid)),
                        ("By the five nearest neighbours", share(report.summary.class_accuracy_knn)),
                    ]))
                    p.caption {
                        "Share of the test images whose class is told by where they lie among the embeddings of the "
                        "training images. Another measure than the accuracy of pairs: the two do not compare."
                    }
                }
            }
        }
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or("none".into(), number::percent)
}

fn drawing(dataset: &Dataset, projection: &Projection) -> Markup {
    let points = &projection.points[..projection.points.len().min(MOST_POINTS)];
    // One scale for both directions: distances are what the picture is about.
    let low = [0, 1].map(|axis| points.iter().map(|point| point[axis]).fold(f64::INFINITY, f64::min));
    let high = [0, 1].map(|axis| points.iter().map(|point| point[axis]).fold(f64::NEG_INFINITY, f64::max));
    let size = [WIDTH - 2.0 * MARGIN, HEIGHT - 2.0 * MARGIN];
    let scale =
        [0, 1].map(|axis| size[axis] / (high[axis] - low[axis]).max(1e-12)).into_iter().fold(1e12, f64::min);
    let x = |value: f64| WIDTH / 2.0 + scale * (value - (low[0] + high[0]) / 2.0);
    let y = |value: f64| HEIGHT / 2.0 - scale * (value - (low[1] + high[1]) / 2.0);
    let class = |label: usize| -> (String, Option<[f64; 2]>) {
        let (mut path, mut sum, mut count) = (String::new(), [0.0; 2], 0.0);
        for (point, _) in points.iter().zip(&projection.labels).filter(|(_, of)| **of as usize == label) {
            // Writing to a string cannot fail. A stroke of no length with round ends is a dot.
            let _ = write!(path, "M{} {}h0", px(x(point[0])), px(y(point[1])));
            sum = [sum[0] + x(point[0]), sum[1] + y(point[1])];
            count += 1.0;
        }
        (path, (count > 0.0).then(|| sum.map(|sum| sum / count)))
    };
    let classes: Vec<_> = (0..dataset.classes.len()).map(|label| (label, class(label))).collect();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="Embeddings of test images by class" {
            @for (label, (path, _)) in &classes {
                @if !path.is_empty() { path.dots stroke=(colour(*label)) d=(path) {} }
            }
            @for (label, (_, centre)) in &classes {
                @if let Some([x, y]) = centre {
                    text.over x=(px(*x)) y=(px(y + 4.0)) text-anchor="middle" { (short(&dataset.classes, *label)) }
                }
            }
        }
    }
}

fn colour(label: usize) -> String {
    match COLOURS.get(label) {
        Some(colour) => (*colour).into(),
        // The golden angle: neighbours differ.
        None => format!("hsl({:.0} 60% 50%)", (label as f64 * 137.5) % 360.0),
    }
}

/// The name of a class without the folders before it.
fn short(classes: &[String], label: usize) -> &str {
    let name = &classes[label];
    name.rsplit('/').next().unwrap_or(name)
}
