//! Everything that decides a run: flags of `train`, and `config.toml` of its folder, are one struct.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::model::{Comparison, ModelOptions};
use crate::ops::activation::ActivationKind;
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;
use crate::ops::pool2d::PoolKind;

/// Which loss to train with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// On the head's similarity: equation 2 of the SN-LeNet-5 paper.
    Contrastive,
    /// On the distance itself, without a head: Hadsell, Chopra and LeCun (2006).
    Hadsell,
}

/// Which optimizer to train with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    Adam,
}

/// Which plan to run: one kind, or what suits the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanChoice {
    /// What suits the adapter
    Auto,
    /// One launch for every function of every op
    Unfused,
    /// Large blocks in registers: for software adapters
    Blocked,
}

/// Everything needed to repeat a run.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Network to train
    #[arg(long, default_value = "sn-lenet5")]
    pub model: String,
    /// Data set: glyphs (made from the seed), mnist, fashion-mnist
    #[arg(long, default_value = "glyphs")]
    pub dataset: String,
    /// Folder in which data sets are looked for
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
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
    /// Stop after so many training steps
    #[arg(long)]
    pub max_steps: Option<u64>,
    /// Pairs of a training step
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// Learning rate
    #[arg(long, default_value_t = 1e-3)]
    pub lr: f64,
    /// Adam's eps, outside the root
    #[arg(long, default_value_t = 1e-8)]
    pub adam_eps: f32,
    #[arg(long, default_value = "adam")]
    pub optimizer: Optimizer,
    /// Loss
    #[arg(long, default_value = "contrastive")]
    pub loss: Loss,
    /// Margin of the loss
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
    pub distance: DistanceKind,
    /// Seed of everything random: weights, splits, pairs, glyphs
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Start from the weights of this file
    #[arg(long, value_name = "FILE.safetensors")]
    pub init: Option<PathBuf>,
}

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
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}; check the path", path.display())))?;
        toml::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
    }

    /// These settings, but with every flag that was given on the command line.
    ///
    /// # Errors
    /// If the two do not make one configuration, which no flag can cause.
    pub fn overridden(&self, flags: &Config, matches: &clap::ArgMatches) -> Result<Self, Failure> {
        let table = |config: &Config| {
            toml::Table::try_from(config).map_err(|error| Failure::Usage(error.to_string()))
        };
        let mut merged = table(self)?;
        for (key, value) in table(flags)? {
            if matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine) {
                merged.insert(key, value);
            }
        }
        merged.try_into().map_err(|error: toml::de::Error| Failure::Usage(error.to_string()))
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
        let positive = |flag: &str, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(());
            }
            Err(Failure::Usage(format!("--{flag} {value}: must be a positive number, such as 0.001")))
        };
        positive("lr", self.lr)?;
        positive("adam-eps", f64::from(self.adam_eps))?;
        positive("margin", f64::from(self.margin))?;
        for (flag, value) in
            [("seed", self.seed), ("epochs", self.epochs), ("max-steps", self.max_steps.unwrap_or(1))]
        {
            // config.toml, which must repeat the run, has no larger integers.
            if value > i64::MAX as u64 || (value == 0 && flag != "seed") {
                let least = u64::from(flag != "seed");
                return Err(Failure::Usage(format!("--{flag} {value}: must be {least} to {}", i64::MAX)));
            }
        }
        if self.batch_size == 0 || self.batch_size > 1 << 16 {
            let size = self.batch_size;
            return Err(Failure::Usage(format!("--batch-size {size}: must be between 1 and 65536")));
        }
        Ok(())
    }

    pub fn convention(&self) -> Convention {
        match self.loss {
            Loss::Contrastive => Convention::Similarity,
            Loss::Hadsell => Convention::Distance,
        }
    }

    pub fn model_options(&self) -> ModelOptions {
        let head = self.loss == Loss::Contrastive;
        ModelOptions {
            activation: self.activation,
            pool: self.pool,
            comparison: Comparison { distance: self.distance, head },
        }
    }
}
