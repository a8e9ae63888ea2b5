//! What a device can do at most: for comparison, not for training.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::session::SessionError;

const WGSL: &str = include_str!("ceiling.wgsl");

/// Operations of an invocation: 4096 turns of 12 multiply-adds, as `ceiling.wgsl` has them.
const FLOPS: u64 = 4096 * 12 * 2;
const INVOCATIONS: u64 = 64;

/// Invocations of a workgroup of the copy.
const COPIERS: u64 = 256;

/// Most bytes of each side of the copy, many times any cache; a software adapter's memory is the machine's own.
const COPIED: u64 = 1 << 30;
const COPIED_BY_SOFTWARE: u64 = 1 << 26;
/// Fewer would be a cache's.
const LEAST_COPIED: u64 = 1 << 20;

/// A sample lasts at least as long, unless the grid is at its limit by then.
const SAMPLE: Duration = Duration::from_millis(20);
const MOST_WORKGROUPS: u32 = 65_535;
const MOST_COPIES: u32 = 1024;

/// Samples both limits.
pub struct Sampler {
    context: Arc<Context>,
    compute: Launch,
    copy: Launch,
    /// What is read, and what is written, by a copy.
    sides: [wgpu::Buffer; 2],
    copies: u32,
}

struct Launch {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    workgroups: u32,
}

impl Sampler {
    /// Compiles the kernels, takes the memory, and finds how much work makes a sample.
    ///
    /// # Errors
    /// What the device rejects, and want of memory.
    pub async fn new(context: Arc<Context>) -> Result<Self, SessionError> {
        let numbers = buffer(&context, 12).await?;
        context.queue.write_buffer(&numbers, 0, bytemuck::cast_slice(&[0.999f32, 0.001, 0.0]));
        let compute = prepare(&context, "multiply_add", &[(2, &numbers)], 8).await?;
        let sides = sides(&context).await?;
        let workgroups = (sides[0].size() / 16).div_ceil(COPIERS).min(MOST_WORKGROUPS.into()) as u32;
        let copy = prepare(&context, "copy", &[(0, &sides[0]), (1, &sides[1])], workgroups).await?;
        let mut sampler = Sampler { context, compute, copy, sides, copies: 1 };
        sampler.computed().await?;
        while sampler.compute.workgroups < MOST_WORKGROUPS && sampler.computed().await? < SAMPLE {
            sampler.compute.workgroups = (2 * sampler.compute.workgroups).min(MOST_WORKGROUPS);
        }
        sampler.copied().await?;
        while sampler.copies < MOST_COPIES && sampler.copied().await? < SAMPLE {
            sampler.copies *= 2;
        }
        Ok(sampler)
    }

    /// Billions of operations a second of multiply-adds on registers.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn gflops(&mut self) -> Result<f64, SessionError> {
        let flops = u64::from(self.compute.workgroups) * INVOCATIONS * FLOPS;
        Ok(flops as f64 / self.computed().await?.as_secs_f64() / 1e9)
    }

    /// Billions of bytes a second, read and written, of a copy.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn gb_s(&mut self) -> Result<f64, SessionError> {
        Ok((u64::from(self.copies) * self.bytes()) as f64 / self.copied().await?.as_secs_f64() / 1e9)
    }

    /// Read and written by a copy, together.
    fn bytes(&self) -> u64 {
        self.sides.iter().map(wgpu::Buffer::size).sum()
    }

    async fn computed(&self) -> Result<Duration, SessionError> {
        self.timed(&self.compute, 1).await
    }

    async fn copied(&self) -> Result<Duration, SessionError> {
        self.timed(&self.copy, self.copies).await
    }

    async fn timed(&self, launch: &Launch, times: u32) -> Result<Duration, SessionError> {
        let mut encoder = self.context.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.group, &[]);
        (0..times).for_each(|_| pass.dispatch_workgroups(launch.workgroups, 1, 1));
        drop(pass);
        let start = Instant::now();
        self.context.end_of(self.context.submit(encoder)).await?;
        Ok(start.elapsed())
    }
}

/// Bytes of each side of the copy to try first: whole vectors of what one binding can hold.
fn copied(limits: &wgpu::Limits, software: bool) -> u64 {
    let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
    most.min(if software { COPIED_BY_SOFTWARE } else { COPIED }) / 16 * 16
}

