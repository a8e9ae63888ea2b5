//! Cases of the cross-entropy of pairs.

use super::case::{Case, Maker};
use crate::ops::binary_cross_entropy::{BinaryCrossEntropy, Link};
use crate::ops::{Layout, View};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for link in [Link::Logit, Link::Exponential] {
        for (name, pairs, count) in
            [("one pair", 1, 1), ("a batch", 64, 64), ("odd", 203, 203), ("short batch", 70, 67)]
        {
            let loss = BinaryCrossEntropy { pairs, link, scale: 12.5, floor: 1e-6 };
            let name = format!("{link}, {name}");
            let slot = Slot { first: 5, count, index: 3, ..Slot::default() };

            let mut maker = Maker::new(("binary_cross_entropy", "forward"), &name, layout);
            let (x, same) = inputs(&mut maker, &loss, &slot);
            // Other rows of the history stay.
            let history = maker.output("history", 10, true);
            maker.step(loss.forward(x, same, history));
            maker.slot(slot);
            cases.push(maker.done());

            let mut maker = Maker::new(("binary_cross_entropy", "backward"), &name, layout);
            let (x, same) = inputs(&mut maker, &loss, &slot);
            let dx = maker.output("dx", pairs as usize, false);
            maker.step(loss.backward(x, same, dx));
            maker.slot(slot);
            cases.push(maker.done());

            let mut maker = Maker::new(("binary_cross_entropy", "similarity"), &name, layout);
            let (x, _) = inputs(&mut maker, &loss, &slot);
            let y = maker.output("y", pairs as usize, false);
            maker.step(loss.similarity(x, y));
            cases.push(maker.done());
        }
    }
    cases
}

/// Distances of all sizes that tell the link's branches apart, none where rounding decides which branch is taken.
fn inputs(maker: &mut Maker, loss: &BinaryCrossEntropy, slot: &Slot) -> (View, View) {
    let signed = maker.signed(loss.pairs as usize);
    let values = match loss.link {
        // Logits near 0, usual ones, and such as saturate; 0 itself is a different pair.
        Link::Logit => {
            let sizes = [3.0, 0.01, 80.0, 0.0, 300.0];
            signed.iter().zip(sizes.iter().cycle()).map(|(x, size)| size * x).collect()
        }
        // From below the floor, by the series near 0 and past the middle, to similarities of nothing.
        Link::Exponential => {
            let sizes = [1.0, 1e-4, 0.0, 0.45, 8.0, 1e-7, 0.05, 60.0];
            let of = |(x, size): (&f32, &f32)| {
                let e = x.abs().max(0.2) * size;
                let near = |border: f32| (e / border - 1.0).abs() < 1e-3;
                let moved = if near(std::f32::consts::LN_2) || near(loss.floor) { 1.01 * e } else { e };
                moved * loss.scale
            };
            signed.iter().zip(sizes.iter().cycle()).map(of).collect()
        }
    };
    let x = maker.values("x", values);
    let mut random = maker.random();
    let same = (0..slot.first + loss.pairs).map(|_| random.below(2)).collect();
    (x, maker.words("same", same))
}
