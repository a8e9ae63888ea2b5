//! The CPU as an executor.

use super::schedule::Schedule;
use super::threads::Crew;
use super::{Memory, fast, simd};
use crate::executor::{AdapterInfo, Executor, ExecutorError, StepResult, front};
use crate::ops::Step;
use crate::plan::{Phase, Plan, Slot};

/// Runs a plan with the `fast` functions, on threads of its own.
pub struct Cpu {
    plan: Plan,
    memory: Memory<f32>,
    threads: usize,
    /// In the order of [`Plan::phases`].
    schedules: [Schedule; 3],
    adapter: AdapterInfo,
    launches: u64,
}

impl Cpu {
    /// `threads` 0 takes as many as the machine offers.
    ///
    /// # Errors
    /// If the machine does not say how many it offers.
    pub fn new(plan: Plan, threads: usize) -> Result<Self, std::io::Error> {
        let threads = match threads {
            0 => std::thread::available_parallelism()?.get(),
            threads => threads,
        };
        let adapter = AdapterInfo {
            name: format!("CPU, {threads} threads"),
            backend: "cpu".into(),
            driver: simd::instruction_set().name().into(),
            software: false,
        };
        let mut buffers = plan.buffers.clone();
        let schedules = Plan::phases().map(|phase| Schedule::new(&plan, plan.steps(phase), &mut buffers));
        let memory = Memory::new(&buffers);
        Ok(Cpu { plan, memory, threads, schedules, adapter, launches: 0 })
    }

    /// Runs one step of the plan by itself, on this thread.
    pub fn launch_alone(&mut self, step: &Step, slot: Slot) {
        self.memory.lend(step, &slot, |io| fast(step, io));
        self.launches += 1;
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
        let slots: Vec<Slot> = slots.iter().map(|slot| Slot { index: 0, ..*slot }).collect();
        let schedule = &self.schedules[phase as usize];
        let launches = self.plan.steps(phase).len() as u64;
        let done = &mut self.launches;
        let crew = Crew::new(schedule, &mut self.memory, self.threads);
        let ran = crew.run(&slots, &mut |number, shared| {
            *done += launches;
            if phase != Phase::Train {
                return true;
            }
            // SAFETY: the next slot's loss is written a stage after the one this thread is in.
            let [loss, hits] = unsafe { shared.front(history) };
            on_step(StepResult { number, loss, hits: hits as u32 })
        });
        ran.map_err(|error| ExecutorError::Validation { what: "threads".into(), message: error.to_string() })
    }

    fn launches(&self) -> u64 {
        self.launches
    }
}
