//! What tables compare.

use serde::Deserialize;
use serde_json::Value;

use crate::train::{EpochMetrics, Measure};

/// A figure of a run, named as in `summary.json` where it stands there. `docs/metrics.md` defines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    Epochs,
    /// Of the last epoch, while it trained.
    FinalTrainAccuracy,
    /// Of the last epoch.
    FinalValAccuracy,
    TrainAccuracy,
    ValAccuracy,
    TestAccuracy,
    TestAccuracyAtThreshold,
    RocAuc,
    Eer,
    ClassAccuracyCentroid,
    ClassAccuracyKnn,
    /// Of a network that tells classes, not pairs.
    TestClassAccuracy,
    /// Of runs that are measured by one-shot tasks, as the next one.
    ValOneshotAccuracy,
    TestOneshotAccuracy,
    SecondsPerEpoch,
    TestSeconds,
}

impl Metric {
    /// Its name in `summary.json`, a heading with the unit, and decimals.
    fn told(self) -> (&'static str, &'static str, usize) {
        match self {
            Metric::Epochs => ("epochs", "Epochs", 0),
            Metric::FinalTrainAccuracy => ("", "Training pairs, last epoch, %", 2),
            Metric::FinalValAccuracy => ("", "Validation pairs, last epoch, %", 2),
            Metric::TrainAccuracy => ("train_accuracy", "Training pairs, best epoch, %", 2),
            Metric::ValAccuracy => ("val_accuracy", "Validation pairs, best epoch, %", 2),
            Metric::TestAccuracy => ("test_accuracy", "Test pairs, %", 2),
            Metric::TestAccuracyAtThreshold => {
                ("test_accuracy_at_threshold", "Test pairs at the threshold of validation, %", 2)
            }
            Metric::RocAuc => ("roc_auc", "Area under ROC", 5),
            Metric::Eer => ("eer", "Equal error rate, %", 2),
            Metric::ClassAccuracyCentroid => {
                ("class_accuracy_centroid", "Test classes, nearest centroid, %", 2)
            }
            Metric::ClassAccuracyKnn => ("class_accuracy_knn", "Test classes, 5 nearest neighbours, %", 2),
            Metric::TestClassAccuracy => ("test_class_accuracy", "Test classes, %", 2),
            Metric::ValOneshotAccuracy => ("val_oneshot_accuracy", "Validation tasks, best epoch, %", 2),
            Metric::TestOneshotAccuracy => ("test_oneshot_accuracy", "Test tasks, %", 2),
            Metric::SecondsPerEpoch => ("seconds_per_epoch", "Training seconds per epoch", 2),
            Metric::TestSeconds => ("test_seconds", "Test seconds", 2),
        }
    }

    pub fn heading(self) -> &'static str {
        self.told().1
    }

    pub fn text(self, value: f64) -> String {
        format!("{value:.*}", self.told().2)
    }

    /// Its value in a run; `None` where the run has none.
    pub fn of(self, summary: &Value, epochs: &[EpochMetrics]) -> Option<f64> {
        // A classifier's accuracies are of classes.
        let pairs = epochs.last().filter(|epoch| epoch.measure == Measure::Pairs);
        match self {
            Metric::FinalTrainAccuracy => pairs.map(|epoch| epoch.train_accuracy),
            Metric::FinalValAccuracy => pairs.map(|epoch| epoch.val_accuracy),
            _ => summary[self.told().0].as_f64(),
        }
    }
}
