//! What runs a plan: the trait that the CPU and the GPU implement. It is asynchronous, so that the library also runs
//! where nobody may block; only the program's own floor blocks.

pub mod pace;

use std::pin::Pin;

use serde::Serialize;

use crate::plan::{Phase, Plan, Slot, Tensor};

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

/// What a training step reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    pub loss: f32,
    /// Pairs, or images, of the batch that were answered correctly.
    pub correct: u32,
}

/// Why a session could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
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
    #[error("steps of the phase {0:?} were submitted before it was prepared")]
    NotPrepared(Phase),
    #[error("a submission holds at most {most} steps, not {found}")]
    TooManySteps { most: usize, found: usize },
    #[error(
        "{what} is {value}, so nothing can be said of these images; use weights of a run that did not diverge"
    )]
    NotFinite { what: &'static str, value: f32 },
}

/// A result that arrives later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionError>> + 'a>>;

/// A submission under way. It ends when its steps have run, with their results in order if they were training steps.
/// Tickets of a session are awaited in the order of their submissions.
pub type Ticket = Answer<'static, Vec<StepResult>>;

/// Steps of one submission at most: the rows of the plan's `history`.
pub const SUBMISSION: usize = crate::plan::HISTORY;

/// Runs a plan's steps and holds its buffers. Every call sees the effects of the calls before it.
pub trait Session {
    fn adapter(&self) -> &AdapterInfo;

    fn plan(&self) -> &Plan;

    /// Launches so far.
    fn launches(&self) -> u64;

    /// Overwrites the front of a tensor of numbers, at once.
    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), SessionError>;

    /// Overwrites the front of a tensor of words, at once.
    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), SessionError>;

    /// The first `len` numbers of a tensor, after everything submitted so far.
    fn read_front(&mut self, tensor: &str, len: usize) -> Answer<'static, Vec<f32>>;

    /// Makes a phase ready for [`Session::submit`], unless it is: compiles its kernels and binds its steps.
    fn prepare(&mut self, phase: Phase) -> Answer<'_, ()>;

    /// Queues the phase once for each of at most [`SUBMISSION`] slots, in order. The slots' `index` is the
    /// session's to choose.
    ///
    /// # Errors
    /// A phase that is not prepared, too many slots, or what the device reported since the last call.
    fn submit(&mut self, phase: Phase, slots: &[Slot]) -> Result<Ticket, SessionError>;

    /// Makes all phases ready: what the device refuses is known before anything is written.
    fn prepare_all(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            for phase in Plan::phases() {
                self.prepare(phase).await?;
            }
            Ok(())
        })
    }

    /// All numbers of a tensor, as [`Session::read_front`].
    fn read(&mut self, tensor: &str) -> Answer<'static, Vec<f32>> {
        match find(self.plan(), tensor).map(|tensor| tensor.view.len) {
            Ok(len) => self.read_front(tensor, len),
            Err(error) => ready(Err(error)),
        }
    }
}

/// An answer that is there already.
pub(crate) fn ready<T: 'static>(result: Result<T, SessionError>) -> Answer<'static, T> {
    Box::pin(std::future::ready(result))
}

/// The slots of a submission with their rows of `history`.
pub(crate) fn numbered(slots: &[Slot]) -> Result<Vec<Slot>, SessionError> {
    if slots.len() > SUBMISSION {
        return Err(SessionError::TooManySteps { most: SUBMISSION, found: slots.len() });
    }
    Ok((0..).zip(slots).map(|(index, slot)| Slot { index, ..*slot }).collect())
}

/// Results of training steps, from as many rows of `history`.
pub(crate) fn results(history: &[f32]) -> Vec<StepResult> {
    let result = |row: &[f32]| StepResult { loss: row[0], correct: row[1] as u32 };
    history.chunks_exact(2).map(result).collect()
}

/// The tensor of this name.
pub fn find<'a>(plan: &'a Plan, name: &str) -> Result<&'a Tensor, SessionError> {
    plan.tensor(name).ok_or_else(|| SessionError::NoTensor(name.to_string()))
}

/// The range of its buffer that the first `len` elements of a tensor take.
pub fn front(plan: &Plan, name: &str, len: usize) -> Result<(usize, std::ops::Range<usize>), SessionError> {
    let view = find(plan, name)?.view;
    if len > view.len {
        return Err(SessionError::Length { name: name.to_string(), expected: view.len, found: len });
    }
    Ok((view.buffer.0, view.offset..view.offset + len))
}
