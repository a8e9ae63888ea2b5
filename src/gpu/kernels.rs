//! Compiles kernels: a pipeline for each entry point and each set of attributes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::device::Device;
use super::reflect::{self, Binding};
use crate::executor::ExecutorError;
use crate::ops::{COMMON, COMMON_WGSL, STEMS, Step};
use crate::plan::Slot;

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

/// All kernels of a device, each compiled once.
pub struct Kernels {
    pub slot_layout: wgpu::BindGroupLayout,
    modules: Mutex<HashMap<&'static str, Arc<Module>>>,
    kernels: Mutex<HashMap<Key, Arc<Kernel>>>,
    replaced: Mutex<HashMap<&'static str, String>>,
}

impl Kernels {
    pub fn new(device: &wgpu::Device) -> Self {
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
        let slot_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("slot"),
            entries: &[slot],
        });
        Kernels {
            slot_layout,
            modules: Mutex::default(),
            kernels: Mutex::default(),
            replaced: Mutex::default(),
        }
    }

    /// From now on compiles this text for an op, or for [`COMMON`]: how tests plant a fault in a kernel.
    pub fn replace(&self, stem: &'static str, wgsl: String) {
        self.replaced.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(stem, wgsl);
        let stays = |op: &str| stem != COMMON && op != stem;
        self.modules.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).retain(|op, _| stays(op));
        let mut kernels = self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        kernels.retain(|(op, ..), _| stays(op));
    }

    /// The kernel that runs `step`.
    ///
    /// # Errors
    /// [`ExecutorError::Kernel`] with the kernel's name where it does not compile.
    pub fn get(&self, device: &Device, step: &Step) -> Result<Arc<Kernel>, ExecutorError> {
        let constants = step.constants.iter().map(|(_, value)| value.as_f64().to_bits()).collect();
        let key = (step.op, step.entry, constants);
        let mut kernels = self.kernels.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(kernel) = kernels.get(&key) {
            return Ok(kernel.clone());
        }
        let name = format!("{}.{}", step.op, step.entry);
        let kernel = self.compile(device, step, &name).map_err(|error| match error {
            ExecutorError::Validation { message, .. } => ExecutorError::Kernel { kernel: name, message },
            other => other,
        })?;
        let kernel = Arc::new(kernel);
        kernels.insert(key, kernel.clone());
        Ok(kernel)
    }

    fn module(&self, device: &Device, step: &Step) -> Result<Arc<Module>, ExecutorError> {
        let mut modules = self.modules.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(module) = modules.get(step.op) {
            return Ok(module.clone());
        }
        let invalid = |message: String| ExecutorError::Kernel { kernel: step.op.into(), message };
        let stem = STEMS.iter().find(|stem| stem.name == step.op);
        let stem = stem.ok_or_else(|| invalid("there is no such op".into()))?;
        let replaced = self.replaced.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let text = |name, own| replaced.get(name).map_or(own, String::as_str);
        let text = reflect::source(text(COMMON, COMMON_WGSL), text(step.op, stem.wgsl));
        let entries = reflect::entries(&text).map_err(invalid)?;
        // Without the counter that would end an endless loop: it costs 5 to 10 % of the time
        // on a software adapter, and all loops here count up to a bound.
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() };
        let shader = device.scoped(step.op, || {
            let descriptor = wgpu::ShaderModuleDescriptor {
                label: Some(step.op),
                source: wgpu::ShaderSource::Wgsl(text.as_str().into()),
            };
            // SAFETY: bounds are still checked, and every loop ends.
            unsafe { device.device.create_shader_module_trusted(descriptor, checks) }
        })?;
        let module = Arc::new(Module { shader, entries });
        modules.insert(step.op, module.clone());
        Ok(module)
    }

    fn compile(&self, device: &Device, step: &Step, name: &str) -> Result<Kernel, ExecutorError> {
        let module = self.module(device, step)?;
        let invalid = |message: &str| ExecutorError::Kernel { kernel: name.into(), message: message.into() };
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
        device.scoped(name, || {
            let layout = device.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(name),
                entries: &entries,
            });
            let pipeline_layout = device.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(name),
                bind_group_layouts: &[Some(&self.slot_layout), Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
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
        })
    }
}
