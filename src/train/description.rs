//! What a weights file says of itself: everything needed to use it without its run.

use serde::{Deserialize, Serialize};

use crate::data::Shape;
use crate::model::{Comparison, ModelOptions};
use crate::ops::activation::ActivationKind;
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;
use crate::ops::pool2d::PoolKind;

/// Metadata of a weights file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub model: String,
    /// What it was trained on.
    pub dataset: String,
    pub input: Shape,
    pub activation: ActivationKind,
    pub pool: PoolKind,
    pub distance: DistanceKind,
    /// What the loss saw: the head's similarity, or the distance itself, without a head.
    pub convention: Convention,
    pub margin: f32,
    /// Whether images are divided by their standard deviation, then their mean subtracted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standardize: bool,
    /// Of a classifier: how many it tells apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// eps of the head's norm.
    pub norm_eps: f32,
    /// Similarity above which the validation pairs are told apart best.
    pub threshold: f64,
    pub seed: u64,
    /// Whole epochs and training steps that led to these weights.
    pub epoch: u64,
    pub step: u64,
}

impl Description {
    pub fn model_options(&self) -> ModelOptions {
        let head = self.convention == Convention::Similarity;
        ModelOptions {
            activation: self.activation,
            pool: self.pool,
            comparison: Comparison { distance: self.distance, head },
            classes: self.classes.unwrap_or(ModelOptions::default().classes),
        }
    }
}
