//! A GPU as an executor: many training steps to a submission, and losses read while the next
//! submission runs, so that the device never waits for the host.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::device::Device;
use super::session::{Mapping, SLOTS, Session, map, mapped_values};
use crate::executor::{AdapterInfo, Executor, ExecutorError, StepResult, front};
use crate::ops::Step;
use crate::plan::{Phase, Plan, Slot};

/// Device time of a submission: long enough to hide the host, short enough for live progress, a
/// prompt Ctrl-C, and the two seconds after which Windows resets a GPU.
const SUBMISSION_TIME: Duration = Duration::from_millis(250);

/// Submissions under way at once.
const IN_FLIGHT: usize = 2;

/// Runs a plan on a GPU.
pub struct Gpu {
    pub(super) plan: Plan,
    pub(super) session: Session,
    /// Losses are copied to these in turn.
    staging: Vec<wgpu::Buffer>,
    /// Slots to a submission, by phase.
    lengths: [usize; 3],
}

/// A submission whose end has not been seen yet.
struct Pending {
    submission: wgpu::SubmissionIndex,
    first: usize,
    count: usize,
    results: Option<(wgpu::Buffer, Mapping)>,
}

impl Gpu {
    /// Creates buffers, compiles the plan's kernels and binds its steps.
    ///
    /// # Errors
    /// What the device rejects, by name.
    pub fn new(device: Arc<Device>, plan: Plan) -> Result<Self, ExecutorError> {
        let lists = Plan::phases().map(|phase| plan.steps(phase));
        let session = Session::new(device, &plan.buffers, &lists)?;
        let staging = (0..=IN_FLIGHT).map(|_| session.staging(2 * SLOTS)).collect::<Result<_, _>>()?;
        Ok(Gpu { plan, session, staging, lengths: [1; 3] })
    }

    /// Buffers and kernels.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Runs one step of the plan by itself.
    ///
    /// # Errors
    /// What the device rejects.
    pub fn launch_alone(&mut self, step: &Step, slot: Slot) -> Result<(), ExecutorError> {
        let list = self.session.add(std::slice::from_ref(step))?;
        self.session.submit(list, &[slot], None);
        self.session.device.check()
    }

    /// Waits for a submission and hands out its results. Returns whether to go on.
    fn finish(
        &mut self,
        pending: Pending,
        on_step: &mut dyn FnMut(StepResult) -> bool,
    ) -> Result<bool, ExecutorError> {
        self.session.device.wait(pending.submission)?;
        let mut go_on = true;
        if let Some((staging, mapping)) = pending.results {
            let values: Vec<f32> = mapped_values(&staging, 2 * pending.count, &mapping)?;
            for (number, row) in values.chunks_exact(2).enumerate() {
                let result = StepResult { number: pending.first + number, loss: row[0], hits: row[1] as u32 };
                go_on &= on_step(result);
            }
            self.staging.push(staging);
        }
        Ok(go_on)
    }

    fn submit(&mut self, phase: Phase, first: usize, slots: &[Slot]) -> Result<Pending, ExecutorError> {
        let slots: Vec<Slot> =
            slots.iter().enumerate().map(|(row, slot)| Slot { index: row as u32, ..*slot }).collect();
        let list = phase as usize;
        if phase != Phase::Train {
            let submission = self.session.submit(list, &slots, None);
            return Ok(Pending { submission, first, count: slots.len(), results: None });
        }
        let (history, range) = front(&self.plan, "history", 2 * slots.len())?;
        let staging = match self.staging.pop() {
            Some(staging) => staging,
            None => self.session.staging(2 * SLOTS)?,
        };
        let submission = self.session.submit(list, &slots, Some((history, range, &staging)));
        let mapping = map(&staging, 2 * slots.len());
        Ok(Pending { submission, first, count: slots.len(), results: Some((staging, mapping)) })
    }
}

impl Executor for Gpu {
    fn adapter(&self) -> &AdapterInfo {
        &self.session.device.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, values.len())?;
        self.session.write(buffer, range.start, values)
    }

    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, words.len())?;
        self.session.write(buffer, range.start, words)
    }

    fn read_front(&mut self, tensor: &str, len: usize) -> Result<Vec<f32>, ExecutorError> {
        let (buffer, range) = front(&self.plan, tensor, len)?;
        self.session.read(buffer, range)
    }

    fn run(
        &mut self,
        phase: Phase,
        slots: &[Slot],
        on_step: &mut dyn FnMut(StepResult) -> bool,
    ) -> Result<(), ExecutorError> {
        let mut pending: VecDeque<Pending> = VecDeque::new();
        let (mut next, mut go_on) = (0, true);
        let mut last_end = Instant::now();
        while (go_on && next < slots.len()) || !pending.is_empty() {
            if go_on && next < slots.len() && pending.len() < IN_FLIGHT {
                let count = self.lengths[phase as usize].min(SLOTS).min(slots.len() - next);
                let submitted = self.submit(phase, next, &slots[next..next + count])?;
                pending.push_back(submitted);
                next += count;
            } else if let Some(oldest) = pending.pop_front() {
                let count = oldest.count;
                go_on &= self.finish(oldest, on_step)?;
                // How many steps go into a submission depends on the clock; what they compute does not.
                let step = last_end.elapsed() / count as u32;
                last_end = Instant::now();
                let fitting = (SUBMISSION_TIME.as_secs_f64() / step.as_secs_f64().max(1e-7)) as usize;
                let length = &mut self.lengths[phase as usize];
                *length = fitting.clamp(1, (*length * 4).min(SLOTS));
            }
        }
        self.session.device.check()
    }

    fn launches(&self) -> u64 {
        self.session.launches()
    }
}
