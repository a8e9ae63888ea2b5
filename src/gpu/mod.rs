//! Runs a plan through wgpu: on any GPU, with the same shaders.
//!
//! [`adapters`] finds and chooses, [`context`] opens one and keeps its errors, [`reflect`] reads the bindings from the
//! WGSL, [`pipelines`] compiles and keeps kernels, [`recorder`] holds buffers and bind groups and records steps,
//! [`session`] runs a plan with it; `timing` and [`ceiling`] tell how fast it is and could be.

pub mod adapters;
pub mod ceiling;
pub mod context;
pub mod pipelines;
pub mod recorder;
pub mod reflect;
pub mod session;
mod timing;

pub use adapters::{Candidate, Choice};
pub use context::Context;
pub use pipelines::Pipelines;
pub use recorder::Recorder;
pub use session::Gpu;
