//! Weights in safetensors files, with PyTorch's names and layouts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::description::Description;
use super::foreign;
use super::output::{self, remedy};
use super::position::Position;
use crate::model;
use crate::plan::{Plan, optimizer};

/// What can go wrong with a weights file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{}: cannot be read: {source}; check the path", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}; {}", path.display(), remedy(source, "--run-dir"))]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: declares tensors of more than {limit} bytes, the most that is read; name a weights file", path.display())]
    TooBig { path: PathBuf, limit: u64 },
    #[error("{}: is not a safetensors file: {message}; save weights with safetensors", path.display())]
    Format { path: PathBuf, message: String },
    #[error("{}: its metadata cannot be used: {message}; restore the file, or remove the metadata and name the --model", path.display())]
    Metadata { path: PathBuf, message: String },
    #[error("{}: tensor {tensor} is {kind}; convert it to float32", path.display())]
    Kind { path: PathBuf, tensor: String, kind: String },
    #[error("{}: {what}; use weights of a run that did not diverge", path.display())]
    Unfit { path: PathBuf, what: String },
    #[error("{}: does not fit model {model}:\n{}", path.display(), problems.join("\n"))]
    Misfit { path: PathBuf, model: String, problems: Vec<String> },
}

/// Most bytes of a file's tensors: fifteen times the largest network here, moments included.
pub const LIMIT: u64 = 8 << 30;

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// What a file of this program says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(flatten)]
    pub description: Description,
    /// In a checkpoint: where its run stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// What a weights file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub tensors: Vec<Loaded>,
    /// What was done to make them float32 of the names that are known here, a sentence each.
    pub notes: Vec<String>,
    /// Absent from files of other programs.
    pub metadata: Option<Metadata>,
}

/// Key of the one metadata entry: a JSON object. A file with several entries would differ from run
/// to run, since the format's library writes them in no fixed order.
const METADATA_KEY: &str = "gpu-siamese";

/// Tensor names that PyTorch adds and that mean nothing here.
const IGNORED: &str = "num_batches_tracked";

/// Writes tensors of the plan to a file: aside first, synced, then renamed.
///
/// # Errors
/// [`CheckpointError::Write`]
pub fn save(
    path: &Path,
    plan: &Plan,
    tensors: &[(String, Vec<f32>)],
    metadata: &Metadata,
) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Write { path: path.to_path_buf(), source };
    let bytes: Vec<(&str, Vec<usize>, &[u8])> = tensors
        .iter()
        .map(|(name, values)| {
            let shape = plan.tensor(name).map_or(vec![values.len()], |tensor| tensor.shape.clone());
            (name.as_str(), shape, bytemuck::cast_slice(values.as_slice()))
        })
        .collect();
    let views = bytes
        .into_iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape, bytes).map(|view| (name, view)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(std::io::Error::other(error)))?;
    let json = serde_json::to_string(metadata).map_err(|error| failed(error.into()))?;
    let entries = HashMap::from([(METADATA_KEY.to_string(), json)]);
    let file =
        safetensors::serialize(views, Some(entries)).map_err(|error| failed(std::io::Error::other(error)))?;
    output::write(path, &file).map_err(failed)
}

/// Reads a file's tensors of floating-point numbers.
///
/// # Errors
/// Unreadable, too big, no safetensors, or metadata that this program did not write.
pub fn load(path: &Path) -> Result<Weights, CheckpointError> {
    let unreadable = |source| CheckpointError::Read { path: path.to_path_buf(), source };
    match std::fs::File::open(path).and_then(|file| foreign::bytes(file, LIMIT)).map_err(unreadable)? {
        Some(file) => parse(&file, path),
        None => Err(CheckpointError::TooBig { path: path.to_path_buf(), limit: LIMIT }),
    }
}

