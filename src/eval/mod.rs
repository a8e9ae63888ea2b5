//! What a trained network is worth: distances and similarities of pairs, and what follows from them;
//! where its embeddings lie, and what follows from that.
//!
//! | module | holds |
//! | --- | --- |
//! | [`mod@score`] | distances and similarities of pairs |
//! | [`mod@metrics`] | accuracy at a threshold, loss, the best threshold |
//! | [`roc`] | every threshold at once: ROC curve, AUC, EER, TAR at FAR |
//! | [`embeddings`] | where images lie |
//! | [`classify`] | what a classifier names |
//! | [`classes`] | class accuracy of embeddings: nearest centroid, nearest neighbours |
//! | [`collapse`] | whether a network tells anything apart |
//! | [`oneshot`] | one-shot tasks: which of several classes, told by one drawing of each |
//! | [`pca`] | embeddings in two dimensions, to look at |
//!
//! Formulas and sources are in `docs/metrics.md`.

pub mod classes;
pub mod classify;
pub mod collapse;
pub mod embeddings;
pub mod metrics;
pub mod oneshot;
pub mod pca;
pub mod roc;
mod rounding;
pub mod score;

pub use classes::ClassMetrics;
pub use classify::{Classification, classify_watched};
pub use embeddings::Embeddings;
pub use metrics::{PairMetrics, best_threshold, metrics};
pub use oneshot::{OneShot, Tasks};
pub use pca::Projection;
pub use roc::Roc;
pub use score::{Score, score, score_watched};
