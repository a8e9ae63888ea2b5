//! What a weights file says of itself: everything needed to use it without its run.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::data::{Preparation, Shape};
use crate::eval::roc::ByFar;
use crate::loss::{Loss, PairDistance};
use crate::model::ModelOptions;
use crate::ops::activation::ActivationKind;
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
    pub distance: PairDistance,
    /// What it was trained with, which also says whether a head compares.
    #[serde(flatten, with = "stored")]
    pub loss: Loss,
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
    /// Similarities above which so many of the different validation pairs lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_at_far: Option<ByFar>,
    pub seed: u64,
    /// Whole epochs and training steps that led to these weights.
    pub epoch: u64,
    pub step: u64,
    /// The run that they are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Fingerprint>,
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

/// A loss as the metadata has it: its name and its settings by theirs. The contrastive losses have a convention
/// instead of a name, as the first versions wrote them.
mod stored {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::loss::Loss;
    use crate::ops::contrastive::Convention;

    #[derive(Default, Serialize, Deserialize)]
    struct Stored {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        convention: Option<Convention>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        margin: Option<f32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<f32>,
        /// What newer losses are told.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        settings: BTreeMap<String, f32>,
    }

    pub fn serialize<S: Serializer>(loss: &Loss, serializer: S) -> Result<S::Ok, S::Error> {
        let convention = match loss.name() {
            "contrastive" => Some(Convention::Similarity),
            "hadsell" => Some(Convention::Distance),
            _ => None,
        };
        let name = convention.is_none().then(|| loss.name().into());
        let mut stored = Stored { convention, loss: name, ..Stored::default() };
        for (setting, value) in loss.settings() {
            match setting.name {
                "margin" => stored.margin = Some(value),
                "way" => stored.way = Some(value),
                name => {
                    stored.settings.insert(name.into(), value);
                }
            }
        }
        stored.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Loss, D::Error> {
        let Stored { convention, loss, margin, way, mut settings } = Stored::deserialize(deserializer)?;
        let name = match (&loss, convention) {
            (Some(name), _) => name,
            (None, Some(Convention::Similarity)) => "contrastive",
            (None, Some(Convention::Distance)) => "hadsell",
            (None, None) => return Err(D::Error::missing_field("convention")),
        };
        let unknown = || D::Error::custom(format!("there is no loss {name}"));
        let loss = Loss::named(name).ok_or_else(unknown)?;
        settings.extend(margin.map(|margin| ("margin".into(), margin)));
        settings.extend(way.map(|way| ("way".into(), way)));
        let names: Vec<&'static str> = loss.settings().map(|(setting, _)| setting.name).collect();
        names.into_iter().try_fold(loss, |loss, name| {
            let value = settings.get(name).ok_or_else(|| D::Error::missing_field(name))?;
            Ok(loss.with(name, *value))
        })
    }
}
