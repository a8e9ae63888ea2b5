//! Train and use siamese networks on any GPU, with plain WGSL compute shaders.

pub mod cli;
pub mod cpu;
pub mod data;
pub mod eval;
pub mod executor;
pub mod gpu;
pub mod model;
pub mod ops;
pub mod parity;
pub mod plan;
pub mod train;