/// The tensors in the bytes of a file; `path` is for messages.
///
/// # Errors
/// No safetensors, or metadata that this program did not write.
pub fn parse(file: &[u8], path: &Path) -> Result<Weights, CheckpointError> {
    let format = |message: String| CheckpointError::Format { path: path.to_path_buf(), message };
    let (_, header) =
        SafeTensors::read_metadata(file).map_err(|error| format(format!("{error}{}", looks_like(file))))?;
    let metadata = match header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)) {
        Some(json) => Some(serde_json::from_str(json).map_err(|error| CheckpointError::Metadata {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?),
        None => None,
    };
    let parsed = SafeTensors::deserialize(file).map_err(|error| format(error.to_string()))?;
    let (mut tensors, mut converted) = (Vec::new(), BTreeMap::<String, usize>::new());
    for (name, view) in parsed.tensors() {
        if name.ends_with(IGNORED) {
            continue;
        }
        let (path, kind) = (path.to_path_buf(), format!("{:?}", view.dtype()));
        let values = match foreign::values(view.dtype(), view.data()) {
            Ok(values) => values,
            Err(foreign::Unfit::Kind) => return Err(CheckpointError::Kind { path, tensor: name, kind }),
            Err(foreign::Unfit::NotFinite { position, value }) => {
                let what = format!("{name} holds {value} at position {position}");
                return Err(CheckpointError::Unfit { path, what });
            }
        };
        if view.dtype() != Dtype::F32 {
            *converted.entry(kind).or_default() += 1;
        }
        tensors.push(Loaded { name, shape: view.shape().to_vec(), values });
    }
    if let Some(unfit) = unfit(tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.values.as_slice())))
    {
        return Err(CheckpointError::Unfit { path: path.to_path_buf(), what: unfit.to_string() });
    }
    let told = |words: String| format!("{}: {words}", path.display());
    let mut notes: Vec<String> = converted
        .into_iter()
        .map(|(kind, count)| told(format!("{count} tensors of {kind} were converted to float32")))
        .collect();
    let mut names: Vec<&mut String> = tensors.iter_mut().map(|tensor| &mut tensor.name).collect();
    notes.extend(foreign::unwrap(&mut names).into_iter().map(|(prefix, count)| {
        told(format!("{count} names begin with {prefix}, as a wrapper's do; it was left off"))
    }));
    Ok(Weights { tensors, notes, metadata })
}

/// A value that no network can compute with.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfit {
    pub tensor: String,
    pub position: usize,
    pub value: f32,
    why: &'static str,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds {} at position {}{}", self.tensor, self.value, self.position, self.why)
    }
}

/// The first value that makes tensors unusable: no number, a variance below 0, or one so large that f32 overflows
/// with it, by its square, as distances take it, or where an image's way through the network meets the largest value
/// of each tensor. Layers in between may hide an overflow: the maximum of NaN and 0 is 0.
pub fn unfit<'a>(tensors: impl Iterator<Item = (&'a str, &'a [f32])> + Clone) -> Option<Unfit> {
    let found = |(tensor, values): (&str, &[f32]), bad: &dyn Fn(f32) -> bool, why| {
        let position = values.iter().position(|&value| bad(value))?;
        Some(Unfit { tensor: tensor.into(), position, value: values[position], why })
    };
    let too_large = ": with values so large 32-bit floats overflow";
    let (mut product, mut largest) = (1.0, None);
    for (name, values) in tensors {
        let ending = name.rsplit('.').next().unwrap_or(name);
        let squared = ["running_var", "second_moment"].contains(&ending);
        let bad = found((name, values), &|value| !value.is_finite(), "")
            .or_else(|| {
                found((name, values), &|value| squared && value < 0.0, ": a variance is never negative")
            })
            .or_else(|| found((name, values), &|value| !squared && !(value * value).is_finite(), too_large));
        if bad.is_some() {
            return bad;
        }
        if optimizer::is_kept(ending) || ending.starts_with("running_") {
            continue;
        }
        let most = values.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
        product *= f64::from(most);
        if largest.is_none_or(|(before, _, _)| most > before) {
            largest = Some((most, name, values));
        }
    }
    let (most, name, values) = largest.filter(|_| product > f64::from(f32::MAX))?;
    found((name, values), &|value| value.abs() == most, too_large)
}

/// Completes the message on a file that is no safetensors.
fn looks_like(file: &[u8]) -> &'static str {
    match file {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            " (it looks like a pickle of torch.save: use safetensors.torch.save_file instead)"
        }
        [0x89, b'H', b'D', b'F', ..] => " (it is an HDF5 file, as Keras writes them)",
        _ => "",
    }
}

