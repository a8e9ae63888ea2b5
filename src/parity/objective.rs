//! Cases of the objective.

use super::case::{Case, Maker};
use crate::ops::contrastive::Convention;
use crate::ops::distance::DistanceKind;
use crate::ops::objective::{HeadViews, Objective};
use crate::ops::{FUSED_WORKGROUP, Layout, TENSOR_ALIGN};
use crate::plan::Slot;

pub fn cases(_: Layout) -> Vec<Case> {
    use Convention::{Distance, Similarity};
    use DistanceKind::{Euclidean, L1};
    let lanes = FUSED_WORKGROUP as u32;
    let mut cases = Vec::new();
    for (pairs, count, features, distance, convention, margin) in [
        (2, 2, 1, Euclidean, Similarity, 1.0),
        (7, 7, 5, Euclidean, Similarity, 1.0),
        (7, 5, 5, L1, Similarity, 0.7),
        (64, 64, 84, Euclidean, Similarity, 1.0),
        (65, 60, 3, L1, Distance, 1.5),
        (lanes + 9, lanes + 9, 6, Euclidean, Distance, 1.2),
    ] {
        let objective = Objective {
            pairs,
            features,
            distance,
            squared_floor: 1e-7,
            margin,
            convention,
            eps: 1e-5,
            momentum: 0.1,
        };
        let name =
            format!("{pairs} pairs, {count} of them real, {features} features, {distance}, {convention}");
        cases.push(case(&name, objective, count, true));
        cases.push(case(&name, objective, count, false));
    }
    cases
}

/// Everything is plain in both halves.
fn case(name: &str, objective: Objective, count: u32, head: bool) -> Case {
    let (pairs, features) = (objective.pairs as usize, objective.features as usize);
    let entry = if head { "with_head" } else { "without_head" };
    let mut maker = Maker::new(("objective", entry), name, Layout::Plain);
    let mut values = maker.signed(2 * pairs * features);
    // The last pair is one image twice: its distance stands on the floor.
    let (a, b) = values.split_at_mut(pairs * features);
    b[(pairs - 1) * features..].copy_from_slice(&a[(pairs - 1) * features..]);
    let embedded = maker.values("embedded", values);
    let first = 3;
    let same = (0..pairs as u32 + first).map(|i| u32::from(i * i % 3 == 1)).collect();
    let same = maker.words("same", same);
    // Two rows, of which this step's is the second.
    let history = maker.signed(4);
    let history = maker.updated("history", history);
    let compared = maker.output("compared", 2 * pairs, false);
    if head {
        let numbers = |maker: &Maker, count| {
            let mut values = maker.signed(Objective::scalars_len(count));
            values.iter_mut().step_by(TENSOR_ALIGN).for_each(|value| *value = value.abs() + 0.4);
            values
        };
        let mut values = numbers(&maker, 4);
        // As it is trained: similarity falls with distance.
        values[2 * TENSOR_ALIGN] *= -2.0;
        let head = maker.values("head", values);
        let values = maker.signed(Objective::scalars_len(4));
        let dhead = maker.updated("dhead", values);
        let values = numbers(&maker, 2);
        let running = maker.updated("running", values);
        maker.step(objective.with_head(
            embedded,
            same,
            &HeadViews { head, dhead, running },
            history,
            compared,
        ));
    } else {
        maker.step(objective.without_head(embedded, same, history, compared));
    }
    maker.slot(Slot { first, count, index: 1, ..Slot::default() });
    maker.done()
}
