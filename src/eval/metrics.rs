//! What scores are worth.

use super::Score;
use crate::data::Pair;
use crate::loss::{Comparison, Loss};

/// What a network's scores of many pairs are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairMetrics {
    pub pairs: usize,
    /// Share of pairs with `(similarity > threshold) == same`, in percent.
    pub accuracy: f64,
    /// Mean loss.
    pub loss: f64,
}

/// Accuracy at a threshold, and loss, of scored pairs.
pub fn metrics(
    pairs: &[Pair],
    scores: &[Score],
    (loss, comparison): (Loss, Option<Comparison>),
    threshold: f64,
) -> PairMetrics {
    let mut correct = 0usize;
    let mut sum = 0.0;
    for (pair, score) in pairs.iter().zip(scores) {
        correct += usize::from((f64::from(score.similarity) > threshold) == pair.same);
        let score = (f64::from(score.distance), f64::from(score.similarity));
        sum += loss.of_pair(comparison, score, pair.same);
    }
    let count = pairs.len().max(1) as f64;
    PairMetrics { pairs: pairs.len(), accuracy: 100.0 * correct as f64 / count, loss: sum / count }
}

/// The similarity above which pairs are told apart best: of all that do it equally well the one
/// nearest to one half. Candidates are one half and the middles between neighbouring similarities.
pub fn best_threshold(pairs: &[Pair], scores: &[Score]) -> f64 {
    let mut sorted: Vec<(f32, bool)> =
        pairs.iter().zip(scores).map(|(pair, score)| (score.similarity, pair.same)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Hits where everything above the threshold is called the same: at first everything is.
    let mut correct = sorted.iter().filter(|(_, same)| *same).count() as i64;
    let at_half: i64 = sorted.iter().map(|&(s, same)| i64::from((s > 0.5) == same)).sum();
    let (mut most, mut threshold) = (at_half, 0.5_f64);
    for (number, &(similarity, same)) in sorted.iter().enumerate() {
        correct += if same { -1 } else { 1 };
        let Some(&(next, _)) = sorted.get(number + 1) else { break };
        if next == similarity {
            continue;
        }
        let middle = (f64::from(similarity) + f64::from(next)) / 2.0;
        let nearer = (middle - 0.5).abs() < (threshold - 0.5).abs();
        if correct > most || (correct == most && nearer) {
            (most, threshold) = (correct, middle);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::PairDistance;
    use proptest::prelude::*;

    fn scored(values: &[(f32, bool)]) -> (Vec<Pair>, Vec<Score>) {
        let pair = |&(similarity, same): &(f32, bool)| {
            (Pair { a: 0, b: 0, same }, Score { distance: 0.0, similarity })
        };
        values.iter().map(pair).unzip()
    }

    fn accuracy(values: &[(f32, bool)], threshold: f64) -> f64 {
        let (pairs, scores) = scored(values);
        let comparison = Some(Loss::default().comparison(PairDistance::EUCLIDEAN));
        metrics(&pairs, &scores, (Loss::default(), comparison), threshold).accuracy
    }

    #[test]
    fn the_threshold_lies_between_the_classes() {
        let values = [(0.9, true), (0.8, true), (0.6, false), (0.1, false)];
        let (pairs, scores) = scored(&values);
        let threshold = best_threshold(&pairs, &scores);
        assert!((threshold - 0.7).abs() < 1e-6, "{threshold}");
        assert_eq!((accuracy(&values, threshold), accuracy(&values, 0.5)), (100.0, 75.0));
    }

    #[test]
    fn one_half_stays_where_nothing_is_better() {
        for values in [&[(0.9, true), (0.2, false)][..], &[(0.7, true)], &[], &[(0.5, true), (0.5, false)]] {
            let (pairs, scores) = scored(values);
            assert_eq!(best_threshold(&pairs, &scores), 0.5, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn no_threshold_is_better(
            values in prop::collection::vec((0u8..20, any::<bool>()), 1..40),
            other in 0.0f64..1.0,
        ) {
            let values: Vec<(f32, bool)> =
                values.into_iter().map(|(s, same)| (f32::from(s) / 20.0, same)).collect();
            let (pairs, scores) = scored(&values);
            let best = best_threshold(&pairs, &scores);
            let lowest = values.iter().map(|v| v.0).fold(1.0, f32::min);
            let highest = values.iter().map(|v| v.0).fold(0.0, f32::max);
            // Thresholds outside all similarities call every pair alike, which helps nobody.
            if other > f64::from(lowest) && other < f64::from(highest) {
                prop_assert!(accuracy(&values, best) >= accuracy(&values, other));
            }
        }
    }
}
