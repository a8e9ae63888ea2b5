//! Gradients against central finite differences, in f64.

#[path = "../common/mod.rs"]
mod common;
mod network;
mod ops;
mod primitives;
