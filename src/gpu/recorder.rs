//! A plan's buffers on a device, its bind groups, and the recording of its steps.

use std::ops::Range;
use std::sync::Arc;

use super::context::{Context, Pending};
use super::pipelines::{Kernel, Pipelines};
use super::reflect::TENSOR_GROUP;
use crate::ops::Step;
use crate::plan::{Buffer, Slot};
use crate::session::{SUBMISSION, SessionError};

/// Slots stand this many bytes apart: every adapter's alignment.
const SLOT_STRIDE: usize = 256;

/// Most workgroups along one dimension of a grid.
const GRID_LIMIT: usize = 65_535;

/// A step ready to be recorded.
struct Launch {
    kernel: Arc<Kernel>,
    group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// Buffers and launches; several lists of steps share them.
pub struct Recorder {
    pipelines: Arc<Pipelines>,
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

impl Recorder {
    /// Creates the buffers, zeroed.
    ///
    /// # Errors
    /// Out of memory, by the buffer's name.
    pub async fn new(pipelines: Arc<Pipelines>, buffers: &[Buffer]) -> Result<Self, SessionError> {
        let context = &pipelines.context;
        let create = async |name: &str, bytes: usize, usage| {
            let create = || {
                context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some(name),
                    size: bytes as u64,
                    usage: usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                })
            };
            context.scoped(&format!("buffer {name} of {bytes} bytes"), create).await
        };
        let mut created = Vec::with_capacity(buffers.len());
        for buffer in buffers {
            created.push(create(&buffer.name, 4 * buffer.len, wgpu::BufferUsages::STORAGE).await?);
        }
        let slots = create("slots", SUBMISSION * SLOT_STRIDE, wgpu::BufferUsages::UNIFORM).await?;
        let slot = wgpu::BufferBinding {
            buffer: &slots,
            offset: 0,
            size: wgpu::BufferSize::new(size_of::<Slot>() as u64),
        };
        let slot_group = context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("slot"),
            layout: &pipelines.slot_layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(slot) }],
        });
        Ok(Recorder { pipelines, buffers: created, slots, slot_group, lists: Vec::new(), launches: 0 })
    }

    /// What the buffers are on.
    pub fn context(&self) -> &Arc<Context> {
        &self.pipelines.context
    }

    /// Compiles and binds a list of steps; returns its number.
    ///
    /// # Errors
    /// A kernel or binding that the device rejects, by name.
    pub async fn add(&mut self, steps: &[Step]) -> Result<usize, SessionError> {
        let kernels = self.pipelines.get(steps).await?;
        let mut list = Vec::with_capacity(steps.len());
        for (step, kernel) in steps.iter().zip(kernels) {
            list.push(self.launch(step, kernel).await?);
        }
        self.lists.push(list);
        Ok(self.lists.len() - 1)
    }

    async fn launch(&self, step: &Step, kernel: Arc<Kernel>) -> Result<Launch, SessionError> {
        let name = format!("{}.{} of {}", step.op, step.entry, step.layer);
        let entries = kernel
            .bindings
            .iter()
            .map(|binding| {
                let operand = step.operand(&binding.name).ok_or_else(|| SessionError::Validation {
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
            .collect::<Result<Vec<_>, SessionError>>()?;
        let create = || {
            self.context().device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&name),
                layout: &kernel.layout,
                entries: &entries,
            })
        };
        let group = self.context().scoped(&name, create).await?;
        Ok(Launch { kernel, group, grid: grid(step.workgroups) })
    }

    /// Launches so far.
    pub fn launches(&self) -> u64 {
        self.launches
    }

    /// Runs a list of steps once for each of at most [`SUBMISSION`] slots, in one submission.
    pub fn submit(&mut self, list: usize, slots: &[Slot]) -> Pending {
        let encoder = self.encode(list, slots);
        self.launches += (slots.len() * self.launches_of(list)) as u64;
        self.context().submit(encoder)
    }

    /// The same, and then reads part of a buffer.
    pub fn submit_and_read<T: bytemuck::Pod>(
        &mut self,
        list: usize,
        slots: &[Slot],
        (buffer, range): (usize, Range<usize>),
    ) -> impl Future<Output = Result<Vec<T>, SessionError>> + use<T> {
        let encoder = self.encode(list, slots);
        self.launches += (slots.len() * self.launches_of(list)) as u64;
        self.read_behind(encoder, buffer, range)
    }

    /// Writes the slots and records a list of steps once for each of them.
    pub(super) fn encode(&self, list: usize, slots: &[Slot]) -> wgpu::CommandEncoder {
        self.write_slots(slots);
        let mut encoder = self.context().device.create_command_encoder(&Default::default());
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
        self.context().queue.write_buffer(&self.slots, 0, &bytes);
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
    ) -> Result<(), SessionError> {
        self.context().queue.write_buffer(
            &self.buffers[buffer],
            4 * offset as u64,
            bytemuck::cast_slice(values),
        );
        self.context().check()
    }

    /// Part of a buffer, after everything submitted so far.
    pub fn read<T: bytemuck::Pod>(
        &self,
        buffer: usize,
        range: Range<usize>,
    ) -> impl Future<Output = Result<Vec<T>, SessionError>> + use<T> {
        let encoder = self.context().device.create_command_encoder(&Default::default());
        self.read_behind(encoder, buffer, range)
    }

    fn read_behind<T: bytemuck::Pod>(
        &self,
        mut encoder: wgpu::CommandEncoder,
        buffer: usize,
        range: Range<usize>,
    ) -> impl Future<Output = Result<Vec<T>, SessionError>> + use<T> {
        let len = range.len();
        let staging = self.staging(len.max(1));
        let (offset, size) = (4 * range.start as u64, 4 * len as u64);
        encoder.copy_buffer_to_buffer(&self.buffers[buffer], offset, &staging, 0, size);
        let values = self.map(encoder, staging);
        async move {
            let mut values = values.await?;
            values.truncate(len);
            Ok(values)
        }
    }

    /// A buffer that the host can read.
    pub(super) fn staging(&self, elements: usize) -> wgpu::Buffer {
        self.context().device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: 4 * elements as u64,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        })
    }

    /// Submits commands that fill a staging buffer; then its values.
    pub(super) fn map<T: bytemuck::Pod>(
        &self,
        encoder: wgpu::CommandEncoder,
        staging: wgpu::Buffer,
    ) -> impl Future<Output = Result<Vec<T>, SessionError>> + use<T> {
        let context = self.context().clone();
        let pending = context.submit_and_map(encoder, &staging);
        async move {
            context.end_of(pending).await?;
            let view =
                staging.get_mapped_range(..).map_err(|error| SessionError::DeviceLost(error.to_string()))?;
            Ok(bytemuck::pod_collect_to_vec(&view))
        }
    }
}
