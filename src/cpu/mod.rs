//! Runs a plan on the CPU.
//!
//! Every op's functions stand here twice: `reference`, plain loops generic over the number type,
//! the oracle for everything else; and `fast`, what users run: SIMD over images interleaved by 16,
//! on several threads, the same bits with any number of them.

mod activated_pool;
mod activation;
mod adam;
mod add;
mod batch_norm;
mod binary_cross_entropy;
pub mod ceiling;
mod channel_conv;
mod collect;
mod contrastive;
mod conv2d;
mod conv2d_blocked;
mod dense;
mod dense_blocked;
mod distance;
mod dropout;
mod elementwise;
mod episode;
mod gather;
mod head;
mod layer_norm;
mod mask;
mod matmul;
mod memory;
mod normalize;
mod objective;
mod pairwise;
mod pool2d;
mod products;
mod real;
mod record;
mod reduce;
mod reduction;
mod rows;
mod scale;
mod schedule;
mod scratch;
mod session;
mod sgd;
mod sharing;
pub mod simd;
mod softmax_cross_entropy;
mod standardize;
mod take;
mod threads;
mod trunk;
mod warp;
mod weighted_sum;

use self::sharing::{Sharing, Unshared};
use crate::ops::{self, Step};

pub use memory::{Io, Memory, Storage};
pub use real::Real;
pub use session::Cpu;

macro_rules! functions {
    ($($op:ident :: $attributes:ident { $($entry:ident),* })*) => {
        /// Every op's functions by name: (op, entry).
        pub const FUNCTIONS: &[(&str, &str)] = &[$($((stringify!($op), stringify!($entry)),)*)*];

        /// How a step can be shared out among threads.
        fn sharing(step: &Step) -> Sharing {
            match (step.op, step.entry) {
                $($((stringify!($op), stringify!($entry)) => {
                    ops::$op::$attributes::of(step).sharing(step.entry)
                })*)*
                (op, entry) => panic!("there is no {op}.{entry}"),
            }
        }

        /// Runs a step by plain loops; its images lie one behind the other.
        pub fn reference<T: Real>(step: &Step, io: &mut Io<'_, T>) {
            match (step.op, step.entry) {
                $($((stringify!($op), stringify!($entry)) => {
                    $op::reference::$entry(&ops::$op::$attributes::of(step), io);
                })*)*
                (op, entry) => panic!("there is no {op}.{entry}"),
            }
        }

        /// Runs a step fast; the subnet's activations are interleaved.
        pub fn fast(step: &Step, io: &mut Io<'_, f32>) {
            match (step.op, step.entry) {
                $($((stringify!($op), stringify!($entry)) => {
                    $op::fast::$entry(&ops::$op::$attributes::of(step), io);
                })*)*
                (op, entry) => panic!("there is no {op}.{entry}"),
            }
        }
    };
}

functions! {
    activated_pool::ActivatedPool { backward }
    activation::Activation { forward, backward }
    adam::Adam { forward }
    add::Add { forward, backward }
    batch_norm::BatchNorm { moments, merge, forward, backward_weight, backward_input }
    binary_cross_entropy::BinaryCrossEntropy { forward, backward, similarity }
    channel_conv::ChannelConv { forward, backward_input, backward_weight }
    collect::Collect { forward, backward }
    contrastive::Contrastive { forward, backward }
    conv2d::Conv2d { forward, backward_input, backward_weight, backward_bias }
    conv2d_blocked::Conv2dBlocked {
        spread_input, block_gradient, pack, pack_turned, forward, backward_input, backward_weight
    }
    dense::Dense { forward, backward_input, backward_weight, backward_bias }
    dense_blocked::DenseBlocked { forward, backward_input, backward_weight }
    distance::Distance { forward, backward }
    episode::Episode { forward, backward }
    dropout::Dropout { forward, backward }
    elementwise::Elementwise { fill, unary, binary }
    gather::Gather { forward }
    head::Head { forward, backward_input, backward_weight }
    layer_norm::LayerNorm { forward, backward_input, backward_weight }
    mask::Mask { forward }
    matmul::Matmul { forward }
    normalize::Normalize { forward, backward }
    objective::Objective { with_head, without_head }
    pairwise::Pairwise { forward, backward }
    pool2d::Pool2d { forward, backward }
    record::Record { forward }
    reduce::Reduce { forward }
    reduction::AxisReduction { forward, forward_wide, backward }
    rows::Rows { load, store }
    scale::Scale { forward, backward_input, backward_scale }
    sgd::Sgd { forward }
    softmax_cross_entropy::SoftmaxCrossEntropy { forward, backward }
    standardize::Standardize { forward }
    take::Take { forward, backward }
    trunk::Trunk { forward, backward, update }
    warp::Warp { forward }
    weighted_sum::WeightedSum { forward, backward_input, backward_weight, backward_bias }
}

/// Overwrites `to` with `values`, or adds them.
fn put<T: Real>(to: &mut [T], values: &[T], accumulate: bool) {
    for (to, &value) in to.iter_mut().zip(values) {
        *to = if accumulate { *to + value } else { value };
    }
}
