//! A plan's buffers on a device, its bind groups, and the recording of its steps.

use std::ops::Range;
use std::sync::Arc;

use super::device::Device;
use super::kernels::Kernel;
use super::reflect::TENSOR_GROUP;
use crate::executor::ExecutorError;
use crate::ops::Step;
use crate::plan::{Buffer, Slot};

/// Steps that one submission may hold: the slots that the device keeps.
pub const SLOTS: usize = crate::plan::HISTORY;

/// Slots stand this many bytes apart: every adapter's alignment.
const SLOT_STRIDE: usize = 256;

/// Most workgroups along one dimension of a grid.
const GRID_LIMIT: usize = 65_535;

/// A step ready to be recorded.
pub struct Launch {
    kernel: Arc<Kernel>,
    group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// Buffers and launches; several lists of steps share them.
pub struct Session {
    pub device: Arc<Device>,
    buffers: Vec<wgpu::Buffer>,
    slots: wgpu::Buffer,
    slot_group: wgpu::BindGroup,
    lists: Vec<Vec<Launch>>,
    launches: u64,
}

/// Folds workgroups over two dimensions of a grid, as the kernels unfold them.
pub fn grid(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(GRID_LIMIT).max(1);
    [workgroups.div_ceil(rows) as u32, rows as u32, 1]
}

impl Session {
    /// Creates the buffers, zeroed, compiles every kernel, and binds every step.
    ///
    /// # Errors
    /// Out of memory, or a kernel or binding that the device rejects, by name.
    pub fn new(device: Arc<Device>, buffers: &[Buffer], lists: &[&[Step]]) -> Result<Self, ExecutorError> {
        let create = |name: &str, bytes: usize, usage| {
            device.scoped(&format!("buffer {name} of {bytes} bytes"), || {
                device.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(name),
                    size: bytes as u64,
                    usage: usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                })
            })
        };
        let buffers = buffers
            .iter()
            .map(|buffer| create(&buffer.name, 4 * buffer.len, wgpu::BufferUsages::STORAGE))
            .collect::<Result<Vec<_>, _>>()?;
        let slots = create("slots", SLOTS * SLOT_STRIDE, wgpu::BufferUsages::UNIFORM)?;
        let slot_group = device.scoped("the slots", || {
            let slot = wgpu::BufferBinding {
                buffer: &slots,
                offset: 0,
                size: wgpu::BufferSize::new(size_of::<Slot>() as u64),
            };
            device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("slot"),
                layout: &device.kernels.slot_layout,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(slot),
                }],
            })
        })?;
        let mut session = Session { device, buffers, slots, slot_group, lists: Vec::new(), launches: 0 };
        for steps in lists {
            session.add(steps)?;
        }
        Ok(session)
    }

    /// Makes a list of steps ready; returns its number.
    ///
    /// # Errors
    /// A kernel or binding that the device rejects, by name.
    pub fn add(&mut self, steps: &[Step]) -> Result<usize, ExecutorError> {
        let list = steps.iter().map(|step| self.launch(step)).collect::<Result<_, _>>()?;
        self.lists.push(list);
        Ok(self.lists.len() - 1)
    }

    fn launch(&self, step: &Step) -> Result<Launch, ExecutorError> {
        let kernel = self.device.kernels.get(&self.device, step)?;
        let name = format!("{}.{} of {}", step.op, step.entry, step.layer);
        let entries = kernel
            .bindings
            .iter()
            .map(|binding| {
                let operand = step.operand(&binding.name).ok_or_else(|| ExecutorError::Validation {
                    what: name.clone(),
                    message: format!("the step has no operand {}", binding.name),
                })?;
                let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &self.buffers[operand.view.buffer.0],
                    offset: 4 * operand.view.offset as u64,
                    size: wgpu::BufferSize::new(4 * operand.view.len as u64),
                });
                Ok(wgpu::BindGroupEntry { binding: binding.number, resource })
            })
            .collect::<Result<Vec<_>, ExecutorError>>()?;
        let group = self.device.scoped(&name, || {
            self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&name),
                layout: &kernel.layout,
                entries: &entries,
            })
        })?;
        Ok(Launch { kernel, group, grid: grid(step.workgroups) })
    }

    /// Launches so far.
    pub fn launches(&self) -> u64 {
        self.launches
    }

    /// Runs a list of steps once for each of at most [`SLOTS`] slots, in one submission; then copies
    /// `copy.0` of a buffer to the front of `copy.1`.
    pub fn submit(
        &mut self,
        list: usize,
        slots: &[Slot],
        copy: Option<(usize, Range<usize>, &wgpu::Buffer)>,
    ) -> wgpu::SubmissionIndex {
        let mut encoder = self.encode(list, slots);
        self.launches += (slots.len() * self.launches_of(list)) as u64;
        if let Some((buffer, range, to)) = copy {
            let (offset, size) = (4 * range.start as u64, 4 * range.len() as u64);
            encoder.copy_buffer_to_buffer(&self.buffers[buffer], offset, to, 0, size);
        }
        self.device.queue.submit([encoder.finish()])
    }

    /// Writes the slots and records a list of steps once for each of them.
    pub(super) fn encode(&self, list: usize, slots: &[Slot]) -> wgpu::CommandEncoder {
        self.write_slots(slots);
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for number in 0..slots.len() {
                self.record(&mut pass, list, 0..self.launches_of(list), number);
            }
        }
        encoder
    }

    pub(super) fn write_slots(&self, slots: &[Slot]) {
        let mut bytes = vec![0; slots.len() * SLOT_STRIDE];
        for (to, slot) in bytes.chunks_exact_mut(SLOT_STRIDE).zip(slots) {
            to[..size_of::<Slot>()].copy_from_slice(bytemuck::bytes_of(slot));
        }
        self.device.queue.write_buffer(&self.slots, 0, &bytes);
    }

    /// Records launches of a list with the slot at position `slot`.
    pub(super) fn record(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        list: usize,
        launches: Range<usize>,
        slot: usize,
    ) {
        pass.set_bind_group(0, &self.slot_group, &[(slot * SLOT_STRIDE) as u32]);
        for launch in &self.lists[list][launches] {
            pass.set_pipeline(&launch.kernel.pipeline);
            pass.set_bind_group(TENSOR_GROUP, &launch.group, &[]);
            let [x, y, z] = launch.grid;
            pass.dispatch_workgroups(x, y, z);
        }
    }

    /// Launches in a list.
    pub(super) fn launches_of(&self, list: usize) -> usize {
        self.lists[list].len()
    }

    /// Overwrites part of a buffer.
    pub fn write<T: bytemuck::Pod>(
        &self,
        buffer: usize,
        offset: usize,
        values: &[T],
    ) -> Result<(), ExecutorError> {
        self.device.queue.write_buffer(
            &self.buffers[buffer],
            4 * offset as u64,
            bytemuck::cast_slice(values),
        );
        self.device.check()
    }

    /// A buffer that the host can read.
    pub fn staging(&self, elements: usize) -> Result<wgpu::Buffer, ExecutorError> {
        self.device.scoped("a buffer to read back", || {
            self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: 4 * elements.max(1) as u64,
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            })
        })
    }

    /// Part of a buffer, behind everything submitted so far.
    pub fn read<T: bytemuck::Pod>(
        &self,
        buffer: usize,
        range: Range<usize>,
    ) -> Result<Vec<T>, ExecutorError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let staging = self.staging(range.len())?;
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        let (offset, size) = (4 * range.start as u64, 4 * range.len() as u64);
        encoder.copy_buffer_to_buffer(&self.buffers[buffer], offset, &staging, 0, size);
        let submission = self.device.queue.submit([encoder.finish()]);
        let mapped = map(&staging, range.len());
        self.device.wait(submission)?;
        mapped_values(&staging, range.len(), &mapped)
    }
}

