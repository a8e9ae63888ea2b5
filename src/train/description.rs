//! What a weights file says of itself: everything needed to use it without its run.

use serde::{Deserialize, Serialize};

use crate::data::{Preparation, Shape};
use crate::model::ModelOptions;
use crate::ops::activation::ActivationKind;
use crate::ops::distance::DistanceKind;
use crate::ops::pool2d::PoolKind;
use crate::plan::PairLoss;

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
    /// What it was trained with, which also says whether a head compares.
    #[serde(flatten, with = "stored")]
    pub loss: PairLoss,
    /// Whether images are divided by their standard deviation, then their mean subtracted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standardize: bool,
    /// What was done to the training images, and is to be done to pictures; weights of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Preparation>,
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
    /// What is to be done to pictures.
    pub fn preparation(&self) -> Preparation {
        self.preparation.unwrap_or_else(|| Preparation::untold(&self.dataset))
    }

    pub fn model_options(&self) -> ModelOptions {
        ModelOptions {
            activation: self.activation,
            pool: self.pool,
            comparison: self.loss.comparison(self.distance),
            classes: self.classes.unwrap_or(ModelOptions::default().classes),
        }
    }
}

/// A loss as the metadata has it.
mod stored {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::ops::contrastive::Convention;
    use crate::plan::PairLoss;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Name {
        CrossEntropy,
        Episodes,
    }

    /// Without a name, the contrastive loss.
    #[derive(Default, Serialize, Deserialize)]
    struct Stored {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        convention: Option<Convention>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        margin: Option<f32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<Name>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<usize>,
    }

    pub fn serialize<S: Serializer>(loss: &PairLoss, serializer: S) -> Result<S::Ok, S::Error> {
        let none = Stored::default();
        let stored = match *loss {
            PairLoss::Contrastive { convention, margin } => {
                Stored { convention: Some(convention), margin: Some(margin), ..none }
            }
            PairLoss::CrossEntropy => Stored { loss: Some(Name::CrossEntropy), ..none },
            PairLoss::Episodes { way } => Stored { loss: Some(Name::Episodes), way: Some(way), ..none },
        };
        stored.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PairLoss, D::Error> {
        let Stored { convention, margin, loss, way } = Stored::deserialize(deserializer)?;
        let missing = D::Error::missing_field;
        Ok(match loss {
            None => PairLoss::Contrastive {
                convention: convention.ok_or_else(|| missing("convention"))?,
                margin: margin.ok_or_else(|| missing("margin"))?,
            },
            Some(Name::CrossEntropy) => PairLoss::CrossEntropy,
            Some(Name::Episodes) => PairLoss::Episodes { way: way.ok_or_else(|| missing("way"))? },
        })
    }
}
