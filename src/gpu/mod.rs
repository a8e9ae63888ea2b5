//! Runs a plan through wgpu: on any GPU, with the same shaders.
//!
//! [`adapters`] finds and chooses, [`device`] opens one and keeps its errors, [`reflect`] reads the
//! bindings from the WGSL, [`kernels`] compiles, [`session`] holds buffers and bind groups and
//! records steps, [`executor`] trains with it; `timing` and [`ceiling`] tell how fast it is and could be.

pub mod adapters;
pub mod ceiling;
pub mod device;
pub mod executor;
pub mod kernels;
pub mod reflect;
pub mod session;
mod timing;

pub use adapters::{Candidate, Choice};
pub use device::Device;
pub use executor::Gpu;
pub use session::Session;
