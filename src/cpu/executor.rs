//! The CPU as an executor.

use super::{Memory, fast, simd};
use crate::executor::{AdapterInfo, Executor, ExecutorError, StepResult, front};
use crate::plan::{Phase, Plan, Slot};

/// Runs a plan with the `fast` functions, on a thread pool of its own.
pub struct Cpu {
    plan: Plan,
    memory: Memory<f32>,
    threads: rayon::ThreadPool,
    adapter: AdapterInfo,
    launches: u64,
}

impl Cpu {
    /// `threads` 0 takes as many as the machine offers.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(plan: Plan, threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let adapter = AdapterInfo {
            name: format!("CPU, {} threads", threads.current_num_threads()),
            backend: "cpu".into(),
            driver: simd::instruction_set().name().into(),
            software: false,
        };
        let memory = Memory::new(&plan.buffers);
        Ok(Cpu { plan, memory, threads, adapter, launches: 0 })
    }
}

impl Executor for Cpu {
    fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, values.len())?;
        self.memory.numbers_mut(buffer)[range].copy_from_slice(values);
        Ok(())
    }

    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, words.len())?;
        self.memory.words_mut(buffer)[range].copy_from_slice(words);
        Ok(())
    }

    fn read_front(&mut self, tensor: &str, len: usize) -> Result<Vec<f32>, ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, len)?;
        Ok(self.memory.numbers(buffer)[range].to_vec())
    }

    fn run(
        &mut self,
        phase: Phase,
        slots: &[Slot],
        on_step: &mut dyn FnMut(StepResult) -> bool,
    ) -> Result<(), ExecutorError> {
        let history = front(&self.plan, "history", 2)?.0;
        for (number, slot) in slots.iter().enumerate() {
            let slot = Slot { index: 0, ..*slot };
            let steps = self.plan.steps(phase);
            let memory = &mut self.memory;
            self.threads.install(|| {
                for step in steps {
                    memory.lend(step, &slot, |io| fast(step, io));
                }
            });
            self.launches += steps.len() as u64;
            if phase == Phase::Train {
                let [loss, hits] = [0, 1].map(|at| self.memory.numbers(history)[at]);
                if !on_step(StepResult { number, loss, hits: hits as u32 }) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn launches(&self) -> u64 {
        self.launches
    }
}
