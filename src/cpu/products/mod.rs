//! The inner loops of convolutions and dense layers, over images interleaved by 16: a SIMD lane works
//! on an image of its own, and a block of results stays in registers.

// The blocks' loops have constant bounds and unroll; iterators over two arrays read worse here.
#![allow(clippy::needless_range_loop)]

mod correlation;
mod outer;
mod rows;
mod scatter;
mod sliding;

pub use correlation::{Correlation, Tap};
pub use outer::OuterProducts;
pub use rows::{GradientRows, PANEL};
pub use scatter::Scatter;
pub use sliding::SlidingProducts;

/// Bytes of inputs that stay in a core's second cache while others pass.
const CACHED: usize = 512 << 10;
