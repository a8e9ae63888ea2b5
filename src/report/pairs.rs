//! Pairs as pictures.

use maud::{Markup, html};

use super::{Report, THRESHOLD, called_same, number, picture};
use crate::data::Pair;
use crate::data::augment::warped;
use crate::eval::Score;

/// How many training pairs and test pairs are shown: whole rows of 8, 6, 4 or 3.
const SHOWN: usize = 24;
/// How many augmented images are shown: a row or two.
const AUGMENTED: usize = 8;
/// How many mistakes of each kind are shown.
const MISTAKES: usize = 12;

/// Widest picture on the page, in CSS pixels.
const WIDEST: usize = 64;

/// The first training pairs, as the network met them.
pub fn training(report: &Report) -> Markup {
    let pairs = &report.training_pairs[..report.training_pairs.len().min(SHOWN)];
    html! {
        section {
            h2 { "Training pairs" }
            @if pairs.is_empty() {
                p { "No training pairs were recorded." }
            } @else {
                p {
                    "The first " (pairs.len()) " of " (number::counted(report.training_pairs.len(), "pair"))
                    " of an epoch. POS: both images are of one class. NEG: they are of different classes."
                }
                ul.pairs style=(style(report)) {
                    @for pair in pairs {
                        (card(report, pair, false, html! {
                            @if pair.same { span.tag.pos { "POS" } } @else { span.tag.neg { "NEG" } }
                        }))
                    }
                }
            }
        }
    }
}

/// Training images as they are stored, beside what the network met in the first epoch.
pub fn augmented(report: &Report) -> Markup {
    let Some(augment) = report.augment.filter(|_| !report.images.is_empty()) else { return html! {} };
    let shown = report.images.iter().copied().take(AUGMENTED).enumerate();
    let met = |number: usize, image: u32| {
        let matrix = augment.matrix(report.summary.seed, 1, number as u64);
        let stored = report.dataset.image(image as usize)?;
        picture::uri(report.dataset.shape, &warped(report.dataset.shape, stored, &matrix))
    };
    let (width, height) = size(report);
    html! {
        section {
            h2 { "Augmented images" }
            p {
                "The first images as they are stored (left) and as they were trained on in the first epoch "
                "(right): " code { (augment) } ". Every epoch draws anew; images of validation and test "
                "stay as they are."
            }
            ul.pairs style=(style(report)) {
                @for (number, index) in shown {
                    li {
                        div.images {
                            (image(report, index))
                            @if let Some(uri) = met(number, index) {
                                img src=(uri) width=(width) height=(height)
                                    alt=(format!("{}, image {}, augmented", class(report, index), index));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first test pairs with their similarity above.
pub fn tested(report: &Report) -> Markup {
    let shown = report.tested().count().min(SHOWN);
    html! {
        section {
            h2 { "Test pairs" }
            @if shown == 0 {
                p {
                    "Not measured: " (report.untested()) ". "
                    "So similarities, mistakes and their histogram are missing."
                }
            } @else {
                p {
                    "The first " (shown) " of " (number::counted(report.test_pairs.len(), "pair"))
                    ", images that training never saw, with their similarity: near 1 for the same class, near "
                    "0 for different ones. The threshold is " (THRESHOLD) "."
                }
                ul.pairs style=(style(report)) {
                    @for (pair, score) in report.tested().take(SHOWN) {
                        @let wrong = called_same(score, THRESHOLD) != pair.same;
                        (card(report, pair, wrong, html! {
                            strong { (similarity(score)) }
                            @if wrong { span.verdict.wrong { "✗ wrong" } } @else { span.verdict { "✓ right" } }
                        }))
                    }
                }
            }
        }
    }
}

/// The mistakes of which the network was surest: false "same", false "different".
pub fn mistakes(report: &Report) -> Markup {
    if report.tested().next().is_none() {
        return html! {};
    }
    let mut false_same = wrong(report, false);
    false_same.sort_by(|(a, x), (b, y)| y.1.similarity.total_cmp(&x.1.similarity).then(a.cmp(b)));
    let mut false_different = wrong(report, true);
    false_different.sort_by(|(a, x), (b, y)| x.1.similarity.total_cmp(&y.1.similarity).then(a.cmp(b)));
    html! {
        section {
            h2 { "Most confident mistakes" }
            div.columns {
                (mistaken(report, "Called the same, but different", &false_same, false))
                (mistaken(report, "Called different, but the same", &false_different, true))
            }
        }
    }
}

/// A test pair with its place in the list.
type Tested<'a> = (usize, (&'a Pair, &'a Score));

/// Pairs that are the same, or not, and were called the opposite.
fn wrong<'a>(report: &'a Report, same: bool) -> Vec<Tested<'a>> {
    let is_wrong =
        |(pair, score): (&Pair, &Score)| pair.same == same && called_same(score, THRESHOLD) != pair.same;
    report.tested().enumerate().filter(|(_, tested)| is_wrong(*tested)).collect()
}

fn mistaken(report: &Report, title: &str, wrong: &[Tested], same: bool) -> Markup {
    let all = report.tested().filter(|(pair, _)| pair.same == same).count();
    let kind = if same { "same pair" } else { "different pair" };
    html! {
        div {
            h3 { (title) }
            p.caption {
                (number::grouped(wrong.len() as u64)) " of " (number::counted(all, kind))
                @if wrong.len() > MISTAKES {
                    ". The " (MISTAKES) @if same { " least" } @else { " most" } " similar:"
                } @else {
                    "."
                }
            }
            @if !wrong.is_empty() {
                ul.pairs style=(style(report)) {
                    @for (_, (pair, score)) in wrong.iter().take(MISTAKES) {
                        (card(report, pair, false, html! { strong { (similarity(score)) } }))
                    }
                }
            }
        }
    }
}

fn similarity(score: &Score) -> String {
    format!("{:.3}", score.similarity)
}

/// Two pictures, a line above them and their classes below.
fn card(report: &Report, pair: &Pair, wrong: bool, above: Markup) -> Markup {
    let (a, b) = (class(report, pair.a), class(report, pair.b));
    html! {
        li {
            div.above { (above) }
            div.images.wrong[wrong] { (image(report, pair.a)) (image(report, pair.b)) }
            div.classes { @if pair.same { "both " (a) } @else { (a) " and " (b) } }
        }
    }
}

/// Width and height of a picture on the page: a whole multiple of its own where it is small, so that
/// every pixel is a square of the same size.
fn size(report: &Report) -> (usize, usize) {
    let shape = report.dataset.shape;
    match WIDEST / shape.width.max(1) {
        0 => (WIDEST, WIDEST * shape.height / shape.width),
        times => (times * shape.width, times * shape.height),
    }
}

fn style(report: &Report) -> String {
    format!("--image: {}px", size(report).0)
}

fn image(report: &Report, index: u32) -> Markup {
    let (width, height) = size(report);
    html! {
        @match picture::data_uri(report.dataset, index) {
            Some(uri) => {
                img src=(uri) width=(width) height=(height)
                    alt=(format!("{}, image {index}", class(report, index)));
            }
            None => span.missing { "no image " (index) },
        }
    }
}

/// The name of an image's class, without the folders that all classes share.
fn class<'a>(report: &'a Report, image: u32) -> &'a str {
    let classes = &report.dataset.classes;
    let label = report.dataset.labels.get(image as usize);
    let Some(name) = label.and_then(|&label| classes.get(label as usize)) else { return "unknown" };
    let folder = &name[..name.rfind('/').map_or(0, |slash| slash + 1)];
    if classes.iter().all(|class| class.starts_with(folder)) { &name[folder.len()..] } else { name }
}
