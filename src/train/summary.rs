//! The figures of an epoch and of a run, as their files hold them.

use serde::{Deserialize, Serialize};

use super::examples::Measure;
use crate::eval::roc::ByFar;
use crate::plan::Plan;
use crate::session::AdapterInfo;

/// One line of `metrics.jsonl`; accuracies in percent, times in seconds.
///
/// Measured by one-shot tasks, the validation's accuracy and loss are `oneshot_accuracy` and `oneshot_loss` there: the
/// loss is the cross-entropy of a task's classes, which is not to be compared with that of training. The accuracies of a classifier are
/// `train_class_accuracy` and `val_class_accuracy`, and its speed is `images_per_second`: nothing that counts pairs.
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
    #[serde(flatten)]
    counted: Counted,
    train_seconds: f64,
    val_seconds: f64,
}

/// What counts pairs, or classes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Counted {
    Pairs {
        val_loss: f64,
        train_accuracy: f64,
        val_accuracy: f64,
        pairs_per_second: f64,
    },
    Classes {
        val_loss: f64,
        train_class_accuracy: f64,
        val_class_accuracy: f64,
        images_per_second: f64,
    },
    Tasks {
        #[serde(alias = "val_loss")]
        oneshot_loss: f64,
        train_accuracy: f64,
        oneshot_accuracy: f64,
        pairs_per_second: f64,
    },
}

impl From<EpochMetrics> for Line {
    fn from(metrics: EpochMetrics) -> Self {
        let EpochMetrics { epoch, step, train_loss, val_loss, train_seconds, val_seconds, .. } = metrics;
        let EpochMetrics { train_accuracy, val_accuracy, pairs_per_second, measure, .. } = metrics;
        let counted = match measure {
            Measure::Pairs => Counted::Pairs { val_loss, train_accuracy, val_accuracy, pairs_per_second },
            Measure::Classes => Counted::Classes {
                val_loss,
                train_class_accuracy: train_accuracy,
                val_class_accuracy: val_accuracy,
                images_per_second: pairs_per_second,
            },
            Measure::Tasks => Counted::Tasks {
                oneshot_loss: val_loss,
                train_accuracy,
                oneshot_accuracy: val_accuracy,
                pairs_per_second,
            },
        };
        Line { epoch, step, train_loss, counted, train_seconds, val_seconds }
    }
}

impl From<Line> for EpochMetrics {
    fn from(line: Line) -> Self {
        let Line { epoch, step, train_loss, counted, train_seconds, val_seconds } = line;
        let (measure, val_loss, train_accuracy, val_accuracy, pairs_per_second) = match counted {
            Counted::Pairs { val_loss, train_accuracy, val_accuracy, pairs_per_second } => {
                (Measure::Pairs, val_loss, train_accuracy, val_accuracy, pairs_per_second)
            }
            Counted::Classes { val_loss, train_class_accuracy, val_class_accuracy, images_per_second } => {
                (Measure::Classes, val_loss, train_class_accuracy, val_class_accuracy, images_per_second)
            }
            Counted::Tasks { oneshot_loss, train_accuracy, oneshot_accuracy, pairs_per_second } => {
                (Measure::Tasks, oneshot_loss, train_accuracy, oneshot_accuracy, pairs_per_second)
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

/// How fast training steps ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Of an epoch that was resumed: as if all of it had gone as fast as the part since then.
    pub seconds_per_step: f64,
    /// Arithmetic that the plan counts for a step, not what a device may do beside it.
    pub gflops: f64,
}

impl Speed {
    /// Over all epochs with a time of their own; without such, 0.
    pub fn of(epochs: &[EpochMetrics], plan: &Plan) -> Self {
        let timed = epochs.iter().filter(|metrics| metrics.pairs_per_second > 0.0);
        let sums =
            timed.map(|metrics| (metrics.train_seconds, metrics.train_seconds * metrics.pairs_per_second));
        let (seconds, examples) = sums.fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let steps = examples / plan.options.batch_size.max(1) as f64;
        if seconds == 0.0 || steps == 0.0 {
            return Speed { seconds_per_step: 0.0, gflops: 0.0 };
        }
        let seconds_per_step = seconds / steps;
        Speed { seconds_per_step, gflops: plan.flops_per_step() as f64 / seconds_per_step / 1e9 }
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
    /// Of a run that is measured by one-shot tasks: mean over the alphabets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_oneshot_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_oneshot_accuracy: Option<f64>,
    /// Of that mean, in percent points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_oneshot_standard_error: Option<f64>,
    /// Test tasks without an answer, in percent; they count as wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_oneshot_ties: Option<f64>,
    #[serde(skip)]
    pub measure: Measure,
    /// Test pairs told apart at `threshold`; the other accuracies are at one half.
    pub test_accuracy_at_threshold: Option<f64>,
    /// Of the test pairs: area under the ROC curve, 0 to 1.
    pub roc_auc: Option<f64>,
    /// Of the test pairs: equal error rate.
    pub eer: Option<f64>,
    /// Of the test pairs: true accept rates by false accept rate.
    pub tar_at_far: Option<ByFar>,
    /// Similarities above which the test pairs have these rates.
    pub threshold_at_far: Option<ByFar>,
    /// Test images whose class the nearest mean of training embeddings tells: no pair accuracy.
    pub class_accuracy_centroid: Option<f64>,
    /// Test images whose class the five nearest training embeddings tell: no pair accuracy.
    pub class_accuracy_knn: Option<f64>,
    /// Similarity above which the validation pairs of the best epoch are told apart best. The
    /// accuracies here are at one half all the same, as in the paper.
    pub threshold: f64,
    /// Training alone, mean of the epochs.
    pub seconds_per_epoch: f64,
    /// Training alone.
    pub seconds_per_step: f64,
    /// Arithmetic that the plan counts for a training step, by `seconds_per_step`.
    pub gflops: f64,
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
            Measure::Tasks => [self.train_accuracy, self.val_oneshot_accuracy, self.test_oneshot_accuracy],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_counted() {
        for (measure, names) in [
            (Measure::Pairs, ["train_accuracy", "val_accuracy", "pairs_per_second", "val_loss"]),
            (
                Measure::Classes,
                ["train_class_accuracy", "val_class_accuracy", "images_per_second", "val_loss"],
            ),
            (Measure::Tasks, ["train_accuracy", "oneshot_accuracy", "pairs_per_second", "oneshot_loss"]),
        ] {
            let metrics = EpochMetrics {
                epoch: 2,
                step: 40,
                train_loss: 0.5,
                train_accuracy: 90.0,
                val_loss: 0.25,
                val_accuracy: 80.0,
                train_seconds: 3.0,
                val_seconds: 1.0,
                pairs_per_second: 70.0,
                measure,
            };
            let line = serde_json::to_value(&metrics).unwrap();
            assert_eq!(names.map(|name| line[name].as_f64()), [90.0, 80.0, 70.0, 0.25].map(Some), "{line}");
            assert_eq!(line.as_object().unwrap().len(), 9, "{line}");
            assert_eq!(serde_json::from_value::<EpochMetrics>(line.clone()).unwrap(), metrics);
            // As it was called before it had a name of its own.
            let old = line.to_string().replace("oneshot_loss", "val_loss");
            assert_eq!(serde_json::from_str::<EpochMetrics>(&old).unwrap(), metrics);
        }
    }
}
