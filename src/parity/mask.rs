//! Cases of the masks of a batch.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::mask::{Mask, MaskKind};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for &kind in MaskKind::ALL {
        for (name, rows, columns, count) in
            [("one entry", 1, 1, 1), ("a batch", 16, 16, 16), ("odd", 21, 13, 21), ("short batch", 13, 21, 9)]
        {
            let columns = if kind == MaskKind::Same { 1 } else { columns };
            let mut maker = Maker::new(("mask", "forward"), format!("{kind}, {name}"), layout);
            let slot = Slot { first: 5, count, ..Slot::default() };
            let mut random = maker.random();
            // Some labels differ by less than f32 tells apart; as numbers, they are those of pairs.
            let far = if matches!(kind, MaskKind::Positives | MaskKind::Negatives) { 1 << 24 } else { 0 };
            let classes = if kind == MaskKind::Same { 2 } else { 4 };
            let label = (0..slot.first + rows.max(columns)).map(|_| far + random.below(classes)).collect();
            let label = maker.words("label", label);
            let y = maker.output("y", (rows * columns) as usize, false);
            maker.step(Mask { kind, rows, columns }.forward(label, y));
            maker.slot(slot);
            cases.push(maker.done());
        }
    }
    cases
}
