//! Cases of the contrastive loss.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::contrastive::{Contrastive, Convention};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for convention in [Convention::Similarity, Convention::Distance] {
        for margin in [1.0, 0.75] {
            for (name, pairs, count) in
                [("one pair", 1, 1), ("a batch", 64, 64), ("odd", 203, 203), ("short batch", 70, 67)]
            {
                let loss = Contrastive { pairs, margin, convention };
                let name = format!("{convention}, margin {margin}, {name}");
                let slot = Slot { first: 5, count, index: 3, ..Slot::default() };

                let mut maker = Maker::new(("contrastive", "forward"), &name, layout);
                let (x, same) = inputs(&mut maker, &loss, &slot);
                // Other rows of the history stay.
                let history = maker.output("history", 10, true);
                maker.step(loss.forward(x, same, history));
                maker.slot(slot);
                cases.push(maker.done());

                let mut maker = Maker::new(("contrastive", "backward"), &name, layout);
                let (x, same) = inputs(&mut maker, &loss, &slot);
                let dx = maker.output("dx", pairs as usize, false);
                maker.step(loss.backward(x, same, dx));
                maker.slot(slot);
                cases.push(maker.done());
            }
        }
    }
    cases
}

/// Values from 0 to beyond the margin, some exactly on the thresholds.
fn inputs(maker: &mut Maker, loss: &Contrastive, slot: &Slot) -> (crate::ops::View, crate::ops::View) {
    let mut values: Vec<f32> =
        maker.signed(loss.pairs as usize).iter().map(|x| (x + 1.0) * 0.6 * loss.margin).collect();
    let edges = [loss.margin, 0.5, 0.5 * loss.margin, 0.0, loss.margin, 0.5, 0.5 * loss.margin];
    for (value, edge) in values.iter_mut().skip(2).zip(edges) {
        *value = edge;
    }
    let x = maker.values("x", values);
    let mut random = maker.random();
    let same = (0..slot.first + loss.pairs).map(|_| random.below(2)).collect();
    (x, maker.words("same", same))
}
