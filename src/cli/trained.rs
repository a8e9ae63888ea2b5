//! From `--run-dir` or `--weights` to a network that can score pairs.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::config::{Config, Loss, PlanChoice, check_threads};
use super::open::Target;
use super::{Failure, say};
use crate::data::{Album, Polarity, Preparation, Shape};
use crate::loss::{NORM_EPS, PairDistance};
use crate::model;
use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;
use crate::plan::{Capacity, Mode};
use crate::session::Session;
use crate::train::checkpoint::CheckpointError;
use crate::train::{Description, RunError, Weights, checkpoint, setup};

/// Which network to use, and on what.
#[derive(Args)]
#[group(skip)]
pub struct Arguments {
    #[command(flatten)]
    file: File,
    /// Network that the weights are of; weights of this program say so themselves
    #[arg(long)]
    model: Option<String>,
    /// Size of its images, channels first, for weights that do not say
    #[arg(long, value_name = "1x28x28")]
    input: Option<Shape>,
    /// Activation of the subnet, for weights that do not say
    #[arg(long)]
    activation: Option<ActivationKind>,
    /// Pooling of the subnet, for weights that do not say
    #[arg(long)]
    pool: Option<PoolKind>,
    /// Distance between embeddings, for weights that do not say
    #[arg(long)]
    distance: Option<PairDistance>,
    /// Loss that they were trained with, for weights that do not say
    #[arg(long)]
    loss: Option<Loss>,
    /// Margin of that loss, for weights that do not say
    #[arg(long)]
    margin: Option<f32>,
    /// Divide each image by its standard deviation and subtract its mean
    #[arg(long)]
    standardize: bool,
    /// Similarity above which two images are called the same: a number, `saved` for the one with the best validation
    /// accuracy, or far=0.1, far=0.01, far=0.001 for the one that so many different validation pairs pass
    #[arg(long, default_value = "0.5")]
    pub threshold: Threshold,
    /// auto, cpu, a backend (vulkan, metal, dx12, gl), an index from `adapters`, or part of a name
    #[arg(long, default_value = "auto")]
    adapter: String,
    /// How the work is cut into launches
    #[arg(long, default_value = "auto")]
    plan: PlanChoice,
    /// Threads of the CPU; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Args)]
#[group(id = "network", required = true, multiple = false)]
struct File {
    /// Folder of a run: its best weights and its settings
    #[arg(long)]
    run_dir: Option<PathBuf>,
    /// Weights, by PyTorch's names and layouts
    #[arg(long, value_name = "FILE.safetensors")]
    weights: Option<PathBuf>,
}

/// What pictures are given.
#[derive(Args)]
pub struct Pictures {
    /// What is done to pictures before they are compared [default: what was done to the files that the network was
    /// trained on]
    #[arg(long)]
    polarity: Option<Polarity>,
    /// Dark ink on light paper: the same as --polarity inverted
    #[arg(long, conflicts_with = "polarity")]
    invert: bool,
}

/// Where similarities part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    Saved,
    /// By false accept rate.
    Far(f64),
    Number(f64),
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_rate, number) = text.strip_prefix("far=").map_or((false, text), |rate| (true, rate));
        match number.parse() {
            _ if text == "saved" => Ok(Threshold::Saved),
            Ok(rate) if is_rate && [0.1, 0.01, 0.001].contains(&rate) => Ok(Threshold::Far(rate)),
            Ok(number) if !is_rate && (0.0..=1.0).contains(&number) => Ok(Threshold::Number(number)),
            _ => Err("must be a number from 0 to 1, `saved`, far=0.1, far=0.01 or far=0.001".into()),
        }
    }
}

/// A trained network, read and described but not yet on a device.
pub struct Trained {
    pub description: Description,
    /// Similarity above which two images are called the same.
    pub threshold: f64,
    /// Settings of the run, or such as fit the weights.
    pub config: Config,
    weights: Weights,
    path: PathBuf,
}

