//! Everything that decides a run: flags of `train`, and `config.toml` of its folder, are one struct.

mod choices;
mod sets;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::parser::ValueSource;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::data::{self, Augmentation, Fit, Sampling, SplitBy};
use crate::loss::{self, PairDistance};
use crate::model::{self, ModelOptions};
use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;
use crate::plan::optimizer::{Momentum, Penalty};
use crate::plan::{AdamOptions, BatchLayout, OptimizerOptions, SgdOptions};
use crate::train::Decay;

pub use choices::{Loss, Optimizer, PlanChoice};

/// Everything needed to repeat a run.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Network to train: sn-lenet5, resnet-small, resnet18, conv4, koch, sircnn, sircnn-eca; or lenet5,
    /// resnet-small-classifier, which classify
    #[arg(long, default_value = "sn-lenet5")]
    pub model: String,
    /// Data set: glyphs or glyph-alphabets (made from the seed), mnist, fashion-mnist, cifar10, omniglot
    #[arg(long, default_value = "glyphs")]
    pub dataset: String,
    /// Folder in which data sets are looked for
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Scale every image to N x N, by averaging areas
    #[arg(long, value_name = "N")]
    pub image_size: Option<usize>,
    /// How an image comes to another size, in training and in use
    #[arg(long, default_value = "contain")]
    pub fit: Fit,
    /// Unit of the validation split: images (of each class), classes or alphabets [default: alphabets where the set has
    /// some, else images]
    #[arg(long)]
    pub split: Option<SplitBy>,
    /// Share of them that validates
    #[arg(long, value_name = "SHARE", default_value_t = data::split::SHARE)]
    pub val_share: f64,
    /// Learn turned copies of the training images too (90, 180 and 270 degrees), as classes of their own
    #[arg(long)]
    pub rotations: bool,
    /// auto, cpu, a backend (vulkan, metal, dx12, gl), an index from `adapters`, or part of a name
    #[arg(long, default_value = "auto")]
    pub adapter: String,
    /// How the training step is cut into launches
    #[arg(long, default_value = "auto")]
    pub plan: PlanChoice,
    /// Threads of the CPU; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Epochs: each draws two pairs for every training image
    #[arg(long, default_value_t = 5)]
    pub epochs: u64,
    /// Training steps of an epoch [default: two pairs for every training image, or a classifier's images once]
    #[arg(long, value_name = "N")]
    pub epoch_steps: Option<u64>,
    /// What pairs a batch has: balanced (each image's, in random order), alphabets (a batch from one alphabet),
    /// episodes=WAY, or classes=M (M images of each) [default: alphabets where validation is on other alphabets, else
    /// balanced]
    #[arg(long, value_name = "HOW")]
    pub sampling: Option<Sampling>,
    /// Stop after so many training steps
    #[arg(long)]
    pub max_steps: Option<u64>,
    /// Pairs, or a classifier's images, of a training step
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// Stop behind so many epochs without a better validation
    #[arg(long, value_name = "EPOCHS")]
    pub patience: Option<u64>,
    /// Learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// What becomes of the learning rate: constant, cosine (down to nothing at the end of the run), or
    /// step=GAMMA:EVERY (times GAMMA every so many training steps)
    #[arg(long, default_value = "constant")]
    pub schedule: Decay,
    /// Training steps over which the learning rate rises
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    pub warmup: u64,
    /// Adam's eps, outside the root
    #[arg(long, default_value_t = 1e-8)]
    pub adam_eps: f32,
    #[arg(long, default_value = "adam")]
    pub optimizer: Optimizer,
    /// Of adam: what the weights of convolutions and dense layers lose each step, times the learning rate
    /// (AdamW); biases, norms and the head lose nothing
    #[arg(long, default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Of sgd: a number, or FROM..TO:RISE, where RISE is added each training step [default: 0]
    #[arg(long)]
    pub momentum: Option<Momentum>,
    /// Of sgd: so many times a weight is added to its gradient, such as conv=0.02,dense=0.001 [default: 0]
    #[arg(long, value_name = "LIST")]
    pub l2: Option<Penalty>,
    /// Loss of pairs [default: what the model was made for]; a classifier has its own, the cross-entropy of classes
    #[arg(long)]
    pub loss: Option<Loss>,
    /// Of episodes: how many classes one tells apart [default: the most up to 20 that the set has and that divide the
    /// batch]
    #[arg(long, value_name = "CLASSES")]
    pub way: Option<usize>,
    /// Margin of the contrastive loss, and of hadsell
    #[arg(long, default_value_t = 1.0)]
    pub margin: f32,
    /// Activation of the subnet
    #[arg(long, default_value = "relu")]
    pub activation: ActivationKind,
    /// Pooling of the subnet
    #[arg(long, default_value = "max")]
    pub pool: PoolKind,
    /// Distance between embeddings
    #[arg(long, default_value = "euclidean")]
    pub distance: PairDistance,
    /// Distort training images: a list of shift=PIXELS, rotate=DEGREES, shear=RADIANS, zoom=LOW..HIGH, flip and
    /// probability=P, such as shift=2,rotate=10,zoom=0.9..1.1
    #[arg(long, value_name = "LIST")]
    pub augment: Option<Augmentation>,
    /// Divide each image by its standard deviation and subtract its mean, as SiRCNN's paper does
    #[arg(long)]
    pub standardize: bool,
    /// Seed of everything random: weights, splits, pairs, distortions, glyphs
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Start from the weights of this file; a classifier lends its subnet to the network that it is made of
    #[arg(long, value_name = "FILE.safetensors")]
    pub init: Option<PathBuf>,
    /// Save a checkpoint every so many training steps [default: every epoch, and every minute within]
    #[arg(long, value_name = "N")]
    pub checkpoint_steps: Option<u64>,
    /// Write loss and hits of every step to steps.jsonl
    #[arg(long)]
    pub log_steps: bool,
}

