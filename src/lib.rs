//! Train and use siamese networks on any GPU, with plain WGSL compute shaders.

pub mod cpu;
pub mod data;
pub mod executor;
pub mod model;
pub mod ops;
pub mod plan;
