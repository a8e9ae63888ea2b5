//! The program as its users meet it: arguments, files, messages, exit codes.

mod bad_input;
mod bench;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod data_sets;
mod device_faults;
mod experiments;
mod interchange;
#[cfg(target_os = "linux")]
mod memory;
mod oneshot;
#[cfg(unix)]
mod resume;
mod scoring;
