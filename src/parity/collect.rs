//! Cases of rows that come together.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::collect::Collect;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, rows, values, branches, first, total) in [
        ("pairs", 14, 9, 2, 3, 12),
        ("pairs, all of them", 34, 5, 2, 0, 17),
        ("list", 19, 84, 1, 5, 24),
        ("one row", 1, 2, 1, 0, 1),
    ] {
        for accumulate in [false, true] {
            let op = Collect { rows, values, branches, first, total, accumulate };
            let name = if accumulate { format!("{name}, added") } else { name.into() };
            let whole = (branches * total * values) as usize;

            let mut maker = Maker::new(("collect", "forward"), &name, layout);
            let x = maker.images("x", rows as usize, values as usize);
            // Rows of other micro-batches stay.
            let y = maker.output("y", whole, true);
            maker.step(op.forward(x, y));
            cases.push(maker.done());

            let mut maker = Maker::new(("collect", "backward"), &name, layout);
            let dy = maker.numbers("dy", whole);
            let dx = maker.output_images("dx", rows as usize, values as usize, accumulate);
            maker.step(op.backward(dy, dx));
            cases.push(maker.done());
        }
    }
    cases
}
