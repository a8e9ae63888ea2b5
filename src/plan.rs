//! The plan of a run: named buffers and flat lists of steps, made once, run by any executor.
//!
//! It is data. It can be printed, counted, run on the CPU or on a GPU, and run on both with a
//! comparison after every step. Backward passes are ordinary steps made when the plan is built.

mod blocked;
mod build;
mod builder;
mod fused;
mod input;
mod layers;
pub(crate) mod liveness;
mod lower;
mod norm;
pub mod optimizer;
mod pairs;
mod primitives;

use crate::graph::GraphError;
use crate::loss::{Comparison, Loss};
use crate::ops::{BufferId, ITERATION_BUDGET, Layout, Step, View};
use crate::tensor::Shape;

pub use crate::graph::Parameter;
pub use crate::loss::BatchLayout;
pub use build::{build, build_first};
pub use optimizer::{AdamOptions, OptimizerOptions, SgdOptions};

/// Squared distance below which the gradient is 0 (equation 1 of the SN-LeNet-5 paper with its clamp).
const SQUARED_FLOOR: f32 = 1e-7;

/// Numbers that change from one training step to the next; mirrors `Slot` in `shaders/common.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Slot {
    /// Position of the batch in its list of pairs or images.
    pub first: u32,
    /// Entries of the list that the batch holds; the rest is padding.
    pub count: u32,
    /// Row of the history that receives this step's loss.
    pub index: u32,
    pub learning_rate: f32,
    /// `1 - beta^t` of the optimizer's two moments, from f64.
    pub correction1: f32,
    pub correction2: f32,
    /// Of gradient descent.
    pub momentum: f32,
    /// What a weight decay leaves of the weights: `1 - learning_rate * weight_decay`, from f64.
    pub shrink: f32,
    pub seed_low: u32,
    pub seed_high: u32,
}

/// Which list of steps to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One training step on the pairs from `slot.first` of `pairs.index`.
    Train,
    /// Embeds the images from `slot.first` of `embed.index` into the same rows of `embeddings`.
    Embed,
    /// Compares rows of `embeddings` as `score.index` pairs them.
    Score,
}

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The data set's bytes.
    Data,
    /// Lists of image numbers and labels.
    List,
    /// Scale and shift of each image of the data set.
    Statistics,
    Parameters,
    Gradients,
    /// A moment of the optimizer.
    Optimizer,
    /// Running statistics.
    State,
    /// Values that only live within a step, in memory that they share.
    Activations,
    /// What the host reads: losses, embeddings, distances.
    Results,
}

/// A buffer of four-byte elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub name: String,
    pub role: Role,
    /// Elements.
    pub len: usize,
}

impl Buffer {
    /// Whether it holds integers or bytes rather than floats.
    pub fn is_words(&self) -> bool {
        matches!(self.role, Role::Data | Role::List)
    }
}

/// A named range of a buffer that the host reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub view: View,
}

/// Training steps whose losses the device keeps until the host has read them.
pub const HISTORY: usize = 256;

/// How much a plan has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Images of the data set.
    pub images: usize,
    /// Training pairs, or labelled images, of an epoch.
    pub pairs: usize,
    /// Images embedded, and pairs scored, at a time.
    pub embeddings: usize,
    pub scores: usize,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To train, embed and score.
    Training,
    /// To embed and score: without gradients, moments and lists of training examples.
    Inference,
}

/// How a training step is cut into launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanKind {
    /// One launch for every function of every op: what other kinds are held to.
    Unfused,
    /// Whole stretches in workgroup memory, an image to a workgroup: four launches, for hardware and small
    /// networks.
    Fused,
    /// Large blocks in registers and no workgroup memory: for software adapters.
    Blocked,
}

impl PlanKind {
    pub fn name(self) -> &'static str {
        match self {
            PlanKind::Unfused => "unfused",
            PlanKind::Fused => "fused",
            PlanKind::Blocked => "blocked",
        }
    }
}

/// Choices a plan is built from, besides the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanOptions {
    pub kind: PlanKind,
    pub mode: Mode,
    /// That of the loss.
    pub batch: BatchLayout,
    /// Pairs, or images, of a training step.
    pub batch_size: usize,
    pub loss: Loss,
    pub optimizer: OptimizerOptions,
    /// Training images are read through affine maps, which come with the pairs.
    pub augment: bool,
    /// Images are divided by their standard deviation, then their mean is subtracted, both of the image as stored.
    pub standardize: bool,
    pub capacity: Capacity,
    /// Most bytes a launch may bind at once; larger work is split.
    pub max_binding: usize,
    /// Layout of the subnet's activations.
    pub layout: Layout,
}

/// Why a plan cannot be built.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    #[error(
        "{what} needs {needed} bytes in one piece, but this device binds {limit} at most; \
         use a smaller batch, data set or network"
    )]
    TooLarge { what: String, needed: usize, limit: usize },
    #[error(
        "{op}.{entry} of {layer} would loop {iterations} times in one invocation, over the budget \
         of {ITERATION_BUDGET}; use a smaller batch"
    )]
    TooLong { op: &'static str, entry: &'static str, layer: String, iterations: u64 },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("no fused plan: {what} does not fit it: {why}; use --plan unfused")]
    Unfusable { what: String, why: String },
    #[error("this loss cannot train: {why}")]
    Loss { why: String },
    #[error("a batch of {entries} is too small: {why}")]
    Batch { entries: usize, why: &'static str },
}

