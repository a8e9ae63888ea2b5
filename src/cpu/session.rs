//! The CPU as a session. It does its work within `submit`, where the buffers are lent to its threads: no thread keeps
//! them between two calls, so writing and reading need no locks, and a ticket is ready when it is handed out.

use super::schedule::Schedule;
use super::threads::{Crew, Pool};
use super::{Memory, fast, simd};
use crate::ops::Step;
use crate::plan::{Phase, Plan, Slot};
use crate::session::{AdapterInfo, Answer, Session, SessionError, Ticket, front, numbered, ready, results};

/// Runs a plan with the `fast` functions, on threads of its own.
pub struct Cpu {
    plan: Plan,
    memory: Memory<f32>,
    pool: Pool,
    /// In the order of [`Plan::phases`].
    schedules: [Schedule; 3],
    adapter: AdapterInfo,
    launches: u64,
}

impl Cpu {
    /// `threads` 0 takes as many as the machine offers.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(plan: Plan, threads: usize) -> Result<Self, std::io::Error> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, |threads| threads.get()),
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
        let (memory, pool) = (Memory::new(&buffers), Pool::new(threads)?);
        Ok(Cpu { plan, memory, pool, schedules, adapter, launches: 0 })
    }

    /// Runs one step of the plan by itself, on this thread.
    pub fn launch_alone(&mut self, step: &Step, slot: Slot) {
        self.memory.lend(step, &slot, |io| fast(step, io));
        self.launches += 1;
    }
}

impl Session for Cpu {
    fn adapter(&self) -> &AdapterInfo {
        &self.adapter
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn launches(&self) -> u64 {
        self.launches
    }

    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), SessionError> {
        let (buffer, range) = front(&self.plan, tensor, values.len())?;
        self.memory.numbers_mut(buffer)[range].copy_from_slice(values);
        Ok(())
    }

    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), SessionError> {
        let (buffer, range) = front(&self.plan, tensor, words.len())?;
        self.memory.words_mut(buffer)[range].copy_from_slice(words);
        Ok(())
    }

    fn read_front(&mut self, tensor: &str, len: usize) -> Answer<'static, Vec<f32>> {
        let place = front(&self.plan, tensor, len);
        ready(place.map(|(buffer, range)| self.memory.numbers(buffer)[range].to_vec()))
    }

    fn prepare(&mut self, _: Phase) -> Answer<'_, ()> {
        ready(Ok(()))
    }

    fn submit(&mut self, phase: Phase, slots: &[Slot]) -> Result<Ticket, SessionError> {
        let slots = numbered(slots)?;
        let rows = if phase == Phase::Train { 2 * slots.len() } else { 0 };
        let history = front(&self.plan, "history", rows);
        self.pool.run(&Crew::new(&self.schedules[phase as usize], &mut self.memory, &self.pool), &slots);
        self.launches += (slots.len() * self.plan.steps(phase).len()) as u64;
        let read =
            |(buffer, range): (usize, std::ops::Range<usize>)| results(&self.memory.numbers(buffer)[range]);
        Ok(ready(Ok(if rows > 0 { read(history?) } else { Vec::new() })))
    }
}
