//! The figures of an epoch and of a run, as their files hold them.

use serde::{Deserialize, Serialize};

use crate::eval::roc::TarAtFar;
use crate::executor::AdapterInfo;

/// One line of `metrics.jsonl`; accuracies in percent, times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub pairs_per_second: f64,
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
}
