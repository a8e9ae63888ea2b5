//! Compiles kernels: a pipeline for each entry point and each set of attributes, several at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::context::Context;
use super::reflect::{self, Binding};
use crate::ops::{COMMON, COMMON_WGSL, STEMS, Step};
use crate::plan::Slot;
use crate::session::SessionError;

/// A compiled entry point.
pub struct Kernel {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub bindings: Vec<Binding>,
}

/// A stem's module and what its entry points bind.
struct Module {
    shader: wgpu::ShaderModule,
    entries: Vec<reflect::Entry>,
}

type Key = (&'static str, &'static str, Vec<u64>);

/// Kernels of a device, each compiled when a step first needs it, and kept.
pub struct Pipelines {
    pub context: Arc<Context>,
    pub(super) slot_layout: wgpu::BindGroupLayout,
    modules: Mutex<HashMap<&'static str, Arc<Module>>>,
    kernels: Mutex<HashMap<Key, Arc<Kernel>>>,
    replaced: Mutex<HashMap<&'static str, String>>,
}

impl Pipelines {
    pub fn new(context: Context) -> Self {
        let slot = wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Uniform,
                has_dynamic_offset: true,
                min_binding_size: wgpu::BufferSize::new(size_of::<Slot>() as u64),
            },
            count: None,
        };
        let slot_layout = context.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("slot"),
            entries: &[slot],
        });
        Pipelines {
            context: Arc::new(context),
            slot_layout,
            modules: Mutex::default(),
            kernels: Mutex::default(),
            replaced: Mutex::default(),
        }
    }

    /// Compiles another text for an op, or for what all share ([`COMMON`]), from now on: how tests plant a fault in a
    /// kernel.
    pub fn replace_shader(&self, stem: &'static str, wgsl: String) {
        locked(&self.replaced).insert(stem, wgsl);
        let stays = |op: &str| stem != COMMON && op != stem;
        locked(&self.modules).retain(|op, _| stays(op));
        locked(&self.kernels).retain(|(op, ..), _| stays(op));
    }

    /// The kernels that run `steps`, in order.
    ///
    /// # Errors
    /// [`SessionError::Kernel`] with the kernel's name where one does not compile.
    pub async fn get(&self, steps: &[Step]) -> Result<Vec<Arc<Kernel>>, SessionError> {
        let missing: Vec<&Step> = {
            let (kernels, mut seen) = (locked(&self.kernels), HashSet::new());
            let new = |step: &&Step| !kernels.contains_key(&key(step)) && seen.insert(key(step));
            steps.iter().filter(new).collect()
        };
        let stems: Vec<&'static str> = {
            let (modules, mut seen) = (locked(&self.modules), HashSet::new());
            let new = |op: &&'static str| !modules.contains_key(op) && seen.insert(*op);
            missing.iter().map(|step| step.op).filter(new).collect()
        };
        for (&stem, module) in stems.iter().zip(each(&stems, |stem| self.module(stem))) {
            let module = module?.await?;
            locked(&self.modules).insert(stem, Arc::new(module));
        }
        for (step, kernel) in missing.iter().zip(each(&missing, |step| self.compile(step))) {
            let kernel = kernel?.await.map_err(|error| match error {
                SessionError::Validation { message, .. } => {
                    SessionError::Kernel { kernel: name(step), message }
                }
                other => other,
            })?;
            locked(&self.kernels).insert(key(step), Arc::new(kernel));
        }
        let kernels = locked(&self.kernels);
        let known = |step: &Step| {
            let unknown = || SessionError::Kernel { kernel: name(step), message: "it was replaced".into() };
            kernels.get(&key(step)).cloned().ok_or_else(unknown)
        };
        steps.iter().map(known).collect()
    }

    fn module(
        &self,
        op: &'static str,
    ) -> Result<impl Future<Output = Result<Module, SessionError>>, SessionError> {
        let invalid = |message: String| SessionError::Kernel { kernel: op.into(), message };
        let stem = STEMS.iter().find(|stem| stem.name == op);
        let stem = stem.ok_or_else(|| invalid("there is no such op".into()))?;
        let text = {
            let replaced = locked(&self.replaced);
            let text = |name, own| replaced.get(name).map_or(own, String::as_str);
            reflect::source(text(COMMON, COMMON_WGSL), text(op, stem.wgsl))
        };
        let entries = reflect::entries(&text).map_err(invalid)?;
        // Without the counter that would end an endless loop: it costs 5 to 10 % of the time
        // on a software adapter, and all loops here count up to a bound.
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() };
        Ok(self.context.scoped(op, move || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(op),
                source: wgpu::ShaderSource::Wgsl(text.as_str().into()),
            };
            // SAFETY: bounds are still checked, and every loop ends.
            let shader = unsafe { self.context.device.create_shader_module_trusted(descriptor, checks) };
            Module { shader, entries }
        }))
    }

    fn compile<'a>(
        &'a self,
        step: &'a Step,
    ) -> Result<impl Future<Output = Result<Kernel, SessionError>> + use<'a>, SessionError> {
        let name = name(step);
        let module = locked(&self.modules).get(step.op).cloned();
        let invalid = |message: &str| SessionError::Kernel { kernel: name.clone(), message: message.into() };
        let module = module.ok_or_else(|| invalid("it was replaced"))?;
        let entry = module.entries.iter().find(|entry| entry.name == step.entry);
        let bindings = entry.ok_or_else(|| invalid("there is no such entry point"))?.bindings.clone();
        let entries: Vec<_> = bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.number,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: binding.read_only },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let constants: Vec<(&str, f64)> =
            step.constants.iter().map(|(name, value)| (*name, value.as_f64())).collect();
        let device = &self.context.device;
        Ok(self.context.scoped(&name.clone(), move || {
            let label = Some(name.as_str());
            let layout = device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label,
                bind_group_layouts: &[Some(&self.slot_layout), Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label,
                layout: Some(&pipeline_layout),
                module: &module.shader,
                entry_point: Some(step.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Kernels write before they read; clearing costs seconds on some adapters.
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            });
            Kernel { pipeline, layout, bindings }
        }))
    }
}

fn key(step: &Step) -> Key {
    (step.op, step.entry, step.constants.iter().map(|(_, value)| value.as_f64().to_bits()).collect())
}

fn name(step: &Step) -> String {
    format!("{}.{}", step.op, step.entry)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The work of each item, side by side where there are threads.
#[cfg(not(target_arch = "wasm32"))]
fn each<T: Copy + Sync, R: Send>(items: &[T], work: impl Fn(T) -> R + Sync) -> Vec<R> {
    use rayon::prelude::*;
    items.par_iter().map(|&item| work(item)).collect()
}

#[cfg(target_arch = "wasm32")]
fn each<T: Copy, R>(items: &[T], work: impl Fn(T) -> R) -> Vec<R> {
    items.iter().map(|&item| work(item)).collect()
}
