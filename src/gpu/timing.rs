//! Where a training step's time goes: the host's, and the device's launch by launch.

use std::time::{Duration, Instant};

use super::recorder::Recorder;
use super::session::Gpu;
use crate::plan::{Phase, Slot};
use crate::session::{SUBMISSION, SessionError};

impl Gpu {
    /// What the host takes to record a training step, among as many as a submission holds at most. They are not
    /// run: on a slow device that would take minutes.
    ///
    /// # Errors
    /// Training that was not prepared.
    pub fn recording_time(&mut self, slot: Slot) -> Result<Duration, SessionError> {
        let (list, start) = (self.list(Phase::Train)?, Instant::now());
        drop(self.recorder.encode(list, &[slot; SUBMISSION]).finish());
        Ok(start.elapsed() / SUBMISSION as u32)
    }

    /// Makes each launch of a training step a list of its own, for [`Gpu::repeat_alone`].
    ///
    /// # Errors
    /// What the device rejects.
    pub async fn separate_lists(&mut self) -> Result<Vec<usize>, SessionError> {
        let mut lists = Vec::new();
        for step in &self.plan.train {
            lists.push(self.recorder.add(std::slice::from_ref(step)).await?);
        }
        Ok(lists)
    }

    /// Runs a list many times over and waits for it.
    ///
    /// # Errors
    /// What the device reports.
    ///
    /// # Panics
    /// With more times than [`SUBMISSION`].
    pub async fn repeat_alone(&mut self, list: usize, slot: Slot, times: usize) -> Result<(), SessionError> {
        assert!(times <= SUBMISSION);
        let pending = self.recorder.submit(list, &vec![slot; times]);
        self.recorder.context().end_of(pending).await
    }

    /// Microseconds of each launch of one training step by the device's own clock; `None` where it
    /// offers none.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn device_times(&mut self, slot: Slot) -> Result<Option<Vec<f64>>, SessionError> {
        self.recorder.device_times(self.list(Phase::Train)?, slot).await
    }
}

impl Recorder {
    /// Each launch gets a pass of its own, with a timestamp before and behind it: within a pass few
    /// adapters can take one.
    async fn device_times(&self, list: usize, slot: Slot) -> Result<Option<Vec<f64>>, SessionError> {
        let context = self.context();
        let launches = self.launches_of(list);
        let count = 2 * launches as u32;
        let offered = context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        if !offered || count > wgpu::QUERY_SET_MAX_QUERIES {
            return Ok(None);
        }
        let created = context.scoped("timestamps", || {
            let queries = context.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let resolved = context.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: u64::from(count * wgpu::QUERY_SIZE),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            (queries, resolved)
        });
        let (queries, resolved) = created.await?;
        // Elements of four bytes, two to a timestamp.
        let staging = self.staging(2 * count as usize);
        self.write_slots(&[slot]);
        let mut encoder = context.device.create_command_encoder(&Default::default());
        for number in 0..launches {
            let query = 2 * number as u32;
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(query),
                    end_of_pass_write_index: Some(query + 1),
                }),
            });
            self.record(&mut pass, list, number..number + 1, 0);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, resolved.size());
        let ticks: Vec<u64> = self.map(encoder, staging).await?;
        let tick_us = f64::from(context.queue.get_timestamp_period()) / 1e3;
        // A clock that goes backwards gives a sum that nobody believes.
        let time = |pair: &[u64]| pair[1].saturating_sub(pair[0]) as f64 * tick_us;
        Ok(Some(ticks.chunks_exact(2).map(time).collect()))
    }
}
