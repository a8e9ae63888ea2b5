//! Cases of the reductions of one axis.

use super::case::{Case, Maker};
use crate::ops::reduction::{AxisReduction, Reduction};
use crate::ops::{ITERATION_BUDGET, Layout, Step, View};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    let forward = |op: AxisReduction, x, y| op.forward(x, y);
    let wide = |op: AxisReduction, x, y| op.forward_wide(x, y);
    for &kind in Reduction::ALL {
        for accumulate in [false, true] {
            let op = |outer, axis, inner| AxisReduction { kind, outer, axis, inner, accumulate };
            for op in [op(1, 1, 1), op(7, 5, 3), op(150, 31, 1), op(3, 64, 70), op(2, 300, 64)] {
                cases.push(case("forward", op, forward, layout));
            }
            for op in [op(5, 700, 1), op(2, 257, 3)] {
                cases.push(case("forward_wide", op, forward, layout));
            }
            cases.push(case("forward_wide", op(9, 7, 2), wide, layout));
            for op in [op(1, 1, 1), op(7, 5, 3), op(70, 31, 1)] {
                cases.push(backward(op, layout));
            }
        }
    }
    let op =
        |outer, axis, inner| AxisReduction { kind: Reduction::Max, outer, axis, inner, accumulate: true };
    // One invocation may not loop that long.
    cases.push(case("forward_wide", op(1, ITERATION_BUDGET as u32 / 2 + 10, 64), forward, layout));
    // The grid folds over two dimensions, and has a workgroup too many.
    cases.push(case("forward_wide", op(ITERATION_BUDGET as u32 + 10, 2, 1), wide, layout));
    cases
}

/// Elements of one size, with extremes that are equal and, at the end, two NaNs.
fn case(
    entry: &'static str,
    op: AxisReduction,
    step: fn(AxisReduction, View, View) -> Step,
    layout: Layout,
) -> Case {
    let AxisReduction { kind, outer, axis, inner, accumulate } = op;
    let added = if accumulate { ", added" } else { "" };
    let name = format!("{kind} of {outer} x {axis} x {inner}{added}");
    let mut maker = Maker::new(("reduction", entry), name, layout);
    let mut values = maker.signed((outer * axis * inner) as usize);
    for (at, value) in values.iter_mut().enumerate() {
        // The lower of two places may be a later lane's.
        let (place, long) = (at as u32 / inner % axis, axis > 200);
        *value = match place {
            2 | 3 if !long => 25.0,
            1 | 4 if !long => -25.0,
            70 | 130 | 134 if long => 25.0,
            75 | 132 | 139 if long => -25.0,
            _ => 20.0 * *value,
        };
    }
    if accumulate && axis > 1 {
        let last = values.len() - 1;
        for at in [last, last - (axis / 2 * inner) as usize] {
            values[at] = f32::NAN;
        }
    }
    let x = maker.values("x", values);
    let y = maker.output("y", (outer * inner) as usize, accumulate);
    maker.step(step(op, x, y));
    maker.done()
}

/// Behind forward, whose result it needs; some elements are equal extremes.
fn backward(op: AxisReduction, layout: Layout) -> Case {
    let AxisReduction { kind, outer, axis, inner, accumulate } = op;
    let name = format!("{kind} of {outer} x {axis} x {inner}{}", if accumulate { ", added" } else { "" });
    let mut maker = Maker::new(("reduction", "backward"), name, layout);
    let mut values = maker.signed((outer * axis * inner) as usize);
    for (at, value) in values.iter_mut().enumerate() {
        match at as u32 / inner % axis {
            2 | 3 => *value = 1.5,
            1 | 4 => *value = -1.5,
            _ => {}
        }
    }
    let len = values.len();
    let x = maker.values("x", values);
    let y = maker.output("y", (outer * inner) as usize, false);
    let dy = maker.numbers("dy", (outer * inner) as usize);
    let dx = maker.output("dx", len, accumulate);
    maker.step(AxisReduction { accumulate: false, ..op }.forward(x, y));
    maker.step(op.backward(x, y, dy, dx));
    maker.done()
}