/// Where the answer to a mapping arrives.
pub type Mapping = futures_intrusive::channel::shared::OneshotReceiver<Result<(), wgpu::BufferAsyncError>>;

/// Asks for a staging buffer to be mapped once its submission is done.
pub fn map(staging: &wgpu::Buffer, elements: usize) -> Mapping {
    let (sender, receiver) = futures_intrusive::channel::shared::oneshot_channel();
    staging.map_async(wgpu::MapMode::Read, ..4 * elements as u64, move |result| {
        // A receiver that is gone wants no answer.
        let _ = sender.send(result);
    });
    receiver
}

/// The values of a staging buffer, once mapped; unmaps it.
pub fn mapped_values<T: bytemuck::Pod>(
    staging: &wgpu::Buffer,
    elements: usize,
    mapping: &Mapping,
) -> Result<Vec<T>, ExecutorError> {
    let lost = |message: String| ExecutorError::DeviceLost(message);
    pollster::block_on(mapping.receive())
        .ok_or_else(|| lost("no answer to a mapping".into()))?
        .map_err(|error| lost(error.to_string()))?;
    let values = {
        let view =
            staging.get_mapped_range(..4 * elements as u64).map_err(|error| lost(error.to_string()))?;
        bytemuck::pod_collect_to_vec(&view)
    };
    staging.unmap();
    Ok(values)
}
