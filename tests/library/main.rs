//! The library across its modules: that it is built as it says, and that its numbers are right.

#[path = "../common/mod.rs"]
mod common;
mod house;
mod losses;
mod reference_losses;

/// Gradients against central finite differences, in f64.
mod finite_differences {
    mod network;
    mod ops;
    mod primitives;
}

/// The CPU's functions against values that PyTorch computed in f64 (see golden/README.md).
mod golden {
    mod ops;
    mod training;
}