impl Trained {
    /// Reads weights and what there is to know of them.
    ///
    /// # Errors
    /// Files that cannot be used, or weights that say nothing of themselves and no `--model`.
    pub fn read(arguments: &Arguments) -> Result<Self, Failure> {
        check_threads(arguments.threads)?;
        let (path, settings) = match (&arguments.file.run_dir, &arguments.file.weights) {
            (Some(folder), _) => (folder.join("best.safetensors"), Some(run_settings(folder)?)),
            (None, Some(path)) => (path.clone(), None),
            (None, None) => return Err(Failure::Usage("name a --run-dir, or --weights".into())),
        };
        let weights = load(&path)?;
        let described = weights.metadata.as_ref().map(|metadata| metadata.description.clone());
        let saved = described.as_ref().and_then(|description| description.threshold_for(arguments.threshold));
        let threshold = match (arguments.threshold, saved) {
            (Threshold::Number(number), _) | (_, Some(number)) => number,
            _ => {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "--threshold: {path} has none saved; name a number, such as 0.5"
                )));
            }
        };
        let description = match described {
            Some(description) => arguments.agrees_with(description, &path)?,
            None => arguments.describe(&path)?,
        };
        check(&description, &path)?;
        let config = Config {
            model: description.model.clone(),
            adapter: arguments.adapter.clone(),
            plan: arguments.plan,
            threads: arguments.threads,
            standardize: description.standardize,
            activation: description.activation,
            pool: description.pool,
            distance: description.distance,
            seed: description.seed,
            dataset: description.dataset.clone(),
            fit: description.preparation().fit,
            ..settings.unwrap_or_default()
        }
        .with_loss(description.loss);
        Ok(Trained { description, threshold, config, weights, path })
    }

    /// Whether it classifies images instead of comparing them.
    pub fn is_classifier(&self) -> bool {
        model::is_classifier(&self.description.model)
    }

    /// What is done to pictures: what was done in training, unless told otherwise.
    pub fn preparation(&self, pictures: &Pictures) -> Preparation {
        let own = self.description.preparation();
        let told = pictures.polarity.or(pictures.invert.then_some(Polarity::Inverted));
        Preparation { polarity: told.unwrap_or(own.polarity), ..own }
    }

    /// The threshold that was saved with the weights.
    pub fn saved_threshold(&self) -> Option<f64> {
        self.weights.metadata.as_ref().map(|metadata| metadata.description.threshold)
    }

    /// An executor with the weights and an album's images, able to score so many pairs at once.
    ///
    /// # Errors
    /// No such adapter, weights that do not fit the model, or too little memory.
    pub fn executor(&self, album: &Album, pairs: usize) -> Result<Box<dyn Session>, Failure> {
        self.executor_for(album, album.len(), pairs)
    }

    /// The same with room for so many embeddings at once.
    ///
    /// # Errors
    /// As [`Self::executor`].
    pub fn executor_for(
        &self,
        album: &Album,
        embeddings: usize,
        pairs: usize,
    ) -> Result<Box<dyn Session>, Failure> {
        let target = Target::open(&self.config.adapter)?;
        let capacity = Capacity {
            images: album.len(),
            pairs: self.config.batch_size,
            embeddings: embeddings.max(2),
            scores: pairs,
        };
        let classes = self.description.model_options().classes;
        let plan = target.plan(&self.config, (self.description.input, classes), capacity, Mode::Inference)?;
        let weights = self.weights.for_plan(&plan, &self.path)?;
        target.check_memory(&plan)?;
        let mut executor = target.executor(plan, self.config.threads)?;
        let adapter = executor.adapter();
        let software = if adapter.software { ", a software adapter: right, but slow" } else { "" };
        let why = target.why(&self.config);
        say(format_args!("on {} ({}, {}{software}){why}", adapter.name, adapter.backend, adapter.driver));
        setup::upload_bytes(executor.as_mut(), album.shape, &album.images)?;
        setup::write_all(executor.as_mut(), &weights)?;
        Ok(executor)
    }
}

impl Description {
    /// The threshold that was chosen on validation pairs.
    fn threshold_for(&self, wanted: Threshold) -> Option<f64> {
        match wanted {
            Threshold::Saved => Some(self.threshold),
            Threshold::Far(rate) => self
                .threshold_at_far?
                .each()
                .into_iter()
                .find(|(far, _)| *far == rate)
                .map(|(_, threshold)| threshold),
            Threshold::Number(number) => Some(number),
        }
    }
}

impl Arguments {
    /// The best weights of a run, on the adapter of these settings.
    pub fn of_run(folder: &Path, config: &Config) -> Self {
        Arguments {
            file: File { run_dir: Some(folder.to_path_buf()), weights: None },
            model: None,
            input: None,
            activation: None,
            pool: None,
            distance: None,
            loss: None,
            margin: None,
            standardize: false,
            threshold: Threshold::Number(0.5),
            adapter: config.adapter.clone(),
            plan: config.plan,
            threads: config.threads,
        }
    }