/// Everything an executor needs to train, embed and score.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub model: String,
    pub options: PlanOptions,
    pub input: Shape,
    /// Values of an embedding.
    pub features: usize,
    /// Nothing of a classifier's.
    pub comparison: Option<Comparison>,
    /// Whether scores are similarities too, or nothing but distances.
    pub has_head: bool,
    pub parameters: Vec<Parameter>,
    pub buffers: Vec<Buffer>,
    pub tensors: Vec<Tensor>,
    pub train: Vec<Step>,
    pub embed: Vec<Step>,
    pub score: Vec<Step>,
    /// Images of an embed step and pairs of a score step.
    pub embed_batch: usize,
    pub score_batch: usize,
}

impl Plan {
    /// Names of the lists that training reads: images, what is known of them, and how they are distorted.
    pub const PAIRS: [&str; 3] = ["pairs.index", "pairs.same", "pairs.matrices"];
    pub const LABELLED: [&str; 3] = ["images.index", "images.label", "images.matrices"];

    /// Scale and shift of each image, where they are standardized.
    pub const STATISTICS: &str = "data.statistics";

    /// Those of this plan.
    pub fn lists(&self) -> [&'static str; 3] {
        lists(self.options.batch)
    }

    /// The loss, and what it was computed from.
    pub fn learnt(&self) -> (Loss, Option<Comparison>) {
        (self.options.loss, self.comparison)
    }

    pub fn steps(&self, phase: Phase) -> &[Step] {
        match phase {
            Phase::Train => &self.train,
            Phase::Embed => &self.embed,
            Phase::Score => &self.score,
        }
    }

    /// The host's named tensors: parameters and state under their own names, then for example
    /// `conv1.weight.gradient`, `pairs.index`, `history`.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Names of the tensors that a weights file holds, and with `moments` the optimizer's too.
    pub fn saved(&self, moments: bool) -> Vec<String> {
        let kept = if moments { self.options.optimizer.kept() } else { &[] };
        let of = |parameter: &Parameter| {
            let kept = if parameter.trainable { kept } else { &[] };
            let names = kept.iter().map(|(ending, _)| format!("{}.{ending}", parameter.name));
            std::iter::once(parameter.name.clone()).chain(names).collect::<Vec<_>>()
        };
        self.parameters.iter().flat_map(of).collect()
    }

    pub fn trainable(&self) -> usize {
        self.parameters.iter().filter(|p| p.trainable).map(Parameter::len).sum()
    }

    pub fn state(&self) -> usize {
        self.parameters.iter().filter(|p| !p.trainable).map(Parameter::len).sum()
    }

    /// Bytes of all buffers.
    pub fn memory(&self) -> usize {
        self.buffers.iter().map(|buffer| 4 * buffer.len).sum()
    }

    pub fn flops_per_step(&self) -> u64 {
        self.train.iter().map(|step| step.flops).sum()
    }

    pub fn bytes_per_step(&self) -> u64 {
        self.train.iter().map(Step::bytes).sum()
    }

    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }

    /// What the optimizer wants to know of training step `t`, counted from 1.
    pub fn slot(&self, t: u64, learning_rate: f64) -> Slot {
        let slot = Slot { learning_rate: learning_rate as f32, ..Slot::default() };
        match self.options.optimizer {
            OptimizerOptions::Adam(adam) => {
                let correction = |beta: f64| (1.0 - beta.powf(t as f64)) as f32;
                Slot {
                    correction1: correction(adam.beta1),
                    correction2: correction(adam.beta2),
                    shrink: (1.0 - learning_rate * adam.weight_decay) as f32,
                    ..slot
                }
            }
            OptimizerOptions::Sgd(sgd) => Slot { momentum: sgd.momentum.at(t) as f32, ..slot },
        }
    }
}

fn lists(batch: BatchLayout) -> [&'static str; 3] {
    match batch {
        BatchLayout::Pairs => Plan::PAIRS,
        BatchLayout::Labelled => Plan::LABELLED,
    }
}

/// Values of `images` images of `values` values each, taken out of the layout they are stored in.
pub fn to_plain<T: Copy>(stored: &[T], layout: Layout, images: usize, values: usize) -> Vec<T> {
    (0..images).flat_map(|image| (0..values).map(move |v| stored[layout.place(image, v, values)])).collect()
}

/// The inverse of [`to_plain`]; padding is filled with `padding`.
pub fn from_plain<T: Copy>(plain: &[T], layout: Layout, images: usize, padding: T) -> Vec<T> {
    let values = plain.len() / images;
    let mut stored = vec![padding; layout.len(images, values)];
    for (at, &value) in plain.iter().enumerate() {
        stored[layout.place(at / values, at % values, values)] = value;
    }
    stored
}

#[cfg(test)]
mod tests;
