//! Finds the adapters of this machine and chooses one: never another than was asked for.

use serde::Serialize;

use crate::session::AdapterInfo;

/// An adapter that wgpu found.
pub struct Candidate {
    /// Position in the list of all adapters, as `--adapter` takes it.
    pub index: usize,
    pub adapter: wgpu::Adapter,
    pub info: wgpu::AdapterInfo,
}

/// What `gpu-siamese adapters` says of an adapter.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    pub index: usize,
    pub name: String,
    pub backend: String,
    pub driver: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the processor pretends to be a GPU.
    pub software: bool,
    pub features: Vec<&'static str>,
    pub limits: Limits,
}

/// Limits that decide what fits.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    pub max_buffer_size: u64,
    pub max_storage_buffer_binding_size: u64,
    pub max_storage_buffers_per_shader_stage: u32,
    pub max_compute_workgroup_storage_size: u32,
    pub max_compute_invocations_per_workgroup: u32,
    pub min_storage_buffer_offset_alignment: u32,
}

/// What to run on.
pub enum Choice {
    Cpu,
    Gpu(Box<Candidate>),
}

/// There is no such adapter.
#[derive(Debug, thiserror::Error)]
#[error(
    "no adapter matches \"{wanted}\"; this machine has:\n{}\n{}",
    list(found),
    "Install your GPU's Vulkan driver (Debian, Ubuntu: mesa-vulkan-drivers for AMD and Intel, and a software \
     adapter for testing), or use --adapter cpu."
)]
pub struct NoAdapter {
    pub wanted: String,
    pub found: Vec<String>,
}

