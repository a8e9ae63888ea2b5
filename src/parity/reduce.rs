//! Cases of the sum over partial results.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::reduce::Reduce;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, parts) in [(1, 1), (150, 3), (65, 32), (1757, 2)] {
        for accumulate in [false, true] {
            let added = if accumulate { ", added" } else { "" };
            let mut maker =
                Maker::new(("reduce", "forward"), format!("{parts} parts of {count}{added}"), layout);
            let reduce = Reduce { count, parts, accumulate };
            let x = maker.numbers("x", (count * parts) as usize);
            let y = maker.output("y", count as usize, accumulate);
            maker.step(reduce.forward(x, y));
            cases.push(maker.done());
        }
    }
    cases
}
