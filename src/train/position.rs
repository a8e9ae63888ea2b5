//! Where a run stands: with weights, running state and moments, all that a resumed run needs.

use serde::{Deserialize, Serialize};

use super::epoch::Totals;
use crate::eval::roc::ByFar;

/// Where a run stands. Pairs, schedules and seeds follow from it and the settings; times are left
/// out, so that the same run gives the same file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Whole epochs, each validated.
    pub epochs: u64,
    /// Training steps, of all epochs.
    pub steps: u64,
    /// Launches counted while training.
    pub train_launches: u64,
    /// The epoch under way, as far as it has come.
    pub under_way: Totals,
    pub best: Option<Best>,
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub epoch: u64,
    pub val_accuracy: f64,
    pub val_loss: f64,
    /// Similarity above which its validation pairs are told apart best.
    pub threshold: f64,
    /// Similarities above which so many of its different validation pairs lie.
    #[serde(default)]
    pub threshold_at_far: Option<ByFar>,
    /// Whether its validation was better than chance.
    #[serde(default = "yes")]
    pub better_than_chance: bool,
}

fn yes() -> bool {
    true
}

impl Best {
    /// Higher validation accuracy, then lower validation loss, then the earlier epoch.
    pub fn beaten_by(&self, val_accuracy: f64, val_loss: f64) -> bool {
        val_accuracy > self.val_accuracy || (val_accuracy == self.val_accuracy && val_loss < self.val_loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_more_accurate_then_of_less_loss_then_earlier() {
        let best = Best {
            epoch: 3,
            val_accuracy: 98.0,
            val_loss: 0.2,
            threshold: 0.5,
            threshold_at_far: None,
            better_than_chance: true,
        };
        for (accuracy, loss, beaten) in
            [(98.1, 0.9, true), (98.0, 0.1, true), (98.0, 0.2, false), (98.0, 0.3, false), (97.9, 0.0, false)]
        {
            assert_eq!(best.beaten_by(accuracy, loss), beaten, "{accuracy} {loss}");
        }
    }

    /// A sum that were rounded on its way through the file would end in other digits.
    #[test]
    fn sums_survive_a_file() {
        let sums = [0.1 + 0.2, 1.0 / 3.0, 2_f64.sqrt() * 1e3, f64::MIN_POSITIVE];
        for loss in sums {
            let position =
                Position { under_way: Totals { loss, ..Totals::default() }, ..Position::default() };
            let text = serde_json::to_string(&position).unwrap();
            assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
        }
    }
}