fn list(found: &[String]) -> String {
    let lines = if found.is_empty() { &["none but the CPU".to_string()] } else { found };
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

impl Candidate {
    pub fn software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    pub fn describe(&self) -> AdapterInfo {
        let driver = format!("{} {}", self.info.driver, self.info.driver_info);
        AdapterInfo {
            name: self.info.name.clone(),
            backend: backend_name(self.info.backend).into(),
            driver: driver.trim().into(),
            software: self.software(),
        }
    }

    /// The line that people read.
    pub fn line(&self) -> String {
        let AdapterInfo { name, backend, driver, software } = self.describe();
        let software = if software { ", software" } else { "" };
        format!("{}: {name} ({backend}{software}; {driver})", self.index)
    }

    pub fn listing(&self) -> Listing {
        let AdapterInfo { name, backend, driver, software } = self.describe();
        let limits = self.adapter.limits();
        let features = self.adapter.features();
        let known = [
            (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
            (wgpu::Features::SUBGROUP, "subgroups"),
            (wgpu::Features::SHADER_F16, "shader-f16"),
        ];
        Listing {
            index: self.index,
            name,
            backend,
            driver,
            kind: format!("{:?}", self.info.device_type).to_lowercase(),
            software,
            features: known.iter().filter(|(f, _)| features.contains(*f)).map(|(_, name)| *name).collect(),
            limits: Limits {
                max_buffer_size: limits.max_buffer_size,
                max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
                max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
                max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
                max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
                min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            },
        }
    }
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Noop => "noop",
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::BrowserWebGpu => "webgpu",
    }
}

/// All adapters that can compute, in wgpu's order.
pub async fn all() -> Vec<Candidate> {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let instance = wgpu::Instance::new(descriptor);
    instance
        .enumerate_adapters(wgpu::Backends::all())
        .await
        .into_iter()
        .filter(|adapter| {
            let flags = adapter.get_downlevel_capabilities().flags;
            flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
                && adapter.get_info().backend != wgpu::Backend::Noop
        })
        .enumerate()
        .map(|(index, adapter)| Candidate { index, info: adapter.get_info(), adapter })
        .collect()
}

/// The adapter that `wanted` means: `auto`, `cpu`, a backend, an index, or part of a name; a number
/// beyond the list only if it is a whole word of a name.
///
/// `auto` takes a hardware adapter, else the CPU, never a software adapter. Of several matches the
/// discrete GPU goes first, then an integrated one, a software adapter last.
///
/// # Errors
/// If nothing matches; the message lists what there is.
pub async fn choose(wanted: &str) -> Result<Choice, NoAdapter> {
    if wanted.eq_ignore_ascii_case("cpu") {
        return Ok(Choice::Cpu);
    }
    let mut candidates = all().await;
    let known: Vec<_> = candidates
        .iter()
        .map(|candidate| (candidate.info.name.as_str(), candidate.info.backend, candidate.info.device_type))
        .collect();
    match select(wanted, &known) {
        Some(index) => Ok(Choice::Gpu(Box::new(candidates.swap_remove(index)))),
        None if wanted.eq_ignore_ascii_case("auto") => Ok(Choice::Cpu),
        None => {
            let found = candidates.iter().map(Candidate::line).collect();
            Err(NoAdapter { wanted: wanted.into(), found })
        }
    }
}

/// Position of the adapter that `wanted` means, of (name, backend, type).
fn select(wanted: &str, known: &[(&str, wgpu::Backend, wgpu::DeviceType)]) -> Option<usize> {
    let wanted = wanted.trim().to_lowercase();
    if wanted.is_empty() {
        return None;
    }
    // A number beyond the list may be a word of a name, as in "RTX 4090", but not a part of one.
    let is_number = wanted.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(index) = wanted.parse().ok().filter(|&index| is_number && index < known.len()) {
        return Some(index);
    }
    let is_backend = ["vulkan", "metal", "dx12", "gl", "webgpu"].contains(&wanted.as_str());
    let matches = |&(name, backend, kind): &(&str, wgpu::Backend, wgpu::DeviceType)| {
        if wanted == "auto" {
            kind != wgpu::DeviceType::Cpu
        } else if is_backend {
            backend_name(backend) == wanted
        } else {
            let name = name.to_lowercase();
            let mut words = name.split(|c: char| c.is_whitespace() || "(),;/".contains(c));
            if is_number { words.any(|word| word == wanted) } else { name.contains(&wanted) }
        }
    };
    let rank = |kind| match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    (0..known.len()).filter(|&index| matches(&known[index])).min_by_key(|&index| rank(known[index].2))
}

#[cfg(test)]
mod tests {
    use super::select;
    use wgpu::Backend::{Gl, Vulkan};
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};

    #[test]
    fn the_adapter_asked_for_is_the_adapter_taken() {
        let software = [
            ("llvmpipe (LLVM 15.0.6, 256 bits)", Vulkan, Cpu),
            ("Google SwiftShader", Vulkan, Cpu),
            ("llvmpipe", Gl, Cpu),
        ];
        let real = [
            ("llvmpipe", Vulkan, Cpu),
            ("Intel UHD", Vulkan, IntegratedGpu),
            ("NVIDIA GeForce RTX 4090", Vulkan, DiscreteGpu),
            ("NVIDIA GeForce RTX 4090", Gl, DiscreteGpu),
        ];
        for (wanted, known, expected) in [
            ("auto", &software[..], None),
            ("auto", &real, Some(2)),
            ("vulkan", &software, Some(0)),
            ("vulkan", &real, Some(2)),
            ("gl", &software, Some(2)),
            ("GL", &real, Some(3)),
            ("swiftshader", &software, Some(1)),
            ("intel", &real, Some(1)),
            ("1", &real, Some(1)),
            ("4090", &real, Some(2)),
            ("7", &real, None),
            ("5", &software, None),
            ("15", &software, None),
            ("+1", &software, None),
            ("256", &software, Some(0)),
            (" 1 ", &software, Some(1)),
            ("", &software, None),
            (" ", &real, None),
            ("metal", &real, None),
            ("amd", &real, None),
            ("vulkan", &[], None),
        ] {
            assert_eq!(select(wanted, known), expected, "{wanted} of {known:?}");
        }
    }
}
