//! What runs a plan: the trait that the CPU and the GPU implement.

use serde::Serialize;

use crate::plan::{Phase, Plan, Slot};

/// What a run takes place on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterInfo {
    pub name: String,
    /// `cpu`, `vulkan`, `metal`, `dx12` or `gl`.
    pub backend: String,
    pub driver: String,
    /// Whether the processor pretends to be a GPU.
    pub software: bool,
}

/// Loss and hits of a training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// Position of the step's slot in the list that was run.
    pub number: usize,
    pub loss: f32,
    /// Pairs of the batch that were told apart rightly.
    pub hits: u32,
}

/// Why an executor could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    #[error("the device was lost: {0}; restart the program, or try another adapter")]
    DeviceLost(String),
    #[error("the device is out of memory: {0}; use a smaller batch or data set")]
    OutOfMemory(String),
    #[error("the device rejected {what}: {message}")]
    Validation { what: String, message: String },
    #[error("the device could not compile {kernel}: {message}")]
    Kernel { kernel: String, message: String },
    #[error("the plan has no tensor {0}")]
    NoTensor(String),
    #[error("tensor {name} holds {expected} values, not {found}")]
    Length { name: String, expected: usize, found: usize },
    #[error(
        "{what} is {value}, so nothing can be said of these images; use weights of a run that did not diverge"
    )]
    NotFinite { what: &'static str, value: f32 },
}

/// Runs a plan's steps and holds its buffers. Every call sees the effects of the calls before it.
pub trait Executor {
    fn adapter(&self) -> &AdapterInfo;

    fn plan(&self) -> &Plan;

    /// Overwrites the front of a tensor of numbers.
    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), ExecutorError>;

    /// Overwrites the front of a tensor of words.
    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), ExecutorError>;

    /// The first `len` numbers of a tensor.
    fn read_front(&mut self, tensor: &str, len: usize) -> Result<Vec<f32>, ExecutorError>;

    /// Runs the phase once for each slot, in order. In [`Phase::Train`] the results arrive in order
    /// too, possibly while later steps are already under way; where `on_step` answers false, steps
    /// not yet started are left out. The slots' `index` is the executor's to choose.
    fn run(
        &mut self,
        phase: Phase,
        slots: &[Slot],
        on_step: &mut dyn FnMut(StepResult) -> bool,
    ) -> Result<(), ExecutorError>;

    /// Launches so far.
    fn launches(&self) -> u64;

    /// All numbers of a tensor.
    fn read(&mut self, tensor: &str) -> Result<Vec<f32>, ExecutorError> {
        let len = find(self.plan(), tensor)?.view.len;
        self.read_front(tensor, len)
    }
}

/// The tensor of this name.
pub fn find<'a>(plan: &'a Plan, name: &str) -> Result<&'a crate::plan::Tensor, ExecutorError> {
    plan.tensor(name).ok_or_else(|| ExecutorError::NoTensor(name.to_string()))
}

/// The range of its buffer that the first `len` elements of a tensor take.
pub fn front(plan: &Plan, name: &str, len: usize) -> Result<(usize, std::ops::Range<usize>), ExecutorError> {
    let view = find(plan, name)?.view;
    if len > view.len {
        return Err(ExecutorError::Length { name: name.to_string(), expected: view.len, found: len });
    }
    Ok((view.buffer.0, view.offset..view.offset + len))
}
