//! The figures of an epoch and of a run, as their files hold them.

use serde::{Deserialize, Serialize};

use super::examples::Measure;
use crate::eval::roc::TarAtFar;
use crate::executor::AdapterInfo;

/// One line of `metrics.jsonl`; accuracies in percent, times in seconds.
///
/// There, the accuracies of a classifier are `train_class_accuracy` and `val_class_accuracy`, and its speed is
/// `images_per_second`: nothing that counts pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Line", from = "Line")]
pub struct EpochMetrics {
    pub epoch: u64,
    pub step: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    /// Of an epoch that was resumed: as if all of it had gone as fast as the part since then.
    pub train_seconds: f64,
    pub val_seconds: f64,
    /// Pairs, or images.
    pub pairs_per_second: f64,
    pub measure: Measure,
}

#[derive(Serialize, Deserialize)]
struct Line {
    epoch: u64,
    step: u64,
    train_loss: f64,
    val_loss: f64,
    #[serde(flatten)]
    counted: Counted,
    train_seconds: f64,
    val_seconds: f64,
}

/// What counts pairs, or classes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Counted {
    Pairs { train_accuracy: f64, val_accuracy: f64, pairs_per_second: f64 },
    Classes { train_class_accuracy: f64, val_class_accuracy: f64, images_per_second: f64 },
}

impl From<EpochMetrics> for Line {
    fn from(metrics: EpochMetrics) -> Self {
        let EpochMetrics { epoch, step, train_loss, val_loss, train_seconds, val_seconds, .. } = metrics;
        let EpochMetrics { train_accuracy, val_accuracy, pairs_per_second, measure, .. } = metrics;
        let counted = match measure {
            Measure::Pairs => Counted::Pairs { train_accuracy, val_accuracy, pairs_per_second },
            Measure::Classes => Counted::Classes {
                train_class_accuracy: train_accuracy,
                val_class_accuracy: val_accuracy,
                images_per_second: pairs_per_second,
            },
        };
        Line { epoch, step, train_loss, val_loss, counted, train_seconds, val_seconds }
    }
}

impl From<Line> for EpochMetrics {
    fn from(line: Line) -> Self {
        let Line { epoch, step, train_loss, val_loss, counted, train_seconds, val_seconds } = line;
        let (measure, train_accuracy, val_accuracy, pairs_per_second) = match counted {
            Counted::Pairs { train_accuracy, val_accuracy, pairs_per_second } => {
                (Measure::Pairs, train_accuracy, val_accuracy, pairs_per_second)
            }
            Counted::Classes { train_class_accuracy, val_class_accuracy, images_per_second } => {
                (Measure::Classes, train_class_accuracy, val_class_accuracy, images_per_second)
            }
        };
        EpochMetrics {
            epoch,
            step,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
            train_seconds,
            val_seconds,
            pairs_per_second,
            measure,
        }
    }
}

/// `summary.json`; accuracies in percent.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub model: String,
    pub dataset: String,
    /// What results on it are called, as in `CIFAR-10 (JPEG copy)`.
    pub dataset_title: String,
    /// What a reader should know of the data, such as that it is not the published set.
    pub dataset_notes: Vec<String>,
    pub trainable: usize,
    pub state: usize,
    pub parameters: usize,
    pub seed: u64,
    pub adapter: AdapterInfo,
    pub plan: String,
    pub launches_per_step: usize,
    /// Counted while training, not derived.
    pub train_launches: u64,
    pub batch_size: usize,
    pub epochs: u64,
    pub steps: u64,
    pub best_epoch: u64,
    pub train_accuracy: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub test_accuracy: Option<f64>,
    /// Of a classifier, which has no accuracies of pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_class_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_class_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_class_accuracy: Option<f64>,
    #[serde(skip)]
    pub measure: Measure,
    /// Test pairs told apart at `threshold`; the other accuracies are at one half.
    pub test_accuracy_at_threshold: Option<f64>,
    /// Of the test pairs: area under the ROC curve, 0 to 1.
    pub roc_auc: Option<f64>,
    /// Of the test pairs: equal error rate.
    pub eer: Option<f64>,
    /// Of the test pairs: true accept rates by false accept rate.
    pub tar_at_far: Option<TarAtFar>,
    /// Test images whose class the nearest mean of training embeddings tells: no pair accuracy.
    pub class_accuracy_centroid: Option<f64>,
    /// Test images whose class the five nearest training embeddings tell: no pair accuracy.
    pub class_accuracy_knn: Option<f64>,
    /// Similarity above which the validation pairs of the best epoch are told apart best. The
    /// accuracies here are at one half all the same, as in the paper.
    pub threshold: f64,
    /// Training alone, mean of the epochs.
    pub seconds_per_epoch: f64,
    pub test_seconds: f64,
    pub interrupted: bool,
    /// Whether `--patience` ended it before its last epoch.
    pub stopped_early: bool,
}

impl Summary {
    /// Of training, validation and test, whatever was measured.
    pub fn accuracies(&self) -> [Option<f64>; 3] {
        match self.measure {
            Measure::Pairs => [self.train_accuracy, self.val_accuracy, self.test_accuracy],
            Measure::Classes => {
                [self.train_class_accuracy, self.val_class_accuracy, self.test_class_accuracy]
            }
        }
    }
}
