//! What a comparison leaves for scripts.

use serde::Serialize;

use super::Timing;
use crate::session::AdapterInfo;

/// How fast one configuration runs. A multiply-add counts as two operations.
#[derive(Clone, Debug, Serialize)]
pub struct BenchResult {
    pub adapter: AdapterInfo,
    pub model: String,
    /// Pairs of a training step.
    pub batch_size: usize,
    pub plan: &'static str,
    /// Wall clock of a run of many training steps, for each of them.
    pub train_step_us: Timing,
    /// Wall clock of embedding a batch of `2 * batch_size` images, within a run of many.
    pub forward_us: Timing,
    /// Wall clock of scoring the test pairs, each image embedded once, for each pair.
    pub eval_us_per_pair: Timing,
    /// What the host takes to record one training step, among many to a submission; the CPU records nothing.
    pub record_us: Option<Timing>,
    /// The data set onto the device.
    pub upload_gb_s: f64,
    pub launches_per_step: usize,
    pub flops_per_step: u64,
    /// Of a training step, in operations that its plan counts; another plan may count others.
    pub gflops: f64,
    /// The same for bytes, each operand of a launch touched once, the data set left out.
    pub gb_s: f64,
    pub ceiling: Ceiling,
    /// The launches of a training step, in order.
    pub kernels: Vec<Kernel>,
}

/// The best that the device itself did in any round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ceiling {
    /// Multiply-adds on registers alone.
    pub gflops: f64,
    /// A large copy, what is read and what is written together.
    pub gb_s: f64,
}

/// One launch of a training step.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    pub op: &'static str,
    pub entry: &'static str,
    pub layer: String,
    pub us: Timing,
    pub gflops: f64,
    pub source: Source,
}

/// Where a kernel's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Source {
    /// The device's clock, before and behind the launch within a training step.
    #[serde(rename = "timestamps")]
    Timestamps,
    /// The launch alone, many times over; on the CPU by one thread.
    #[serde(rename = "wall clock")]
    WallClock,
}

/// A configuration against itself: two samples of the same in each round, with all others between
/// them. What their ratio is away from 1, this comparison cannot tell apart.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    pub adapter: AdapterInfo,
    pub model: String,
    pub batch_size: usize,
    pub plan: &'static str,
    /// The second training time over the first.
    pub ratio: Timing,
}