impl Weights {
    /// The tensors that the plan wants, in its order, each checked; an optimizer's state is left out.
    ///
    /// # Errors
    /// [`CheckpointError::Misfit`] lists everything missing, misshapen and extra.
    pub fn for_plan(&self, plan: &Plan, path: &Path) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        self.choose(plan, path, false)
    }

    /// The same with the optimizer's moments: what a resumed run wants.
    ///
    /// # Errors
    /// As [`Self::for_plan`].
    pub fn with_moments(&self, plan: &Plan, path: &Path) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        self.choose(plan, path, true)
    }

    /// Whether these are a classifier's, made of the subnet of the plan's model.
    pub fn is_of_classifier_for(&self, plan: &Plan) -> bool {
        let model = self.metadata.as_ref().map(|metadata| metadata.description.model.as_str());
        model.and_then(model::backbone_of).is_some_and(|subnet| subnet == plan.model)
    }

    /// A classifier's subnet, beside it the head as in `initial`.
    ///
    /// # Errors
    /// [`CheckpointError::Misfit`] where the subnet is another one.
    pub fn subnet_for(
        &self,
        plan: &Plan,
        path: &Path,
        initial: Vec<(String, Vec<f32>)>,
    ) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        let mut problems = Vec::new();
        let mut start = initial;
        for (name, values) in start.iter_mut().filter(|(name, _)| !name.starts_with("head.")) {
            let shape = plan.tensor(name).map_or(&[][..], |tensor| &tensor.shape);
            match self.tensors.iter().find(|tensor| tensor.name == *name && tensor.shape == shape) {
                Some(tensor) => values.clone_from(&tensor.values),
                None => problems.push(format!("  {name} {shape:?} is missing")),
            }
        }
        if problems.is_empty() {
            return Ok(start);
        }
        Err(CheckpointError::Misfit { path: path.to_path_buf(), model: plan.model.clone(), problems })
    }

    fn choose(
        &self,
        plan: &Plan,
        path: &Path,
        moments: bool,
    ) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        let mut problems = Vec::new();
        if let Some(metadata) = &self.metadata {
            let Description { model, norm_eps, .. } = &metadata.description;
            if *model != plan.model {
                problems.push(format!("  the file is of model {model}"));
            }
            if *norm_eps != crate::loss::NORM_EPS {
                problems.push(format!("  its norm has eps {norm_eps}, not {}", crate::loss::NORM_EPS));
            }
        }
        let by_name: HashMap<&str, &Loaded> =
            self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let mut chosen = Vec::new();
        for name in plan.saved(moments) {
            let shape = plan.tensor(&name).map_or(&[][..], |tensor| &tensor.shape);
            match by_name.get(name.as_str()) {
                None => problems.push(format!("  {name} {shape:?} is missing")),
                Some(tensor) if tensor.shape != shape => {
                    problems.push(format!("  {name} is {:?}, but the model wants {shape:?}", tensor.shape))
                }
                Some(tensor) => chosen.push((name, tensor.values.clone())),
            }
        }
        let own: std::collections::HashSet<String> = plan.saved(false).into_iter().collect();
        // Whichever optimizer left its state.
        let known = |name: &str| {
            let kept = name.rsplit_once('.').filter(|(_, ending)| optimizer::is_kept(ending));
            own.contains(name) || kept.is_some_and(|(parameter, _)| own.contains(parameter))
        };
        for Loaded { name, shape, .. } in self.tensors.iter().filter(|tensor| !known(&tensor.name)) {
            problems.push(format!("  {name} {shape:?} is unknown to the model"));
        }
        if problems.is_empty() {
            return Ok(chosen);
        }
        Err(CheckpointError::Misfit { path: path.to_path_buf(), model: plan.model.clone(), problems })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::Shape;
    use crate::loss::{Contrastive, Loss, PairDistance};
    use crate::model::{ModelOptions, network};
    use crate::ops::Layout;
    use crate::plan::{BatchLayout, Capacity, Mode, OptimizerOptions, PlanKind, PlanOptions, build};
    use crate::train::setup::initial_values;

    pub(in crate::train) fn plan() -> Plan {
        let input = Shape { channels: 1, height: 28, width: 28 };
        let network = network("sn-lenet5", input, &ModelOptions::default()).unwrap();
        let options = PlanOptions {
            kind: PlanKind::Unfused,
            batch: BatchLayout::Pairs,
            batch_size: 2,
            mode: Mode::Training,
            loss: Loss::default(),
            optimizer: OptimizerOptions::default(),
            augment: false,
            standardize: false,
            capacity: Capacity { images: 1, pairs: 2, embeddings: 2, scores: 1 },
            max_binding: usize::MAX / 8,
            layout: Layout::Plain,
        };
        build(&network, &options).unwrap()
    }

    fn description() -> Description {
        let options = ModelOptions::default();
        Description {
            model: "sn-lenet5".into(),
            dataset: "glyphs".into(),
            input: Shape { channels: 1, height: 28, width: 28 },
            activation: options.activation,
            pool: options.pool,
            distance: PairDistance::EUCLIDEAN,
            loss: Loss::of(&Contrastive).with("margin", 0.1),
            standardize: false,
            preparation: None,
            classes: None,
            norm_eps: crate::loss::NORM_EPS,
            threshold: 1.0 / 3.0,
            threshold_at_far: None,
            seed: 0,
            epoch: 2,
            step: 600,
            run: None,
        }
    }

    /// Name, shape, kind and bytes of a tensor.
    type Raw = (String, Vec<usize>, Dtype, Vec<u8>);

    /// A file of the initial weights, changed by `change`.
    fn file(change: impl FnOnce(&mut Vec<Raw>)) -> tempfile::NamedTempFile {
        let plan = plan();
        let mut tensors: Vec<_> = initial_values(&plan, 1)
            .into_iter()
            .map(|(name, values)| {
                let shape = plan.tensor(&name).unwrap().shape.clone();
                (name, shape, Dtype::F32, bytemuck::cast_slice(&values).to_vec())
            })
            .collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, shape, dtype, bytes)| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), safetensors::serialize(views, None).unwrap()).unwrap();
        file
    }

    fn loaded(file: &tempfile::NamedTempFile) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        load(file.path())?.for_plan(&plan(), file.path())
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let (plan, folder) = (plan(), tempfile::tempdir().unwrap());
        let path = folder.path().join("w.safetensors");
        let values = initial_values(&plan, 3);
        let metadata = Metadata { description: description(), position: Some(Position::default()) };
        save(&path, &plan, &values, &metadata).unwrap();
        let weights = load(&path).unwrap();
        assert_eq!(weights.metadata.as_ref(), Some(&metadata));
        assert_eq!(weights.for_plan(&plan, &path).unwrap(), values);
        let first = std::fs::read(&path).unwrap();
        save(&path, &plan, &values, &metadata).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap(), "the same weights are the same bytes");
    }

    #[test]
    fn what_pytorch_adds_is_ignored() {
        let file = file(|tensors| {
            let name = "head.norm.num_batches_tracked".to_string();
            tensors.push((name, vec![], Dtype::I64, vec![0; 8]));
        });
        assert_eq!(loaded(&file).unwrap().len(), plan().parameters.len());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mismatch = |change: fn(&mut Vec<Raw>)| loaded(&file(change)).unwrap_err().to_string();
        let message = mismatch(|tensors| tensors.retain(|(name, ..)| name != "fc2.bias"));
        assert!(message.contains("fc2.bias [84] is missing"), "{message}");
        // As many values, but the wrong way round, as other frameworks store them.
        let message = mismatch(|tensors| {
            tensors.iter_mut().filter(|t| t.0 == "fc1.weight").for_each(|t| t.1.reverse());
        });
        assert!(message.contains("fc1.weight is [400, 120], but the model wants [120, 400]"), "{message}");
        let message = mismatch(|tensors| tensors.push(("fc3.bias".into(), vec![1], Dtype::F32, vec![0; 4])));
        assert!(message.contains("fc3.bias [1] is unknown"), "{message}");
        let message = mismatch(|tensors| {
            tensors.iter_mut().filter(|t| t.0 == "fc2.bias").for_each(|t| t.2 = Dtype::I32);
        });
        assert!(message.contains("fc2.bias is I32"), "{message}");
        let message = mismatch(|tensors| {
            tensors.iter_mut().filter(|t| t.0 == "fc2.bias").for_each(|t| t.3[10..12].fill(0xff));
        });
        assert!(message.contains("fc2.bias holds NaN at position 2"), "{message}");
    }

    /// What a training framework makes of names and numbers.
    #[test]
    fn wrapped_and_half_precision_weights_are_read_and_it_is_said() {
        let own = loaded(&file(|_| {})).unwrap();
        let half = |bytes: &mut Vec<u8>| {
            *bytes = bytes.chunks_exact(4).flat_map(|four| [four[2], four[3]]).collect()
        };
        let file = file(|tensors| {
            for (name, _, dtype, bytes) in tensors {
                *name = format!("_orig_mod.module.{name}");
                if name.ends_with("fc2.bias") {
                    *dtype = Dtype::BF16;
                    half(bytes);
                }
            }
        });
        let notes = load(file.path()).unwrap().notes.join("; ");
        let count = own.len();
        for words in [
            "1 tensors of BF16".into(),
            format!("{count} names begin with _orig_mod."),
            format!("{count} names begin with module."),
        ] {
            assert!(notes.contains(&words), "{notes}");
        }
        for ((name, values), (_, expected)) in loaded(&file).unwrap().iter().zip(&own) {
            let eps = if name == "fc2.bias" { 2f32.powi(-7) } else { 0.0 };
            assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() <= eps * b.abs()), "{name}");
        }
    }

    #[test]
    fn a_truncated_file_is_no_weights() {
        let file = file(|_| {});
        let bytes = std::fs::read(file.path()).unwrap();
        for keep in [0, 7, 100, bytes.len() - 1] {
            std::fs::write(file.path(), &bytes[..keep]).unwrap();
            assert!(matches!(loaded(&file), Err(CheckpointError::Format { .. })), "{keep} bytes");
        }
    }
}