    /// The description of weights that have none.
    fn describe(&self, path: &Path) -> Result<Description, Failure> {
        let Some(model) = self.model.clone() else {
            return Err(Failure::Usage(format!(
                "{} does not say which model it is of; name it with --model, and what else is not the default",
                path.display()
            )));
        };
        let defaults = Config::default();
        let loss = Config {
            model: model.clone(),
            loss: self.loss,
            margin: self.margin.unwrap_or(defaults.margin),
            ..Config::default()
        };
        Ok(Description {
            model,
            dataset: defaults.dataset,
            input: self.input.unwrap_or(Shape { channels: 1, height: 28, width: 28 }),
            activation: self.activation.unwrap_or(defaults.activation),
            pool: self.pool.unwrap_or(defaults.pool),
            distance: self.distance.unwrap_or(defaults.distance),
            loss: loss.pair_loss(),
            standardize: self.standardize,
            preparation: Some(Preparation::default()),
            classes: None,
            norm_eps: NORM_EPS,
            threshold: 0.5,
            threshold_at_far: None,
            seed: defaults.seed,
            epoch: 0,
            step: 0,
            run: None,
        })
    }

    /// Weights that describe themselves are used as they say; a flag that says otherwise is an error.
    fn agrees_with(&self, description: Description, path: &Path) -> Result<Description, Failure> {
        let own = Config::default().with_loss(description.loss);
        let told = [
            ("model", self.model.as_ref().is_none_or(|model| *model == description.model)),
            ("input", self.input.is_none_or(|input| input == description.input)),
            ("activation", self.activation.is_none_or(|kind| kind == description.activation)),
            ("pool", self.pool.is_none_or(|kind| kind == description.pool)),
            ("distance", self.distance.is_none_or(|kind| kind == description.distance)),
            ("loss", self.loss.is_none_or(|loss| Some(loss) == own.loss)),
            ("standardize", !self.standardize || description.standardize),
            ("margin", self.margin.is_none_or(|margin| margin == own.margin)),
        ];
        match told.iter().find(|(_, agrees)| !agrees) {
            None => Ok(description),
            Some((flag, _)) => Err(Failure::Usage(format!(
                "--{flag}: {} was trained otherwise and says so itself; leave the flag out",
                path.display()
            ))),
        }
    }
}

/// Reads a weights file, and says what was done to it.
///
/// # Errors
/// As [`checkpoint::load`].
pub fn load(path: &Path) -> Result<Weights, Failure> {
    let weights = checkpoint::load(path)?;
    for note in &weights.notes {
        say(format_args!("note: {note}"));
    }
    Ok(weights)
}

/// The settings of a run, which must have weights to use.
fn run_settings(folder: &Path) -> Result<Config, Failure> {
    if folder.is_file() {
        return Err(Failure::Usage(format!(
            "--run-dir {}: is a file, not the folder of a run; name its folder, or a weights file by --weights",
            folder.display()
        )));
    }
    let file = folder.join("config.toml");
    if !file.is_file() {
        return Err(Failure::Usage(format!(
            "--run-dir {}: there is no config.toml, so it is no run's folder; check the path",
            folder.display()
        )));
    }
    if !folder.join("best.safetensors").exists() {
        return Err(Failure::Run(RunError::NoEpoch { folder: folder.to_path_buf() }));
    }
    Config::read(&file)
}

fn thresholds(description: &Description) -> impl Iterator<Item = f64> {
    let by_far = description.threshold_at_far.into_iter().flat_map(|by_far| by_far.each());
    std::iter::once(description.threshold).chain(by_far.map(|(_, threshold)| threshold))
}

/// Refuses a description that no run of this program could have written.
fn check(description: &Description, path: &Path) -> Result<(), Failure> {
    let Shape { channels, height, width } = description.input;
    let margin = Config::default().with_loss(description.loss).margin;
    let sane = |size: usize| (1..=4096).contains(&size);
    let message = if !(sane(channels) && sane(height) && sane(width)) {
        format!("images of {}", description.input)
    } else if !(margin > 0.0 && margin.is_finite()) {
        format!("a margin of {margin}")
    } else if let Some((setting, value)) = description
        .loss
        .settings()
        .find(|(setting, value)| !(setting.range.0..=setting.range.1).contains(value))
    {
        format!("a {} of {value}", setting.name)
    } else if let Some(wrong) = thresholds(description).find(|threshold| !(0.0..=1.0).contains(threshold)) {
        format!("a threshold of {wrong}")
    } else {
        return Ok(());
    };
    Err(CheckpointError::Metadata { path: path.to_path_buf(), message }.into())
}
