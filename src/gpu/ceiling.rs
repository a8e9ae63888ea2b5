//! What a device can do at most: for comparison, not for training.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::session::SessionError;

const WGSL: &str = include_str!("ceiling.wgsl");

/// Operations of an invocation: 4096 turns of 12 multiply-adds, as `ceiling.wgsl` has them.
const FLOPS: u64 = 4096 * 12 * 2;
const INVOCATIONS: u64 = 64;

/// Bytes of each side of the copy: more than a share of any cache.
const COPIED: u64 = 128 << 20;

/// A sample lasts at least as long, unless the grid is at its limit by then.
const SAMPLE: Duration = Duration::from_millis(20);
const MOST_WORKGROUPS: u32 = 65_535;
const MOST_COPIES: u32 = 1024;

/// Samples both limits.
pub struct Sampler {
    context: Arc<Context>,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    from: wgpu::Buffer,
    to: wgpu::Buffer,
    workgroups: u32,
    copies: u32,
}

impl Sampler {
    /// Compiles the kernel, takes the memory, and finds how much work makes a sample.
    ///
    /// # Errors
    /// What the device rejects, and want of memory.
    pub async fn new(context: Arc<Context>) -> Result<Self, SessionError> {
        let (pipeline, group) =
            context.scoped("the kernel that measures the device", || prepare(&context)).await?;
        let size = COPIED.min(context.device.limits().max_buffer_size);
        let buffer = || {
            context.scoped("memory for a copy that measures the device", || {
                context.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("copy"),
                    size,
                    usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            })
        };
        let (from, to) = (buffer().await?, buffer().await?);
        let mut sampler = Sampler { context, pipeline, group, from, to, workgroups: 8, copies: 1 };
        sampler.compute().await?;
        while sampler.workgroups < MOST_WORKGROUPS && sampler.compute().await? < SAMPLE {
            sampler.workgroups = (2 * sampler.workgroups).min(MOST_WORKGROUPS);
        }
        sampler.copy().await?;
        while sampler.copies < MOST_COPIES && sampler.copy().await? < SAMPLE {
            sampler.copies *= 2;
        }
        Ok(sampler)
    }

    /// Billions of operations a second of multiply-adds on registers.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn gflops(&mut self) -> Result<f64, SessionError> {
        let flops = u64::from(self.workgroups) * INVOCATIONS * FLOPS;
        Ok(flops as f64 / self.compute().await?.as_secs_f64() / 1e9)
    }

    /// Billions of bytes a second, read and written, of a copy.
    ///
    /// # Errors
    /// What the device reports.
    pub async fn gb_s(&mut self) -> Result<f64, SessionError> {
        let bytes = 2 * u64::from(self.copies) * self.from.size();
        Ok(bytes as f64 / self.copy().await?.as_secs_f64() / 1e9)
    }

    async fn compute(&self) -> Result<Duration, SessionError> {
        self.timed(|encoder| {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.group, &[]);
            pass.dispatch_workgroups(self.workgroups, 1, 1);
        })
        .await
    }

    async fn copy(&self) -> Result<Duration, SessionError> {
        self.timed(|encoder| {
            for _ in 0..self.copies {
                encoder.copy_buffer_to_buffer(&self.from, 0, &self.to, 0, self.from.size());
            }
        })
        .await
    }

    async fn timed(&self, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> Result<Duration, SessionError> {
        let mut encoder = self.context.device.create_command_encoder(&Default::default());
        record(&mut encoder);
        let start = Instant::now();
        self.context.end_of(self.context.submit(encoder)).await?;
        Ok(start.elapsed())
    }
}

fn prepare(context: &Context) -> (wgpu::ComputePipeline, wgpu::BindGroup) {
    let Context { device, queue, .. } = context;
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() };
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some("ceiling"),
        source: wgpu::ShaderSource::Wgsl(WGSL.into()),
    };
    // SAFETY: as for all other kernels: bounds are still checked, and the loop ends.
    let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("ceiling"),
        layout: None,
        module: &module,
        entry_point: Some("multiply_add"),
        compilation_options: Default::default(),
        cache: None,
    });
    let numbers = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("numbers"),
        size: 12,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    queue.write_buffer(&numbers, 0, bytemuck::cast_slice(&[0.999f32, 0.001, 0.0]));
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("ceiling"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: numbers.as_entire_binding() }],
    });
    (pipeline, group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::reflect;

    #[test]
    fn the_kernel_is_valid_and_does_what_is_counted() {
        let (module, _) = reflect::module(WGSL).unwrap();
        let [entry] = &module.entry_points[..] else { panic!("one entry point") };
        assert_eq!(entry.workgroup_size.iter().map(|&x| u64::from(x)).product::<u64>(), INVOCATIONS);
        let turns = FLOPS / (12 * 2);
        assert!(WGSL.contains(&format!("const TURNS: u32 = {turns}u;")));
        assert_eq!(WGSL.matches("* factor + term;").count() * 4, 12);
    }
}
