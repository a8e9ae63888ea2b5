//! An open device: what it is, what went wrong on it, and how to wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::adapters::Candidate;
use crate::session::{AdapterInfo, SessionError};

/// An adapter's device and queue. Errors that arrive between calls are kept until [`Context::check`].
pub struct Context {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub info: AdapterInfo,
    /// Most bytes that one binding may cover.
    pub max_binding: usize,
    /// Whether its buffers lie in the machine's own memory.
    pub uses_host_memory: bool,
    errors: Arc<Mutex<Option<SessionError>>>,
}

/// Commands under way.
pub struct Pending {
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "browsers need not be waited for"))]
    submission: wgpu::SubmissionIndex,
    end: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Context {
    /// Opens the adapter with no more than WebGPU's default limits, but buffers as large as it offers.
    ///
    /// # Errors
    /// If the adapter refuses.
    pub async fn open(candidate: &Candidate) -> Result<Self, SessionError> {
        let offered = candidate.adapter.limits();
        let required_limits = wgpu::Limits {
            max_storage_buffers_per_shader_stage: 8,
            max_buffer_size: offered.max_buffer_size,
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size,
            ..wgpu::Limits::downlevel_defaults()
        };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gpu-siamese"),
            // Costs nothing until a query is made.
            required_features: candidate.adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = candidate.adapter.request_device(&descriptor).await.map_err(|error| {
            let (what, message) = (candidate.line(), error.to_string());
            // wgpu does not tell this cause apart by type.
            if message.contains("memory") {
                return SessionError::OutOfMemory(format!("{what}: {message}"));
            }
            SessionError::Validation { what, message }
        })?;
        let errors = Arc::new(Mutex::new(None));
        let sink = errors.clone();
        device.on_uncaptured_error(Arc::new(move |error| keep(&sink, of_wgpu(error))));
        let sink = errors.clone();
        // Also called when the device is dropped at the end, but then nobody asks any more.
        device.set_device_lost_callback(move |_, message| {
            keep(&sink, SessionError::DeviceLost(message));
        });
        let limits = device.limits();
        let max_binding =
            limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(i32::MAX as u64) as usize;
        Ok(Context {
            info: candidate.describe(),
            uses_host_memory: matches!(
                candidate.info.device_type,
                wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu
            ),
            max_binding,
            device,
            queue,
            errors,
        })
    }

    /// Loses the device, as a driver's reset does: how tests plant that fault.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// The first error since the last call, if any.
    pub fn check(&self) -> Result<(), SessionError> {
        match self.take_error() {
            Some(error) => Err(self.cause(error)),
            None => Ok(()),
        }
    }

    fn take_error(&self) -> Option<SessionError> {
        self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    /// What is behind an error: everything on a lost device is invalid, but the loss itself is only
    /// told when the device is polled.
    fn cause(&self, error: SessionError) -> SessionError {
        let _ = catch_unwind(AssertUnwindSafe(|| self.device.poll(wgpu::PollType::Poll)));
        match self.take_error() {
            Some(lost @ SessionError::DeviceLost(_)) => lost,
            _ => error,
        }
    }

    /// Runs `work` now; its result, or the device's errors named after `what`, arrives later.
    pub(super) fn scoped<'a, R, F: FnOnce() -> R>(
        &'a self,
        what: &str,
        work: F,
    ) -> impl Future<Output = Result<R, SessionError>> + use<'a, R, F> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let (validation, internal, memory) = (validation.pop(), internal.pop(), memory.pop());
        let what = what.to_string();
        async move {
            let (validation, internal) = (validation.await, internal.await);
            if let Some(error) = memory.await {
                return Err(SessionError::OutOfMemory(format!("{what}: {error}")));
            }
            if let Some(error) = validation.or(internal) {
                return Err(self.cause(match of_wgpu(error) {
                    SessionError::Validation { message, .. } => SessionError::Validation { what, message },
                    other => other,
                }));
            }
            self.check()?;
            Ok(result)
        }
    }

    /// Submits commands.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) -> Pending {
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, end) = oneshot_channel();
        self.queue.on_submitted_work_done(move || {
            // A receiver that is gone wants no answer.
            let _ = sender.send(Ok(()));
        });
        Pending { submission, end }
    }

    /// Submits commands, and asks for a buffer that they fill to be mapped at their end.
    pub(super) fn submit_and_map(&self, encoder: wgpu::CommandEncoder, staging: &wgpu::Buffer) -> Pending {
        let submission = self.queue.submit([encoder.finish()]);
        let (sender, end) = oneshot_channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = sender.send(result);
        });
        Pending { submission, end }
    }

    /// Ends when commands under way have ended.
    ///
    /// A browser calls back by itself. Elsewhere nothing does unless somebody waits for the device, so that is what
    /// polling this future does.
    pub(super) async fn end_of(&self, pending: Pending) -> Result<(), SessionError> {
        #[cfg(not(target_arch = "wasm32"))]
        self.wait(pending.submission)?;
        let end = pending.end.receive().await;
        self.check()?;
        let lost = |message: String| SessionError::DeviceLost(message);
        end.ok_or_else(|| lost("no answer to a submission".into()))?.map_err(|error| lost(error.to_string()))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), SessionError> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        // wgpu panics where a device is lost while it is waited for; its own words are kept by then.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(SessionError::DeviceLost(error.to_string())),
            Err(_) => Err(SessionError::DeviceLost("while the program waited for it".into())),
        }
    }
}

/// The first error says most: what follows is its consequence. Only a loss goes before it.
fn keep(sink: &Mutex<Option<SessionError>>, error: SessionError) {
    let mut kept = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if kept.is_none() || matches!(error, SessionError::DeviceLost(_)) {
        *kept = Some(error);
    }
}

fn of_wgpu(error: wgpu::Error) -> SessionError {
    match error {
        wgpu::Error::OutOfMemory { source } => SessionError::OutOfMemory(source.to_string()),
        wgpu::Error::Validation { description, .. } => {
            SessionError::Validation { what: "a command".into(), message: description }
        }
        wgpu::Error::Internal { description, .. } => SessionError::DeviceLost(description),
    }
}
