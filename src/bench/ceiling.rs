//! What a device can do at most.

use std::sync::Arc;

use super::Ceiling;
use crate::session::SessionError;
use crate::{cpu, gpu};

/// A device's own limits, sampled as often as the contenders.
pub struct Limits {
    device: Sampler,
    best: Ceiling,
}

enum Sampler {
    Cpu(cpu::ceiling::Sampler),
    Gpu(gpu::ceiling::Sampler),
}

impl Limits {
    /// # Errors
    /// If the machine does not say how many threads it offers, or one cannot be started.
    pub fn of_cpu() -> Result<Self, std::io::Error> {
        let threads = std::thread::available_parallelism()?.get();
        Ok(Limits { device: Sampler::Cpu(cpu::ceiling::Sampler::new(threads)?), best: Ceiling::default() })
    }

    /// # Errors
    /// What the device rejects, and want of memory.
    pub async fn of_gpu(context: Arc<gpu::Context>) -> Result<Self, SessionError> {
        Ok(Limits {
            device: Sampler::Gpu(gpu::ceiling::Sampler::new(context).await?),
            best: Ceiling::default(),
        })
    }

    /// # Errors
    /// What the device reports.
    pub async fn sample(&mut self) -> Result<(), SessionError> {
        let (gflops, gb_s) = match &mut self.device {
            Sampler::Cpu(cpu) => (cpu.gflops(), cpu.gb_s()),
            Sampler::Gpu(gpu) => (gpu.gflops().await?, gpu.gb_s().await?),
        };
        self.best = Ceiling { gflops: self.best.gflops.max(gflops), gb_s: self.best.gb_s.max(gb_s) };
        Ok(())
    }

    /// The best so far: what disturbs a sample only makes it slower.
    pub fn best(&self) -> Ceiling {
        self.best
    }
}