/// Both sides of the copy, as large as there is memory for.
async fn sides(context: &Context) -> Result<[wgpu::Buffer; 2], SessionError> {
    let mut bytes = copied(&context.device.limits(), context.info.software);
    loop {
        match (buffer(context, bytes).await, buffer(context, bytes).await) {
            (Ok(from), Ok(to)) => return Ok([from, to]),
            (Err(SessionError::OutOfMemory(_)), _) | (_, Err(SessionError::OutOfMemory(_)))
                if bytes / 2 >= LEAST_COPIED =>
            {
                bytes /= 2;
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
}

async fn buffer(context: &Context, size: u64) -> Result<wgpu::Buffer, SessionError> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let label = Some("ceiling");
    let create = || {
        context.device.create_buffer(&wgpu::BufferDescriptor {
            label,
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    context.scoped("memory that measures the device", create).await
}

async fn prepare(
    context: &Context,
    entry: &str,
    buffers: &[(u32, &wgpu::Buffer)],
    workgroups: u32,
) -> Result<Launch, SessionError> {
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() };
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some("ceiling"),
        source: wgpu::ShaderSource::Wgsl(WGSL.into()),
    };
    let create = || {
        // SAFETY: as for all other kernels: bounds are still checked, and the loops end.
        let module = unsafe { context.device.create_shader_module_trusted(descriptor, checks) };
        let pipeline = context.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry),
            layout: None,
            module: &module,
            entry_point: Some(entry),
            compilation_options: Default::default(),
            cache: None,
        });
        let entries = buffers.iter().map(|(binding, buffer)| wgpu::BindGroupEntry {
            binding: *binding,
            resource: buffer.as_entire_binding(),
        });
        let group = context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("ceiling"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries.collect::<Vec<_>>(),
        });
        Launch { pipeline, group, workgroups }
    };
    context.scoped("the kernel that measures the device", create).await
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::gpu::{Choice, adapters, reflect};

    #[test]
    fn the_kernels_are_valid_and_do_what_is_counted() {
        let (module, _) = reflect::module(WGSL).unwrap();
        let size = |name: &str| -> u64 {
            let entry = module.entry_points.iter().find(|entry| entry.name == name).unwrap();
            entry.workgroup_size.iter().map(|&x| u64::from(x)).product()
        };
        assert_eq!((size("multiply_add"), size("copy")), (INVOCATIONS, COPIERS));
        let turns = FLOPS / (12 * 2);
        assert!(WGSL.contains(&format!("const TURNS: u32 = {turns}u;")));
        assert_eq!(WGSL.matches("* factor + term;").count() * 4, 12);
    }

    #[test]
    fn sides_of_the_copy_are_what_the_adapter_binds() {
        let of = |max_buffer_size, max_storage_buffer_binding_size| wgpu::Limits {
            max_buffer_size,
            max_storage_buffer_binding_size,
            ..Default::default()
        };
        assert_eq!(copied(&of(1 << 40, 1 << 31), false), 1 << 30);
        assert_eq!(copied(&of(1 << 40, 1 << 31), true), 1 << 26);
        assert_eq!(copied(&of(1 << 40, (1 << 27) + 12), false), 1 << 27);
        assert_eq!(copied(&of(1000, 1 << 27), true), 992);
    }

    /// Every byte that is counted is read and written, and no other.
    #[test]
    fn a_copy_moves_as_many_bytes_as_are_counted() {
        let Ok(Choice::Gpu(candidate)) = block_on(adapters::choose("vulkan")) else {
            return eprintln!("skipped: no Vulkan adapter");
        };
        let context = Arc::new(block_on(Context::open(&candidate)).unwrap());
        let mut sampler = block_on(Sampler::new(context.clone())).unwrap();
        let size = sampler.sides[1].size();
        let values: Vec<u32> = (1..=(size / 4) as u32).collect();
        // Once as it is sampled, once in several turns of a grid that is no divisor.
        for workgroups in [sampler.copy.workgroups, 1000] {
            sampler.copy.workgroups = workgroups;
            context.queue.write_buffer(&sampler.sides[0], 0, bytemuck::cast_slice(&values));
            context.queue.write_buffer(&sampler.sides[1], 0, &vec![0; size as usize]);
            block_on(sampler.copied()).unwrap();
            let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
            let read = context.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            });
            let mut encoder = context.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&sampler.sides[1], 0, &read, 0, size);
            block_on(context.end_of(context.submit_and_map(encoder, &read))).unwrap();
            let view = read.get_mapped_range(..).unwrap();
            let moved =
                bytemuck::cast_slice::<u8, u32>(&view).iter().zip(&values).filter(|(a, b)| a == b).count();
            assert_eq!(2 * 4 * moved as u64, sampler.bytes(), "{workgroups} workgroups");
        }
    }
}
