//! Every threshold at once: how many different pairs are let in (FAR) for how many same pairs (TAR).
//!
//! Pairs of equal similarity pass any threshold together, so a threshold lies between groups of them,
//! and the curve joins the groups' ends by straight lines. All counts are integers; only the last
//! division rounds. Formulas: `docs/metrics.md`.

use serde::{Deserialize, Serialize};

use super::Score;
use crate::data::Pair;

/// False accept rates at which the true accept rate is told: 1 in 10, in 100, in 1,000.
const FAR_DENOMINATORS: [u64; 3] = [10, 100, 1000];

/// Pairs above a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Different pairs.
    pub accepted_different: u64,
    /// Same pairs.
    pub accepted_same: u64,
}

/// The ROC curve of scored pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Roc {
    /// From a threshold that no pair passes down to one that all do; at least two.
    pub points: Vec<Point>,
    /// A threshold for each point: halfway between the similarities that it parts.
    pub thresholds: Vec<f64>,
    /// All same pairs and all different ones; neither is 0.
    pub same: u64,
    pub different: u64,
}

/// Figures of a ROC curve; rates in percent, the area as a share.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RocFigures {
    pub roc_auc: f64,
    pub eer: f64,
    /// True accept rates, in percent.
    pub tar_at_far: ByFar,
    /// The thresholds that have them.
    pub threshold_at_far: ByFar,
}

/// Figures by false accept rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByFar {
    #[serde(rename = "0.1")]
    pub tenth: f64,
    #[serde(rename = "0.01")]
    pub hundredth: f64,
    #[serde(rename = "0.001")]
    pub thousandth: f64,
}

impl ByFar {
    /// By false accept rate.
    pub fn each(self) -> [(f64, f64); 3] {
        [(0.1, self.tenth), (0.01, self.hundredth), (0.001, self.thousandth)]
    }
}

impl Roc {
    /// The curve of pairs by their similarity; `None` unless there are both same and different pairs.
    pub fn of(pairs: &[Pair], scores: &[Score]) -> Option<Self> {
        let mut sorted: Vec<(f32, bool)> =
            pairs.iter().zip(scores).map(|(pair, score)| (score.similarity, pair.same)).collect();
        sorted.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let same = sorted.iter().filter(|(_, same)| *same).count() as u64;
        let different = sorted.len() as u64 - same;
        if same == 0 || different == 0 {
            return None;
        }
        let mut point = Point { accepted_different: 0, accepted_same: 0 };
        let mut points = vec![point];
        // Nothing is more similar than the first pair.
        let mut thresholds = vec![f64::from(sorted[0].0)];
        for (at, &(similarity, is_same)) in sorted.iter().enumerate() {
            match is_same {
                true => point.accepted_same += 1,
                false => point.accepted_different += 1,
            }
            let next = sorted.get(at + 1).map_or(f32::NEG_INFINITY, |&(next, _)| next);
            if next != similarity {
                points.push(point);
                thresholds.push((f64::from(similarity) + f64::from(next)) / 2.0);
            }
        }
        Some(Roc { points, thresholds, same, different })
    }

    /// Area under the curve, 0 to 1: the chance that a same pair is more similar than a different one,
    /// ties counting half.
    pub fn auc(&self) -> f64 {
        let twice: u128 = self
            .points
            .windows(2)
            .map(|ends| {
                let width = ends[1].accepted_different - ends[0].accepted_different;
                u128::from(width) * u128::from(ends[0].accepted_same + ends[1].accepted_same)
            })
            .sum();
        twice as f64 / (2.0 * self.same as f64 * self.different as f64)
    }

