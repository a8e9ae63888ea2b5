//! From flags to an executor.

use std::sync::Arc;

use super::Failure;
use super::config::{Config, PlanChoice};
use crate::cpu::Cpu;
use crate::data::Shape;
use crate::executor::Executor;
use crate::gpu::{Choice, Device, Gpu, adapters};
use crate::model;
use crate::ops::Layout;
use crate::plan::{self, AdamOptions, Capacity, Plan, PlanKind, PlanOptions};

/// The device that a run was given.
pub enum Target {
    Cpu,
    Gpu(Arc<Device>),
}

impl Target {
    /// Opens what `--adapter` names.
    ///
    /// # Errors
    /// No such adapter, or one that cannot be opened.
    pub fn open(wanted: &str) -> Result<Self, Failure> {
        Ok(match adapters::choose(wanted)? {
            Choice::Cpu => Target::Cpu,
            Choice::Gpu(candidate) => Target::Gpu(Arc::new(Device::open(&candidate)?)),
        })
    }

    fn max_binding(&self) -> usize {
        match self {
            Target::Cpu => usize::MAX / 8,
            Target::Gpu(device) => device.max_binding,
        }
    }

    fn layout(&self) -> Layout {
        match self {
            Target::Cpu => Layout::Interleaved,
            Target::Gpu(_) => Layout::Plain,
        }
    }

    /// The kind of plan: `auto` follows from what the adapter is, never from timing.
    fn plan_kind(&self, choice: PlanChoice) -> PlanKind {
        let software = matches!(self, Target::Gpu(device) if device.info.software);
        match choice {
            PlanChoice::Auto if software => PlanKind::Blocked,
            PlanChoice::Auto | PlanChoice::Unfused => PlanKind::Unfused,
            PlanChoice::Blocked => PlanKind::Blocked,
        }
    }

    /// The plan of this configuration on this device.
    ///
    /// # Errors
    /// No such model, or one that does not fit.
    pub fn plan(&self, config: &Config, input: Shape, capacity: Capacity) -> Result<Plan, Failure> {
        let network = model::network(&config.model, input, &config.model_options())?;
        let options = PlanOptions {
            kind: self.plan_kind(config.plan),
            batch_size: config.batch_size,
            convention: config.convention(),
            margin: config.margin,
            adam: AdamOptions { eps: config.adam_eps, ..AdamOptions::default() },
            capacity,
            max_binding: self.max_binding(),
            layout: self.layout(),
        };
        Ok(plan::build(&network, &options)?)
    }

    /// An executor of this plan.
    ///
    /// # Errors
    /// What the device rejects, or threads that cannot be started.
    pub fn executor(&self, plan: Plan, threads: usize) -> Result<Box<dyn Executor>, Failure> {
        Ok(match self {
            Target::Cpu => Box::new(
                Cpu::new(plan, threads)
                    .map_err(|error| Failure::Usage(format!("--threads {threads}: {error}")))?,
            ),
            Target::Gpu(device) => Box::new(Gpu::new(device.clone(), plan)?),
        })
    }
}
