//! What a trained network is worth: distances and similarities of pairs, and what follows from them.

pub mod classify;
pub mod metrics;
pub mod score;

pub use classify::{ClassMetrics, classify_watched};
pub use metrics::{PairMetrics, best_threshold, metrics};
pub use score::{Score, score, score_watched};
