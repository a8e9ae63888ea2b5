//! From flags to an executor.

use std::sync::Arc;

use super::config::{Config, PlanChoice};
use super::fail::size;
use super::{Failure, block_on};
use crate::cpu::Cpu;
use crate::data::Shape;
use crate::gpu::{Choice, Context, Gpu, Pipelines, adapters};
use crate::model::{self, ModelOptions};
use crate::ops::Layout;
use crate::plan::{self, Capacity, Mode, Plan, PlanKind, PlanOptions};
use crate::session::{Session, SessionError};

/// The device that a run was given.
pub enum Target {
    Cpu,
    Gpu(Arc<Pipelines>),
}

impl Target {
    /// Opens what `--adapter` names.
    ///
    /// # Errors
    /// No such adapter, or one that cannot be opened.
    pub fn open(wanted: &str) -> Result<Self, Failure> {
        Ok(match block_on(adapters::choose(wanted))? {
            Choice::Cpu => Target::Cpu,
            Choice::Gpu(candidate) => {
                Target::Gpu(Arc::new(Pipelines::new(block_on(Context::open(&candidate))?)))
            }
        })
    }

    /// Completes the line on where a run takes place: why `auto` chose it.
    pub fn why(&self, config: &Config) -> &'static str {
        match self {
            _ if !config.adapter.eq_ignore_ascii_case("auto") => "",
            Target::Cpu => ", since no hardware GPU was found",
            Target::Gpu(_) => ", the best hardware GPU that was found",
        }
    }

    /// Refuses a plan that the memory it would live in cannot hold. A discrete GPU does not tell how
    /// much it has: there the buffers, made before the run begins, decide.
    ///
    /// # Errors
    /// [`Failure::Memory`]
    pub fn check_memory(&self, plan: &Plan) -> Result<(), Failure> {
        let what = match self {
            Target::Cpu => "the machine",
            Target::Gpu(gpu) if gpu.context.uses_host_memory => "the machine, whose memory the adapter uses,",
            Target::Gpu(_) => return Ok(()),
        };
        fits(plan.memory() as u64, free_memory(), what)
    }

    fn max_binding(&self) -> usize {
        match self {
            Target::Cpu => usize::MAX / 8,
            Target::Gpu(gpu) => gpu.context.max_binding,
        }
    }

    fn layout(&self) -> Layout {
        match self {
            Target::Cpu => Layout::Interleaved,
            Target::Gpu(_) => Layout::Plain,
        }
    }

    /// The kinds of plan to try, best first: `auto` follows from what the adapter is, never from timing.
    fn plan_kinds(&self, choice: PlanChoice) -> &'static [PlanKind] {
        match (choice, self) {
            (PlanChoice::Auto, Target::Cpu) => &[PlanKind::Unfused],
            (PlanChoice::Auto, Target::Gpu(gpu)) if gpu.context.info.software => &[PlanKind::Blocked],
            (PlanChoice::Auto, Target::Gpu(_)) => &[PlanKind::Fused, PlanKind::Unfused],
            (PlanChoice::Unfused, _) => &[PlanKind::Unfused],
            (PlanChoice::Fused, _) => &[PlanKind::Fused],
            (PlanChoice::Blocked, _) => &[PlanKind::Blocked],
        }
    }

    /// The plan of this configuration on this device, to train or only to use, for images of a size and, should it classify them, of so
    /// many classes.
    ///
    /// # Errors
    /// No such model, or one that does not fit.
    pub fn plan(
        &self,
        config: &Config,
        (input, classes): (Shape, usize),
        capacity: Capacity,
        mode: Mode,
    ) -> Result<Plan, Failure> {
        let options = ModelOptions { classes, ..config.model_options() };
        let network = model::network(&config.model, input, &options)?;
        let options = |kind| PlanOptions {
            kind,
            mode,
            batch: config.batch(),
            batch_size: config.batch_size,
            loss: config.pair_loss(),
            optimizer: config.optimizer_options(),
            augment: config.augment.is_some(),
            standardize: config.standardize,
            capacity,
            max_binding: self.max_binding(),
            layout: self.layout(),
        };
        Ok(plan::build_first(&network, self.plan_kinds(config.plan), options)?)
    }

    /// An executor of this plan.
    ///
    /// # Errors
    /// What the device rejects, or threads that cannot be started.
    pub fn executor(&self, plan: Plan, threads: usize) -> Result<Box<dyn Session>, Failure> {
        Ok(match self {
            Target::Cpu => Box::new(
                Cpu::new(plan, threads)
                    .map_err(|error| Failure::Usage(format!("--threads {threads}: {error}")))?,
            ),
            Target::Gpu(gpu) => {
                let needed = size(plan.memory() as u64);
                Box::new(block_on(Gpu::new(gpu.clone(), plan)).map_err(|error| match error {
                    SessionError::OutOfMemory(message) => {
                        SessionError::OutOfMemory(format!("the run needs about {needed}: {message}"))
                    }
                    other => other,
                })?)
            }
        })
    }
}

/// Bytes that a process can still have, within the limits of its control group; `None` where the
/// system does not tell.
fn free_memory() -> Option<u64> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory();
    let free = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(system.available_memory().min(free)).filter(|&free| free > 0)
}

fn fits(needed: u64, free: Option<u64>, what: &str) -> Result<(), Failure> {
    match free {
        Some(free) if needed > free => Err(Failure::Memory { what: what.into(), needed, free }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_sizes() {
        let failure = fits(3_000_000_000, Some(2_000_000_000), "the machine").unwrap_err();
        assert_eq!(failure.code(), 7);
        let message = failure.to_string();
        assert!(message.contains("3.0 GB") && message.contains("2.0 GB"), "{message}");
        assert!(fits(2, Some(2), "the machine").is_ok() && fits(u64::MAX, None, "the machine").is_ok());
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(free_memory().is_some_and(|free| free > 1 << 20));
    }
}
