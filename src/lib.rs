//! Train and use siamese networks on any GPU, with plain WGSL compute shaders.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ops`] | what each op is: attributes, shapes, cost, kernels; one stem leads to its four places |
//! | [`data`] | files, or a seed, to a data set; splits and pairs |
//! | [`model`] | networks as lists of named layers |
//! | [`plan`] | network + loss + optimizer + batch size to named buffers and flat lists of steps |
//! | [`session`] | the trait of what runs a plan, and the pace at which steps are submitted |
//! | [`cpu`], [`gpu`] | the two that do |
//! | [`train`], [`eval`] | the loop over epochs; what a trained network is worth |
//! | [`report`] | the page of a run: curves, pairs as pictures, tables |
//! | [`parity`] | whether an executor computes what the reference computes |
//! | [`bench`] | how fast configurations run, beside one another and beside the device's limits |
//! | [`cli`] | the command line, one file per subcommand |
//!
//! Imports point down this list's floors and never back: `ops` and `data`; `model`; `plan`;
//! `session`; `cpu` and `gpu`; `eval`; `train`; `report`, `parity` and `bench`; `cli`.
//!
//! The shortest complete example trains on the built-in glyphs for a few steps:
//!
//! ```
//! use gpu_siamese::cpu::Cpu;
//! use gpu_siamese::data::{self, Glyphs, glyphs, pairs};
//! use gpu_siamese::loss::Loss;
//! use gpu_siamese::session::{Session, pace};
//! use gpu_siamese::model::{ModelOptions, network};
//! use gpu_siamese::ops::Layout;
//! use gpu_siamese::plan::{
//!     BatchLayout, Capacity, Mode, OptimizerOptions, PlanKind, PlanOptions, build,
//! };
//! use gpu_siamese::train::{epoch, setup};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dataset = glyphs::generate(&Glyphs { train_per_class: 60, ..Glyphs::default() }, 0);
//! let split = data::split(&dataset, 0);
//! let pairs = pairs::training(&dataset.labels, &split, 0, 1)?;
//! let network = network("sn-lenet5", dataset.shape, &ModelOptions::default())?;
//! let plan = build(&network, &PlanOptions {
//!     kind: PlanKind::Unfused,
//!     mode: Mode::Training,
//!     batch: BatchLayout::Pairs,
//!     batch_size: 32,
//!     loss: Loss::default(),
//!     optimizer: OptimizerOptions::default(),
//!     augment: false,
//!     standardize: false,
//!     capacity: Capacity { images: dataset.len(), pairs: pairs.len(), embeddings: 64, scores: 64 },
//!     max_binding: usize::MAX / 8,
//!     layout: Layout::Interleaved,
//! })?;
//! let mut cpu = Cpu::new(plan, 0)?;
//! setup::upload_images(&mut cpu, &dataset)?;
//! setup::upload_pairs(&mut cpu, &pairs)?;
//! let weights = setup::initial_values(cpu.plan(), 0);
//! setup::write_all(&mut cpu, &weights)?;
//! let slots = epoch::slots(&cpu, 0..pairs.len() / 32, 0, 0, |_| 1e-3);
//! let steps = pollster::block_on(pace::train(&mut cpu, &slots))?;
//! assert!(steps[steps.len() - 1].loss < steps[0].loss);
//! # Ok(())
//! # }
//! ```

pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod cpu;
pub mod data;
pub mod eval;
pub mod gpu;
pub mod graph;
pub mod loss;
pub mod model;
pub mod ops;
pub mod parity;
pub mod plan;
#[cfg(feature = "cli")]
pub mod report;
pub mod session;
pub mod tensor;
mod text;
pub mod train;
