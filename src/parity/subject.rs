//! What is held to the reference: the CPU's fast functions, or a GPU.

use std::sync::Arc;

use super::case::{Case, GUARD, Values};
use super::compare::{Verdict, compare, expect};
use crate::cpu::{Memory, fast};
use crate::executor::{AdapterInfo, ExecutorError};
use crate::gpu::{Device, Session};
use crate::ops::Layout;

/// Contents of every buffer of a case, guards included; empty for words.
pub type Stored = Vec<Vec<f32>>;

/// Who computes.
#[derive(Clone)]
pub enum Subject {
    /// The CPU's fast functions.
    Cpu,
    Gpu(Arc<Device>),
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
            Subject::Gpu(device) => device.info.clone(),
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
    pub fn run(&self, case: &Case) -> Result<Stored, ExecutorError> {
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
            Subject::Gpu(device) => {
                // Bound with the guard behind: drivers clip what a kernel does beyond its binding, and
                // nobody would see it.
                let mut steps = case.steps.clone();
                for operand in steps.iter_mut().flat_map(|step| &mut step.operands) {
                    if 4 * (operand.view.len + GUARD) <= device.max_binding {
                        operand.view.len += GUARD;
                    }
                }
                let mut session = Session::new(device.clone(), &buffers, &[&steps])?;
                for (number, tensor) in case.tensors.iter().enumerate() {
                    match &tensor.values {
                        Values::Numbers(numbers) => session.write(number, 0, &tensor.stored(numbers))?,
                        Values::Words(words) => session.write(number, tensor.view.offset, words)?,
                    }
                }
                session.submit(0, &[case.slot], None);
                (0..buffers.len())
                    .map(|number| match case.tensors[number].values {
                        Values::Numbers(_) => session.read(number, 0..buffers[number].len),
                        Values::Words(_) => Ok(Vec::new()),
                    })
                    .collect()
            }
        }
    }

    /// Runs a case and compares it; `plain` is the same case in the reference's layout.
    pub fn check(&self, case: &Case, plain: &Case) -> Verdict {
        match self.run(case) {
            Ok(stored) => compare(case, &expect(plain), &stored),
            Err(error) => Verdict::broken(case, error.to_string()),
        }
    }
}
