//! Does an executor compute what the reference computes? A command for users, a test suite for us.
//!
//! A [`case::Case`] is a few steps on small seeded tensors. The reference runs it on numbers that
//! carry their own error bound ([`bound::Tracked`]); the subject, the CPU's fast functions or a
//! GPU, runs it between guard regions on poisoned outputs; [`compare`] holds each element to its
//! bound. [`trace`] does the same for every step of a whole plan, and [`training`] trains on both
//! sides. [`faults`] plants faults and expects them to be found.

mod activated_pool;
mod activation;
mod adam;
mod add;
mod batch_norm;
mod binary_cross_entropy;
pub mod bound;
pub mod case;
mod channel_conv;
mod collect;
pub mod compare;
mod contrastive;
mod conv2d;
mod conv2d_blocked;
mod dense;
mod dense_blocked;
mod distance;
mod dropout;
mod elementwise;
mod episode;
pub mod faults;
mod gather;
mod head;
mod layer_norm;
mod mask;
mod matmul;
mod normalize;
mod objective;
mod pairwise;
mod pool2d;
mod record;
mod reduce;
mod reduction;
mod rows;
mod scale;
mod sgd;
mod softmax_cross_entropy;
mod standardize;
pub mod subject;
mod take;
pub mod trace;
pub mod training;
mod trunk;
mod warp;
mod weighted_sum;

use crate::ops::Layout;

pub use case::Case;
pub use compare::Verdict;
pub use subject::Subject;

/// All cases of all ops, their per-image tensors in this layout.
pub fn cases(layout: Layout) -> Vec<Case> {
    [
        gather::cases,
        warp::cases,
        conv2d::cases,
        pool2d::cases,
        activation::cases,
        dense::cases,
        batch_norm::cases,
        distance::cases,
        episode::cases,
        weighted_sum::cases,
        head::cases,
        contrastive::cases,
        softmax_cross_entropy::cases,
        binary_cross_entropy::cases,
        adam::cases,
        add::cases,
        scale::cases,
        channel_conv::cases,
        collect::cases,
        dropout::cases,
        standardize::cases,
        sgd::cases,
        reduce::cases,
        rows::cases,
        trunk::cases,
        objective::cases,
        conv2d_blocked::cases,
        dense_blocked::cases,
        activated_pool::cases,
        elementwise::cases,
        reduction::cases,
        matmul::cases,
        mask::cases,
        record::cases,
        pairwise::cases,
        normalize::cases,
        layer_norm::cases,
        take::cases,
    ]
    .iter()
    .flat_map(|cases| cases(layout))
    .collect()
}
