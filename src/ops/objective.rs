//! From the embeddings of a batch to its loss and back to the gradients of its distances, in one launch.

use super::batch_norm::BatchNorm;
use super::contrastive::{Contrastive, Convention};
use super::distance::{Distance, DistanceKind};
use super::head::Head;
use super::{Cost, FUSED_WORKGROUP, Step, TENSOR_ALIGN, View, attributes, step};

attributes! {
    /// [`Distance`], with a head [`BatchNorm`] over the pairs and [`Head`], then [`Contrastive`]; and the
    /// same backwards.
    pub struct Objective {
        pub pairs: u32,
        pub features: u32,
        pub distance: DistanceKind,
        /// Smallest squared distance.
        pub squared_floor: f32,
        pub margin: f32,
        pub convention: Convention,
        /// Of the norm.
        pub eps: f32,
        pub momentum: f32,
    }
}

/// The views of the head: each of its numbers starts a tensor.
#[derive(Clone, Copy, Debug)]
pub struct HeadViews {
    /// Weight and bias of the norm, then of the affine map, and their gradients.
    pub head: View,
    pub dhead: View,
    /// Running mean and variance.
    pub running: View,
}

/// Lanes that share a pair's features (`SHARERS` in the shader).
const SHARERS: usize = 4;

impl Objective {
    /// Elements from the first of `count` numbers to the last, each at the start of a tensor.
    pub fn scalars_len(count: usize) -> usize {
        (count - 1) * TENSOR_ALIGN + 1
    }

    /// `embedded` [2 pairs, features], `same` -> `compared` [2, pairs]: distances and their gradients;
    /// loss and hits into `history` [.., 2]; the gradients of `head`, and `running` moved.
    pub fn with_head(
        &self,
        embedded: View,
        same: View,
        views: &HeadViews,
        history: View,
        compared: View,
    ) -> Step {
        step(
            ("objective", "with_head"),
            self.constants(),
            &[("embedded", embedded), ("same", same), ("head", views.head)],
            &[
                ("history", history),
                ("compared", compared),
                ("dhead", views.dhead),
                ("running", views.running),
            ],
            self.cost(4, 35),
        )
    }

    /// The same without norm, affine map and sigmoid: the loss is on the distance.
    pub fn without_head(&self, embedded: View, same: View, history: View, compared: View) -> Step {
        step(
            ("objective", "without_head"),
            self.constants(),
            &[("embedded", embedded), ("same", same)],
            &[("history", history), ("compared", compared)],
            self.cost(1, 9),
        )
    }

    fn cost(&self, passes: usize, flops_of_a_pair: usize) -> Cost {
        let (pairs, features) = (self.pairs as usize, self.features as usize);
        let of_a_round = 1 + features.div_ceil(SHARERS) + SHARERS;
        let measuring = pairs.div_ceil(FUSED_WORKGROUP / SHARERS) * of_a_round;
        let iterations = measuring + passes * (pairs.div_ceil(FUSED_WORKGROUP) + 8);
        Cost::groups(1, iterations, pairs * (3 * features + flops_of_a_pair))
    }

    /// The parts that this op stands for.
    pub fn parts(&self) -> (Distance, BatchNorm, Head, Contrastive) {
        let Objective { pairs, features, distance, squared_floor, margin, convention, eps, momentum } = *self;
        (
            Distance { pairs, features, first: 0, kind: distance, squared_floor, accumulate: false },
            BatchNorm::whole(pairs, 1, 1, eps, momentum),
            Head { pairs },
            Contrastive { pairs, margin, convention },
        )
    }
}
