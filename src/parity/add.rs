//! Cases of the sum of two tensors.

use super::case::{Case, Maker};
use crate::ops::add::Add;
use crate::ops::{Layout, WORKGROUP};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, WORKGROUP as u32, 1757] {
        let len = count as usize;
        let mut maker = Maker::new(("add", "forward"), format!("{count}"), layout);
        let (a, b) = (maker.numbers("a", len), maker.numbers("b", len));
        let y = maker.output("y", len, false);
        maker.step(Add { count, accumulate: false }.forward(a, b, y));
        cases.push(maker.done());
        for accumulate in [false, true] {
            let name = format!("{count}{}", if accumulate { ", added" } else { "" });
            let mut maker = Maker::new(("add", "backward"), name, layout);
            let dy = maker.numbers("dy", len);
            let dx = maker.output("dx", len, accumulate);
            maker.step(Add { count, accumulate }.backward(dy, dx));
            cases.push(maker.done());
        }
    }
    cases
}
