//! An open device: what it is, what went wrong on it, and its compiled kernels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::adapters::Candidate;
use super::kernels::Kernels;
use crate::executor::{AdapterInfo, ExecutorError};

/// An adapter's device and queue. Errors that arrive between calls are kept until [`Device::check`].
pub struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) kernels: Kernels,
    pub info: AdapterInfo,
    /// Most bytes that one binding may cover.
    pub max_binding: usize,
    /// Whether its buffers lie in the machine's own memory.
    pub uses_host_memory: bool,
    errors: Arc<Mutex<Option<ExecutorError>>>,
}

impl Device {
    /// Opens the adapter with no more than WebGPU's default limits, but buffers as large as it offers.
    ///
    /// # Errors
    /// If the adapter refuses.
    pub fn open(candidate: &Candidate) -> Result<Self, ExecutorError> {
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
        let (device, queue) =
            pollster::block_on(candidate.adapter.request_device(&descriptor)).map_err(|error| {
                let (what, message) = (candidate.line(), error.to_string());
                // wgpu does not tell this cause apart by type.
                if message.contains("memory") {
                    return ExecutorError::OutOfMemory(format!("{what}: {message}"));
                }
                ExecutorError::Validation { what, message }
            })?;
        let errors = Arc::new(Mutex::new(None));
        let sink = errors.clone();
        device.on_uncaptured_error(Arc::new(move |error| keep(&sink, of_wgpu(error))));
        let sink = errors.clone();
        // Also called when the device is dropped at the end, but then nobody asks any more.
        device.set_device_lost_callback(move |_, message| {
            keep(&sink, ExecutorError::DeviceLost(message));
        });
        let limits = device.limits();
        let max_binding =
            limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min(i32::MAX as u64) as usize;
        Ok(Device {
            kernels: Kernels::new(&device),
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

    /// Compiles another text for an op, or for what all share ([`crate::ops::COMMON`]), from now on: how
    /// tests plant a fault in a kernel.
    pub fn replace_shader(&self, stem: &'static str, wgsl: String) {
        self.kernels.replace(stem, wgsl);
    }

    /// Loses the device, as a driver's reset does: how tests plant that fault.
    pub fn lose(&self) {
        self.device.destroy();
    }

    /// The first error since the last call, if any.
    pub fn check(&self) -> Result<(), ExecutorError> {
        match self.take_error() {
            Some(error) => Err(self.cause(error)),
            None => Ok(()),
        }
    }

    fn take_error(&self) -> Option<ExecutorError> {
        self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    /// What is behind an error: everything on a lost device is invalid, but the loss itself is only
    /// told when the device is polled.
    fn cause(&self, error: ExecutorError) -> ExecutorError {
        let _ = catch_unwind(AssertUnwindSafe(|| self.device.poll(wgpu::PollType::Poll)));
        match self.take_error() {
            Some(lost @ ExecutorError::DeviceLost(_)) => lost,
            _ => error,
        }
    }

    /// Runs `work`, with errors of the device named after `what`.
    pub(super) fn scoped<R>(&self, what: &str, work: impl FnOnce() -> R) -> Result<R, ExecutorError> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let result = work();
        let errors = [validation.pop(), internal.pop()].map(pollster::block_on);
        let out_of_memory = pollster::block_on(memory.pop());
        if let Some(error) = out_of_memory {
            return Err(ExecutorError::OutOfMemory(format!("{what}: {error}")));
        }
        if let Some(error) = errors.into_iter().flatten().next() {
            return Err(self.cause(match of_wgpu(error) {
                ExecutorError::Validation { message, .. } => {
                    ExecutorError::Validation { what: what.into(), message }
                }
                other => other,
            }));
        }
        self.check()?;
        Ok(result)
    }

    /// Waits until a submission is done.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) -> Result<(), ExecutorError> {
        let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        // wgpu panics where a device is lost while it is waited for; its own words are kept by then.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ExecutorError::DeviceLost(error.to_string())),
            Err(_) => Err(ExecutorError::DeviceLost("while the program waited for it".into())),
        }
    }
}

/// The first error says most: what follows is its consequence. Only a loss goes before it.
fn keep(sink: &Mutex<Option<ExecutorError>>, error: ExecutorError) {
    let mut kept = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if kept.is_none() || matches!(error, ExecutorError::DeviceLost(_)) {
        *kept = Some(error);
    }
}

fn of_wgpu(error: wgpu::Error) -> ExecutorError {
    match error {
        wgpu::Error::OutOfMemory { source } => ExecutorError::OutOfMemory(source.to_string()),
        wgpu::Error::Validation { description, .. } => {
            ExecutorError::Validation { what: "a command".into(), message: description }
        }
        wgpu::Error::Internal { description, .. } => ExecutorError::DeviceLost(description),
    }
}