/// Most classes of an episode, unless told otherwise.
const WAY: usize = 20;

/// Settings that a resumed run may change; every other one has shaped the weights already.
const CHANGEABLE: &[&str] = &[
    "data-dir",
    "adapter",
    "plan",
    "threads",
    "epochs",
    "max-steps",
    "patience",
    "checkpoint-steps",
    "log-steps",
];

/// Those of them that every `config.toml` has.
pub const ALWAYS: &[&str] = &["adapter", "plan", "threads", "epochs", "log-steps"];

/// Those of them that a cosine depends on: it ends with the run's last step.
const LENGTH: &[&str] = &["epochs", "max-steps"];

impl Default for Config {
    /// The flags' own defaults.
    fn default() -> Self {
        use clap::Parser;
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            config: Config,
        }
        Defaults::parse_from(["defaults"]).config
    }
}

impl Config {
    /// Reads a `config.toml`; what it leaves out has the flags' defaults.
    ///
    /// # Errors
    /// Names the file, the line and the key.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&super::read_text(path)?, path)
    }

    /// The settings in the text of a `config.toml`; `path` is for messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
    }

    /// These settings, but with every flag that was given on the command line.
    ///
    /// # Errors
    /// If the two do not make one configuration, which no flag can cause.
    pub fn overridden(&self, flags: &Config, matches: &clap::ArgMatches) -> Result<Self, Failure> {
        let mut merged = self.table()?;
        for (key, value) in flags.table()? {
            if matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine) {
                merged.insert(key, value);
            }
        }
        merged.try_into().map_err(|error: toml::de::Error| Failure::Usage(error.to_string()))
    }

    /// Refuses to go on with a run under other settings than it began with.
    ///
    /// # Errors
    /// Names the flags that differ and may not.
    pub fn check_resumed(&self, began: &Config) -> Result<(), Failure> {
        let (now, then) = (self.table()?, began.table()?);
        let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let show = |table: &toml::Table, key| table.get(key).map_or("not set".into(), |v| v.to_string());
        let keeps_length = self.schedule == Decay::Cosine;
        let may_change = |key: &str| CHANGEABLE.contains(&key) && !(keeps_length && LENGTH.contains(&key));
        let changed: Vec<String> = keys
            .into_iter()
            .filter(|key| now.get(*key) != then.get(*key) && !may_change(key))
            .map(|key| format!("--{key} is {} in this run, not {}", show(&then, key), show(&now, key)))
            .collect();
        if changed.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{}; a resumed run keeps its settings: leave the flag out, or start a new run",
            changed.join("; ")
        )))
    }

    /// The settings that a resumed run keeps, by flag.
    ///
    /// # Errors
    /// If a path is no text.
    pub fn shaping(&self) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
        let json = serde_json::to_value(self).map_err(|error| Failure::Usage(error.to_string()))?;
        let serde_json::Value::Object(all) = json else { return Ok(Default::default()) };
        let kept = |(key, value): &(String, serde_json::Value)| {
            !CHANGEABLE.contains(&key.as_str()) && !value.is_null()
        };
        Ok(all.into_iter().filter(kept).collect())
    }

    /// These settings, but with those that a resumed run keeps as they are given.
    ///
    /// # Errors
    /// They make no configuration.
    pub fn with_shaping(&self, given: &serde_json::Map<String, serde_json::Value>) -> Result<Self, Failure> {
        let usage = |error: serde_json::Error| Failure::Usage(error.to_string());
        let mut all = serde_json::to_value(self).map_err(usage)?;
        if let Some(all) = all.as_object_mut() {
            all.retain(|key, _| CHANGEABLE.contains(&key.as_str()));
            all.extend(given.clone());
        }
        serde_json::from_value(all).map_err(usage)
    }

    /// The command that repeats the run: every flag that has not its default.
    ///
    /// # Errors
    /// If a path is no text.
    pub fn command(&self) -> Result<String, Failure> {
        let defaults = Config::default().table()?;
        let mut command = "gpu-siamese train".to_string();
        for (key, value) in self.table()?.iter().filter(|(key, value)| defaults.get(*key) != Some(*value)) {
            command.push_str(&format!(" --{key}"));
            match value {
                // Flags without a value are off by default.
                toml::Value::Boolean(_) => {}
                toml::Value::String(text) => command.push_str(&format!(" {}", quoted(text))),
                value => command.push_str(&format!(" {value}")),
            }
        }
        Ok(command)
    }

    /// Settings by flag; those without a value are left out.
    fn table(&self) -> Result<toml::Table, Failure> {
        toml::Table::try_from(self).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The same settings with paths that hold from every folder.
    ///
    /// # Errors
    /// If the current folder is gone.
    pub fn absolute(mut self) -> Result<Self, Failure> {
        for path in [&mut self.data_dir, &mut self.init].into_iter().flatten() {
            *path = std::path::absolute(&path)
                .map_err(|error| Failure::Usage(format!("{}: {error}; check the path", path.display())))?;
        }
        Ok(self)
    }

    /// The text of a `config.toml`.
    ///
    /// # Errors
    /// If a path is no text.
    pub fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// Refuses values that cannot train.
    ///
    /// # Errors
    /// Names the flag and what it may be.
    pub fn check(&self) -> Result<(), Failure> {
        // What f32 has no normal number for counts as nothing, on a GPU at least.
        let normal = f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX);
        for (flag, value, usual) in [
            ("lr", self.lr, "0.001"),
            ("adam-eps", f64::from(self.adam_eps), "1e-8"),
            ("margin", f64::from(self.margin), "1"),
        ] {
            if !normal.contains(&value) {
                return Err(Failure::Usage(format!(
                    "--{flag} {value}: must be a positive number that f32 can hold, such as {usual}"
                )));
            }
        }
        check_threads(self.threads)?;
        for (flag, value) in [
            ("seed", self.seed),
            ("epochs", self.epochs),
            ("max-steps", self.max_steps.unwrap_or(1)),
            ("epoch-steps", self.epoch_steps.unwrap_or(1)),
            ("patience", self.patience.unwrap_or(1)),
            ("warmup", self.warmup),
            ("checkpoint-steps", self.checkpoint_steps.unwrap_or(1)),
        ] {
            // config.toml, which must repeat the run, has no larger integers.
            let least = u64::from(!["seed", "warmup"].contains(&flag));
            if value > i64::MAX as u64 || value < least {
                return Err(Failure::Usage(format!("--{flag} {value}: must be {least} to {}", i64::MAX)));
            }
        }
        // The pairs of an epoch lie on the device at once.
        if let Some(steps) =
            self.epoch_steps.filter(|steps| steps.saturating_mul(self.batch_size as u64) > 1 << 27)
        {
            return Err(Failure::Usage(format!(
                "--epoch-steps {steps}: with a batch of {} an epoch has more than {} pairs; use fewer steps and more --epochs",
                self.batch_size,
                1 << 27
            )));
        }
        if !(0.001..=0.9).contains(&self.val_share) {
            let share = self.val_share;
            return Err(Failure::Usage(format!("--val-share {share}: must be a number from 0.001 to 0.9")));
        }
        if !(0.0..=1e3).contains(&self.weight_decay) {
            let decay = self.weight_decay;
            return Err(Failure::Usage(format!("--weight-decay {decay}: must be a number from 0 to 1000")));
        }
        let misplaced = match self.optimizer {
            Optimizer::Adam => [("momentum", self.momentum.is_some()), ("l2", self.l2.is_some())],
            Optimizer::Sgd => {
                [("weight-decay", self.weight_decay != 0.0), ("adam-eps", self.adam_eps != 1e-8)]
            }
        };
        if let Some((flag, _)) = misplaced.iter().find(|(_, given)| *given) {
            let hint = match self.optimizer {
                Optimizer::Adam => "add --optimizer sgd; adam has --weight-decay",
                Optimizer::Sgd => "leave it out; sgd has --momentum and --l2",
            };
            return Err(Failure::Usage(format!("--{flag} is not of this optimizer: {hint}")));
        }
        if self.batch() == BatchLayout::Labelled {
            let model = &self.model;
            let usual = Config { model: model.clone(), ..Config::default() };
            let given = [
                ("loss", self.loss.is_some()),
                ("margin", self.margin != usual.margin),
                ("distance", self.distance != usual.distance),
            ];
            if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
                return Err(Failure::Usage(format!(
                    "--{flag}: {model} classifies images by the cross-entropy of classes and compares none; leave it out"
                )));
            }
        }
        if self.way.is_some() && self.loss() != Loss::Episodes {
            return Err(Failure::Usage(
                "--way is not of this loss: add --loss episodes, or leave it out".into(),
            ));
        }
        if self.batch_size == 0 || self.batch_size > 1 << 16 {
            let size = self.batch_size;
            return Err(Failure::Usage(format!("--batch-size {size}: must be between 1 and 65536")));
        }
        Ok(())
    }

    pub fn batch(&self) -> BatchLayout {
        if model::is_classifier(&self.model) { BatchLayout::Labelled } else { BatchLayout::Pairs }
    }

    pub fn pair_loss(&self) -> loss::Loss {
        let definition: &'static dyn loss::Definition = match self.loss() {
            _ if model::is_classifier(&self.model) => &loss::Classes,
            Loss::Contrastive => &loss::Contrastive,
            Loss::Hadsell => &loss::Hadsell,
            Loss::CrossEntropy => &loss::CrossEntropy,
            Loss::Episodes => &loss::Episodes,
        };
        let way = self.way.unwrap_or(self.usual_way(WAY));
        loss::Loss::of(definition).with("margin", self.margin).with("way", way as f32)
    }

    /// The most classes up to `most` of which a batch holds whole episodes.
    fn usual_way(&self, most: usize) -> usize {
        (2..=WAY.min(most)).rev().find(|&way| self.batch_size.is_multiple_of(way)).unwrap_or(WAY)
    }

    /// The loss that was chosen, or what the model was made for.
    pub fn loss(&self) -> Loss {
        let made_for =
            if model::gives_probability(&self.model) { Loss::CrossEntropy } else { Loss::Contrastive };
        self.loss.unwrap_or(made_for)
    }

    /// These settings with another loss.
    pub fn with_loss(self, loss: loss::Loss) -> Self {
        let name = match loss.name() {
            "hadsell" => Loss::Hadsell,
            "cross-entropy" => Loss::CrossEntropy,
            "episodes" => Loss::Episodes,
            _ => Loss::Contrastive,
        };
        let mut config = Config { loss: Some(name), ..self };
        for (setting, value) in loss.settings() {
            match setting.name {
                "margin" => config.margin = value,
                "way" => {
                    let way = value as usize;
                    // The batch is one of whole episodes.
                    config.batch_size = config.batch_size.next_multiple_of(way.max(1));
                    config.way = Some(way);
                }
                _ => {}
            }
        }
        config
    }

    pub fn optimizer_options(&self) -> OptimizerOptions {
        match self.optimizer {
            Optimizer::Adam => OptimizerOptions::Adam(AdamOptions {
                eps: self.adam_eps,
                weight_decay: self.weight_decay,
                ..AdamOptions::default()
            }),
            Optimizer::Sgd => OptimizerOptions::Sgd(SgdOptions {
                momentum: self.momentum.unwrap_or_default(),
                penalty: self.l2.unwrap_or_default(),
            }),
        }
    }

    pub fn model_options(&self) -> ModelOptions {
        ModelOptions {
            activation: self.activation,
            pool: self.pool,
            comparison: self.pair_loss().comparison(self.distance),
            ..ModelOptions::default()
        }
    }
}

/// Most threads that may be asked for.
const THREADS: usize = 1024;

/// Refuses more threads than a machine has cores.
///
/// # Errors
/// Says how many there may be.
pub fn check_threads(threads: usize) -> Result<(), Failure> {
    if threads <= THREADS {
        return Ok(());
    }
    Err(Failure::Usage(format!("--threads {threads}: must be 0, for all of the machine's, to {THREADS}")))
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_what_differs_from_the_defaults() {
        assert_eq!(Config::default().command().unwrap(), "gpu-siamese train");
        let config = Config {
            data_dir: Some("it's here".into()),
            lr: 0.002,
            loss: Some(Loss::Hadsell),
            batch_size: 32,
            log_steps: true,
            ..Config::default()
        };
        let command = config.command().unwrap();
        let flags: BTreeSet<&str> = command.split(" --").skip(1).collect();
        let expected = [r"data-dir 'it'\''s here'", "lr 0.002", "loss hadsell", "batch-size 32", "log-steps"];
        assert_eq!(flags, expected.into(), "{command}");
    }
}
