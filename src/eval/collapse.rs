//! Whether a network tells anything apart: the rule by which a run is called collapsed.
//!
//! - A network is **dead** where nine in ten answers of a validation are the same but for rounding: all pairs at one
//!   distance, all images with the same logits. No fresh network is, so a run that is dead has collapsed at once.
//! - A validation is **no better than chance** where its figure (area under the ROC curve, class or task accuracy)
//!   lies less than three standard errors above what guessing gives. A run that was never better, and in which all
//!   answers lie on one side, has collapsed; one whose answers differ may still learn, and is judged at its end.
//!   Neither is said of a young run, one with fewer than [`YOUNG`] training steps behind its warm-up, nor where three
//!   standard errors are more than [`TELLING`]: so few examples tell nothing.

use super::classify::Classification;
use super::rounding::{equal, rounding};
use super::{OneShot, Roc, Score};
use crate::data::Pair;

/// Training steps before which a run is not judged by chance.
pub const YOUNG: u64 = 500;

/// Answers that must be the same for a network to be dead, and on one side to be one-sided.
const SAME: f64 = 0.9;
const ONE_SIDE: f64 = 0.999;

/// Standard errors above chance that are no accident.
const ERRORS: f64 = 3.0;
/// More than this above chance is needed of no network before it is judged.
const TELLING: f64 = 0.1;

/// What a validation shows of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Nearly all answers are the same but for rounding.
    pub dead: bool,
    /// Nearly all answers lie on one side: same, different, or one class.
    pub one_sided: bool,
    pub better_than_chance: bool,
    /// The same in words.
    pub seen: String,
}

impl Answered {
    /// Of scored pairs; `features` are the values of an embedding.
    pub fn of_pairs(pairs: &[Pair], scores: &[Score], features: usize) -> Self {
        let mut distances: Vec<f64> = scores.iter().map(|score| f64::from(score.distance)).collect();
        distances.sort_by(f64::total_cmp);
        let count = distances.len().max(1) as f64;
        let middle = distances.get(distances.len() / 2).copied().unwrap_or(0.0);
        let same = distances.iter().filter(|&&d| equal(d, middle, rounding(features))).count() as f64 / count;
        let above = scores.iter().filter(|score| score.similarity > 0.5).count() as f64 / count;
        let side = above.max(1.0 - above);
        let roc = Roc::of(pairs, scores);
        let better = roc.as_ref().is_none_or(|roc| {
            // Of Mann and Whitney's U where both kinds are alike.
            let (m, n) = (roc.same as f64, roc.different as f64);
            beyond(roc.auc(), 0.5, ((m + n + 1.0) / (12.0 * m * n)).sqrt())
        });
        let (least, most) =
            (distances.first().copied().unwrap_or(0.0), distances.last().copied().unwrap_or(0.0));
        Answered {
            dead: same >= SAME,
            one_sided: side >= ONE_SIDE,
            better_than_chance: better,
            seen: format!(
                "distances of pairs spread from {least:.6} to {most:.6}, {:.1} % of them are the same, \
                 {:.1} % of the pairs lie on one side of the threshold, and the area under the ROC curve is {:.3}",
                100.0 * same,
                100.0 * side,
                roc.map_or(0.5, |roc| roc.auc())
            ),
        }
    }

    /// Of classified images.
    pub fn of_classes(classes: &Classification) -> Self {
        let Classification { images, accuracy, most_frequent, same, one_class, .. } = *classes;
        Answered {
            dead: same >= 100.0 * SAME,
            one_sided: one_class >= 100.0 * ONE_SIDE,
            better_than_chance: guessed(accuracy, most_frequent, images),
            seen: format!(
                "{same:.1} % of the validation images have the same logits, {one_class:.1} % of them are given one \
                 class, and {accuracy:.2} % are right"
            ),
        }
    }

    /// Of answered one-shot tasks of so many classes.
    pub fn of_tasks(figures: &OneShot, way: usize) -> Self {
        let OneShot { tasks, accuracy_of_tasks, ties, collapsed, .. } = *figures;
        Answered {
            dead: collapsed,
            one_sided: false,
            better_than_chance: guessed(accuracy_of_tasks, 100.0 / way.max(1) as f64, tasks),
            seen: format!(
                "{ties:.1} % of the validation tasks have no nearest class{}, and {accuracy_of_tasks:.2} % are right",
                if collapsed { ", most of them the same distance everywhere" } else { "" }
            ),
        }
    }
}

/// Whether a percentage of so many lies beyond what guessing gives.
fn guessed(percent: f64, chance: f64, count: usize) -> bool {
    let chance = chance / 100.0;
    beyond(percent / 100.0, chance, (chance * (1.0 - chance) / count.max(1) as f64).sqrt())
}

/// Whether a share lies beyond chance, whose standard error this is, or too few were asked to say.
fn beyond(share: f64, chance: f64, error: f64) -> bool {
    ERRORS * error > TELLING || share > chance + ERRORS * error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (distance, similarity, same)
    fn of(values: impl Iterator<Item = (f32, f32, bool)>) -> Answered {
        let (pairs, scores): (Vec<Pair>, Vec<Score>) = values
            .map(|(distance, similarity, same)| (Pair { a: 0, b: 0, same }, Score { distance, similarity }))
            .unzip();
        Answered::of_pairs(&pairs, &scores, 84)
    }

    #[test]
    fn what_answers_show() {
        let half = |at: usize| at.is_multiple_of(2);
        // Every eleventh pair is another.
        let dead = of((0..1000).map(|at| (if at % 11 == 0 { 2.0 } else { 0.25 }, 0.7, half(at))));
        assert!(dead.dead && dead.one_sided && !dead.better_than_chance, "{dead:?}");
        // Distances differ, but the head has saturated.
        let saturated = of((0..1000).map(|at| (1e10 + 1e7 * at as f32, 1.0, half(at))));
        assert!(!saturated.dead && saturated.one_sided && !saturated.better_than_chance, "{saturated:?}");
        // A young network: all on one side, but same pairs are nearer.
        let young = of((0..1000).map(|at| (at as f32, 0.49 - 1e-4 * at as f32, at % 3 < 1 && at < 900)));
        assert!(!young.dead && young.one_sided && young.better_than_chance, "{young:?}");
        let random =
            of((0..1000).map(|at| ((at * 7919 % 1000) as f32, (at * 7919 % 1000) as f32 / 1e3, half(at))));
        assert!(!random.dead && !random.one_sided && !random.better_than_chance, "{random:?}");
        // Half of the pairs may well be copies.
        let copies =
            of((0..1000).map(|at| if half(at) { (0.0, 1.0, true) } else { (at as f32, 0.1, false) }));
        assert!(!copies.dead && !copies.one_sided, "{copies:?}");

        let classes = Classification {
            images: 1000,
            accuracy: 10.0,
            loss: 2.3,
            most_frequent: 10.0,
            same: 100.0,
            one_class: 100.0,
        };
        let dead = Answered::of_classes(&classes);
        assert!(dead.dead && dead.one_sided && !dead.better_than_chance);
        let learned =
            Answered::of_classes(&Classification { accuracy: 13.0, same: 0.1, one_class: 40.0, ..classes });
        assert!(!learned.dead && !learned.one_sided && learned.better_than_chance);
    }
}