    /// Equal error rate, in percent: where the curve has as large a share of different pairs accepted
    /// as of same pairs rejected.
    pub fn eer(&self) -> f64 {
        // Share of different pairs accepted less share of same pairs rejected, times both numbers:
        // grows along the curve, from -same * different to same * different.
        let (same, different) = (i128::from(self.same), i128::from(self.different));
        let excess = |point: &Point| {
            i128::from(point.accepted_different) * same - (same - i128::from(point.accepted_same)) * different
        };
        let after = self.points.iter().position(|point| excess(point) >= 0).unwrap_or(self.points.len() - 1);
        let before = after.saturating_sub(1);
        let (low, high) = (&self.points[before], &self.points[after]);
        let share = -excess(low) as f64 / (excess(high) - excess(low)).max(1) as f64;
        let step = (high.accepted_different - low.accepted_different) as f64;
        100.0 * (low.accepted_different as f64 + share * step) / self.different as f64
    }

    /// The largest true accept rate, in percent, of a threshold that lets in at most one in
    /// `denominator` of the different pairs. Nothing is interpolated: it is a threshold one can use.
    pub fn tar_at_far(&self, denominator: u64) -> f64 {
        100.0 * self.points[self.at_far(denominator)].accepted_same as f64 / self.same as f64
    }

    /// The last point with at most one in `denominator` of the different pairs; the first has none.
    fn at_far(&self, denominator: u64) -> usize {
        let within = |point: &&Point| point.accepted_different * denominator <= self.different;
        self.points.iter().take_while(within).count().saturating_sub(1)
    }

