//! The CPU's functions against values that PyTorch computed in f64 (see README.md).

#[path = "../common/mod.rs"]
mod common;
mod ops;
mod training;
