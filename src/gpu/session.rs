//! A GPU as a session: many steps to a submission, and their losses copied out at its end.

use std::sync::Arc;

use super::pipelines::Pipelines;
use super::recorder::Recorder;
use crate::ops::Step;
use crate::plan::{Phase, Plan, Slot};
use crate::session::{AdapterInfo, Answer, Session, SessionError, Ticket, front, numbered, ready, results};

/// Runs a plan on a GPU.
pub struct Gpu {
    pub(super) plan: Plan,
    pub(super) recorder: Recorder,
    /// The recorder's number of each phase that is prepared.
    lists: [Option<usize>; 3],
}

impl Gpu {
    /// Creates the plan's buffers. Its kernels are compiled phase by phase, as they are prepared.
    ///
    /// # Errors
    /// What the device rejects, by name.
    pub async fn new(pipelines: Arc<Pipelines>, plan: Plan) -> Result<Self, SessionError> {
        let recorder = Recorder::new(pipelines, &plan.buffers).await?;
        Ok(Gpu { plan, recorder, lists: [None; 3] })
    }

    /// Buffers and launches.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Runs one step of the plan by itself.
    ///
    /// # Errors
    /// What the device rejects.
    pub async fn launch_alone(&mut self, step: &Step, slot: Slot) -> Result<(), SessionError> {
        let list = self.recorder.add(std::slice::from_ref(step)).await?;
        self.recorder.submit(list, &[slot]);
        self.recorder.context().check()
    }

    /// The list of a phase.
    pub(super) fn list(&self, phase: Phase) -> Result<usize, SessionError> {
        self.lists[phase as usize].ok_or(SessionError::NotPrepared(phase))
    }
}

impl Session for Gpu {
    fn adapter(&self) -> &AdapterInfo {
        &self.recorder.context().info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn launches(&self) -> u64 {
        self.recorder.launches()
    }

    fn write(&mut self, tensor: &str, values: &[f32]) -> Result<(), SessionError> {
        let (buffer, range) = front(&self.plan, tensor, values.len())?;
        self.recorder.write(buffer, range.start, values)
    }

    fn write_words(&mut self, tensor: &str, words: &[u32]) -> Result<(), SessionError> {
        let (buffer, range) = front(&self.plan, tensor, words.len())?;
        self.recorder.write(buffer, range.start, words)
    }

    fn read_front(&mut self, tensor: &str, len: usize) -> Answer<'static, Vec<f32>> {
        match front(&self.plan, tensor, len) {
            Ok((buffer, range)) => Box::pin(self.recorder.read(buffer, range)),
            Err(error) => ready(Err(error)),
        }
    }

    fn prepare(&mut self, phase: Phase) -> Answer<'_, ()> {
        Box::pin(async move {
            let list = &mut self.lists[phase as usize];
            if list.is_none() {
                *list = Some(self.recorder.add(self.plan.steps(phase)).await?);
            }
            Ok(())
        })
    }

    fn submit(&mut self, phase: Phase, slots: &[Slot]) -> Result<Ticket, SessionError> {
        let (list, slots) = (self.list(phase)?, numbered(slots)?);
        let ticket: Ticket = if phase == Phase::Train {
            let history = front(&self.plan, "history", 2 * slots.len())?;
            let history = self.recorder.submit_and_read(list, &slots, history);
            Box::pin(async move { Ok(results(&history.await?)) })
        } else {
            let (pending, context) = (self.recorder.submit(list, &slots), self.recorder.context().clone());
            Box::pin(async move { context.end_of(pending).await.map(|()| Vec::new()) })
        };
        self.recorder.context().check()?;
        Ok(ticket)
    }
}
