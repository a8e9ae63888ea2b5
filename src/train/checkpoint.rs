//! Weights in safetensors files, with PyTorch's names and layouts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::plan::Plan;

/// What can go wrong with a weights file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{}: cannot be read: {source}; check the path", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}; free some space or choose another --run-dir", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: is not a safetensors file: {message}; save weights with safetensors", path.display())]
    Format { path: PathBuf, message: String },
    #[error("{}: does not fit model {model}:\n{}", path.display(), problems.join("\n"))]
    Misfit { path: PathBuf, model: String, problems: Vec<String> },
}

/// Tensors by name, as f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub tensors: Vec<(String, Vec<f32>)>,
    /// The file's metadata.
    pub metadata: BTreeMap<String, String>,
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
    metadata: &BTreeMap<String, String>,
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
    let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
    let file = safetensors::serialize(views, Some(metadata))
        .map_err(|error| failed(std::io::Error::other(error)))?;
    write_aside(path, &file).map_err(failed)
}

/// Replaces a file only by a whole one.
///
/// # Errors
/// What the file system reports.
pub fn write_aside(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let aside = path.with_extension("partial");
    let mut file = std::fs::File::create(&aside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

/// Reads a file's f32 tensors.
///
/// # Errors
/// Unreadable, or no safetensors.
pub fn load(path: &Path) -> Result<Weights, CheckpointError> {
    let file =
        std::fs::read(path).map_err(|source| CheckpointError::Read { path: path.to_path_buf(), source })?;
    let format = |message: String| CheckpointError::Format { path: path.to_path_buf(), message };
    let (_, header) = SafeTensors::read_metadata(&file).map_err(|error| format(error.to_string()))?;
    let metadata = match header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)) {
        Some(json) => serde_json::from_str(json).map_err(|error| format(error.to_string()))?,
        None => BTreeMap::new(),
    };
    let parsed = SafeTensors::deserialize(&file).map_err(|error| format(error.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in parsed.tensors() {
        if name.ends_with(IGNORED) {
            continue;
        }
        if view.dtype() != Dtype::F32 {
            return Err(format(format!("tensor {name} is {:?}; convert it to float32", view.dtype())));
        }
        let values =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        tensors.push((name, values));
    }
    Ok(Weights { tensors, metadata })
}

impl Weights {
    /// The tensors that the plan wants, in its order, each checked; an optimizer's state is left out.
    ///
    /// # Errors
    /// [`CheckpointError::Misfit`] lists everything missing, misshapen and extra.
    pub fn for_plan(&self, plan: &Plan, path: &Path) -> Result<Vec<(String, Vec<f32>)>, CheckpointError> {
        let mut problems = Vec::new();
        let mut chosen = Vec::new();
        for parameter in &plan.parameters {
            match self.tensors.iter().find(|(name, _)| *name == parameter.name) {
                None => problems.push(format!("  {} {:?} is missing", parameter.name, parameter.shape)),
                Some((_, values)) if values.len() != parameter.len() => problems.push(format!(
                    "  {} has {} values, but the model wants {:?}",
                    parameter.name,
                    values.len(),
                    parameter.shape
                )),
                Some(found) => chosen.push(found.clone()),
            }
        }
        for (name, _) in &self.tensors {
            if plan.tensor(name).is_none() {
                problems.push(format!("  {name} is unknown to the model"));
            }
        }
        if problems.is_empty() {
            return Ok(chosen);
        }
        Err(CheckpointError::Misfit { path: path.to_path_buf(), model: plan.model.clone(), problems })
    }
}