    /// The figures that summaries tell.
    pub fn figures(&self) -> RocFigures {
        let by_far = |figure: &dyn Fn(u64) -> f64| {
            let [tenth, hundredth, thousandth] = FAR_DENOMINATORS.map(figure);
            ByFar { tenth, hundredth, thousandth }
        };
        RocFigures {
            roc_auc: self.auc(),
            eer: self.eer(),
            tar_at_far: by_far(&|denominator| self.tar_at_far(denominator)),
            threshold_at_far: by_far(&|denominator| self.thresholds[self.at_far(denominator)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn roc(values: &[(f32, bool)]) -> Option<Roc> {
        let pair = |&(similarity, same): &(f32, bool)| {
            (Pair { a: 0, b: 0, same }, Score { distance: 0.0, similarity })
        };
        let (pairs, scores): (Vec<Pair>, Vec<Score>) = values.iter().map(pair).unzip();
        Roc::of(&pairs, &scores)
    }

    #[test]
    fn a_curve_by_hand() {
        // Same 0.9, 0.8, 0.4, 0.3; different 0.7, 0.4, 0.2, 0.1. Of 16 comparisons the same pair wins
        // 4 + 4 + (2 + a tie) + 2 = 12.5.
        let values = [
            (0.9, true),
            (0.4, false),
            (0.8, true),
            (0.7, false),
            (0.2, false),
            (0.4, true),
            (0.3, true),
            (0.1, false),
        ];
        let roc = roc(&values).unwrap();
        let points: Vec<(u64, u64)> =
            roc.points.iter().map(|p| (p.accepted_different, p.accepted_same)).collect();
        assert_eq!(points, [(0, 0), (0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (4, 4)]);
        assert_eq!(roc.auc(), 12.5 / 16.0);
        // Between (1/4, 2/4) and (2/4, 3/4): FAR = 1 - TAR at FAR 3/8.
        assert_eq!(roc.eer(), 37.5);
        assert_eq!([4, 2, 10].map(|d| roc.tar_at_far(d)), [50.0, 100.0, 50.0]);
    }

    #[test]
    fn the_extremes() {
        let apart = roc(&[(0.9, true), (0.8, true), (0.1, false)]).unwrap();
        assert_eq!((apart.auc(), apart.eer(), apart.tar_at_far(1000)), (1.0, 0.0, 100.0));
        let reversed = roc(&[(0.1, true), (0.8, false), (0.9, false)]).unwrap();
        assert_eq!((reversed.auc(), reversed.eer(), reversed.tar_at_far(10)), (0.0, 100.0, 0.0));
        // A network that always says the same is worth nothing.
        let constant = roc(&[(0.5, true), (0.5, false), (0.5, false)]).unwrap();
        assert_eq!((constant.auc(), constant.eer(), constant.tar_at_far(10)), (0.5, 50.0, 0.0));
        assert_eq!(roc(&[(0.5, true)]), None);
        assert_eq!(roc(&[(0.5, false)]), None);
        assert_eq!(roc(&[]), None);
    }

    #[test]
    fn a_rate_that_is_met_exactly_counts() {
        // Ten different pairs, one of them above half of the same pairs.
        let mut values: Vec<(f32, bool)> = (0..9).map(|at| (0.01 * at as f32, false)).collect();
        values.extend([(0.9, true), (0.8, false), (0.7, true)]);
        let roc = roc(&values).unwrap();
        assert_eq!((roc.tar_at_far(10), roc.tar_at_far(11)), (100.0, 50.0));
    }

    proptest! {
        /// The definitions, pair against pair and threshold by threshold.
        #[test]
        fn figures_are_those_of_the_definitions(
            values in prop::collection::vec((0u8..12, any::<bool>()), 2..60),
        ) {
            let values: Vec<(f32, bool)> = values.into_iter().map(|(s, same)| (f32::from(s) / 11.0, same)).collect();
            let of = |wanted: bool| -> Vec<f32> {
                values.iter().filter(|(_, same)| *same == wanted).map(|(s, _)| *s).collect()
            };
            let (same, different) = (of(true), of(false));
            prop_assume!(!same.is_empty() && !different.is_empty());
            let roc = roc(&values).unwrap();

            let wins: f64 = same.iter().flat_map(|s| different.iter().map(move |d| {
                if s > d { 1.0 } else if s == d { 0.5 } else { 0.0 }
            })).sum();
            prop_assert!((roc.auc() - wins / (same.len() * different.len()) as f64).abs() < 1e-12);

            let share = |list: &[f32], threshold: f32| {
                list.iter().filter(|value| **value > threshold).count() as f64 / list.len() as f64
            };
            let thresholds: Vec<f32> = (-1..=11).rev().map(|at| at as f32 / 11.0).collect();
            let rates: Vec<(f64, f64)> =
                thresholds.iter().map(|&t| (share(&different, t), share(&same, t))).collect();
            for denominator in [2, 3, 10] {
                // Used as anybody would use it.
                let threshold = roc.thresholds[roc.at_far(denominator)];
                let accepted = |list: &[f32]| list.iter().filter(|s| f64::from(**s) > threshold).count() as f64;
                prop_assert!(accepted(&different) * denominator as f64 <= different.len() as f64);
                let tar = 100.0 * accepted(&same) / same.len() as f64;
                prop_assert!((tar - roc.tar_at_far(denominator)).abs() < 1e-9, "{tar} above {threshold}");
            }
            for denominator in [1, 2, 3, 10] {
                let best = rates.iter().filter(|(far, _)| *far <= 1.0 / denominator as f64 + 1e-12);
                let best = best.map(|(_, tar)| *tar).fold(0.0, f64::max);
                prop_assert!((roc.tar_at_far(denominator) - 100.0 * best).abs() < 1e-9);
            }

            // By bisection along the curve of all thresholds.
            let at = |along: f64| {
                let (whole, part) = (along.floor() as usize, along.fract());
                let next = rates[(whole + 1).min(rates.len() - 1)];
                let (far, tar) = rates[whole];
                (far + part * (next.0 - far), tar + part * (next.1 - tar))
            };
            let (mut low, mut high) = (0.0, (rates.len() - 1) as f64);
            for _ in 0..60 {
                let middle = (low + high) / 2.0;
                let (far, tar) = at(middle);
                if far + tar < 1.0 { low = middle } else { high = middle }
            }
            prop_assert!((roc.eer() - 100.0 * at(high).0).abs() < 1e-6, "{} {}", roc.eer(), at(high).0);
        }
    }
}
