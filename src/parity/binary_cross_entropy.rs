//! Cases of the cross-entropy of pairs.

use super::case::{Case, Maker};
use crate::ops::binary_cross_entropy::{BinaryCrossEntropy, Link};
use crate::ops::{Layout, View};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for link in [Link::Logit, Link::Exponential] {
        for (name, pairs, count, scale) in [
            ("one pair", 1, 1, 8.0),
            ("a batch", 64, 64, 8.0),
            ("odd", 203, 203, 12.5),
            ("short batch", 70, 67, 8.0),
        ] {
            let loss = BinaryCrossEntropy { pairs, link, scale, floor: 1e-6 };
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

/// Distances of all sizes that tell the link's branches apart, none where rounding decides which branch is taken. By a
/// scale of 8, a division without rounding, some meet the borders themselves.
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
            let mut values: Vec<f32> = signed.iter().zip(sizes.iter().cycle()).map(of).collect();
            if loss.scale == 8.0 {
                let borders = [std::f32::consts::LN_2, loss.floor];
                let edges = borders.iter().flat_map(|border| [border * loss.scale; 6]);
                values.iter_mut().skip(2).zip(edges).for_each(|(value, edge)| *value = edge);
            }
            values
        }
    };
    let x = maker.values("x", values);
    let mut random = maker.random();
    let same = (0..slot.first + loss.pairs).map(|_| random.below(2)).collect();
    (x, maker.words("same", same))
}
