//! What is held to the reference: the CPU's fast functions, or a GPU.

use std::sync::Arc;

use super::case::{Case, GUARD, Values};
use super::compare::{Verdict, compare, expect};
use crate::cpu::{Memory, fast};
use crate::gpu::{Pipelines, Recorder};
use crate::ops::Layout;
use crate::session::{AdapterInfo, SessionError};

/// Contents of every buffer of a case, guards included; empty for words.
pub type Stored = Vec<Vec<f32>>;

/// Who computes.
#[derive(Clone)]
pub enum Subject {
    /// The CPU's fast functions.
    Cpu,
    Gpu(Arc<Pipelines>),
}

impl Subject {
    pub fn adapter(&self) -> AdapterInfo {
        match self {
            Subject::Cpu => AdapterInfo {
                name: "CPU".into(),
                backend: "cpu".into(),
                driver: crate::cpu::simd::instruction_set().name().into(),
                software: false,
            },
            Subject::Gpu(pipelines) => pipelines.context.info.clone(),
        }
    }

    /// The layout in which the subject wants per-image tensors.
    pub fn layout(&self) -> Layout {
        match self {
            Subject::Cpu => Layout::Interleaved,
            Subject::Gpu(_) => Layout::Plain,
        }
    }

    /// Runs the case's steps and returns what is in its buffers then.
    ///
    /// # Errors
    /// What the device rejects.
    pub async fn run(&self, case: &Case) -> Result<Stored, SessionError> {
        let buffers: Vec<_> = case.tensors.iter().map(|tensor| tensor.buffer()).collect();
        match self {
            Subject::Cpu => {
                let mut memory = Memory::<f32>::new(&buffers);
                for (number, tensor) in case.tensors.iter().enumerate() {
                    match &tensor.values {
                        Values::Numbers(numbers) => {
                            memory.numbers_mut(number).copy_from_slice(&tensor.stored(numbers));
                        }
                        Values::Words(words) => {
                            memory.words_mut(number)[tensor.view.range()].copy_from_slice(words);
                        }
                    }
                }
                for step in &case.steps {
                    memory.lend(step, &case.slot, |io| fast(step, io));
                }
                let numbers = |number: usize| match case.tensors[number].values {
                    Values::Numbers(_) => memory.numbers(number).to_vec(),
                    Values::Words(_) => Vec::new(),
                };
                Ok((0..buffers.len()).map(numbers).collect())
            }
            Subject::Gpu(pipelines) => {
                // Bound with the guard behind: drivers clip what a kernel does beyond its binding, and
                // nobody would see it.
                let mut steps = case.steps.clone();
                for operand in steps.iter_mut().flat_map(|step| &mut step.operands) {
                    if 4 * (operand.view.len + GUARD) <= pipelines.context.max_binding {
                        operand.view.len += GUARD;
                    }
                }
                let mut recorder = Recorder::new(pipelines.clone(), &buffers).await?;
                let list = recorder.add(&steps).await?;
                for (number, tensor) in case.tensors.iter().enumerate() {
                    match &tensor.values {
                        Values::Numbers(numbers) => recorder.write(number, 0, &tensor.stored(numbers))?,
                        Values::Words(words) => recorder.write(number, tensor.view.offset, words)?,
                    }
                }
                recorder.submit(list, &[case.slot]);
                let mut stored = Vec::with_capacity(buffers.len());
                for (number, tensor) in case.tensors.iter().enumerate() {
                    stored.push(match tensor.values {
                        Values::Numbers(_) => recorder.read(number, 0..buffers[number].len).await?,
                        Values::Words(_) => Vec::new(),
                    });
                }
                Ok(stored)
            }
        }
    }

    /// Runs a case and compares it; `plain` is the same case in the reference's layout.
    pub async fn check(&self, case: &Case, plain: &Case) -> Verdict {
        match self.run(case).await {
            Ok(stored) => compare(case, &expect(plain), &stored),
            Err(error) => Verdict::broken(case, error.to_string()),
        }
    }
}
