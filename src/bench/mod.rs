//! How fast a configuration runs on a device, beside others and beside what the device can do at most.
//!
//! Whoever compares takes samples in rounds, one of each contender after the other, so that what else
//! the machine does falls on all of them alike. [`contender`] samples one configuration, [`ceiling`] a
//! device's own limits, [`result`] is what scripts read, [`timing`] sums up samples.

pub mod ceiling;
pub mod contender;
pub mod result;
pub mod timing;

pub use ceiling::Limits;
pub use contender::{Contender, Runner};
pub use result::{BenchResult, Ceiling, Control, Kernel, Source};
pub use timing::Timing;
