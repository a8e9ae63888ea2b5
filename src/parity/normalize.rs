//! Cases of rows brought to length 1.

use super::case::{Case, Maker};
use crate::ops::normalize::Normalize;
use crate::ops::{ITERATION_BUDGET, Layout, View};

const FLOOR: f32 = 1.0 / 1024.0;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    // Squares of this floor are exact, so that a row may be as short as it.
    let op = |rows, features, accumulate| Normalize { rows, features, floor: FLOOR, accumulate };
    for (rows, features) in [(1, 1), (7, 3), (16, 64), (5, 131)] {
        cases.push(forward(&format!("{rows} rows of {features}"), op(rows, features, false), layout));
        for accumulate in [false, true] {
            let added = if accumulate { ", added" } else { "" };
            let name = format!("{rows} rows of {features}{added}");
            cases.push(backward(&name, op(rows, features, accumulate), layout));
        }
    }
    // The grid folds over two dimensions, and has a workgroup too many.
    let many = op(ITERATION_BUDGET as u32 + 10, 2, false);
    cases.push(forward("more than 65,535 rows", many, layout));
    cases.push(backward("more than 65,535 rows", many, layout));
    cases
}

/// Rows of several lengths, one of 0, one shorter than the floor, one as short, one with a NaN.
fn x(maker: &mut Maker, op: &Normalize) -> View {
    let features = op.features as usize;
    let mut values = maker.signed(op.rows as usize * features);
    for (row, values) in values.chunks_exact_mut(features).enumerate() {
        let size = [1.0, 0.0, 1e-5, 0.0, 300.0][row % 5];
        values.iter_mut().for_each(|value| *value *= size);
        match row {
            3 => values[features / 2] = FLOOR,
            4 => values[features - 1] = f32::NAN,
            _ => {}
        }
    }
    maker.values("x", values)
}

fn forward(name: &str, op: Normalize, layout: Layout) -> Case {
    let mut maker = Maker::new(("normalize", "forward"), name, layout);
    let x = x(&mut maker, &op);
    let y = maker.output("y", (op.rows * op.features) as usize, false);
    maker.step(op.forward(x, y));
    maker.done()
}

fn backward(name: &str, op: Normalize, layout: Layout) -> Case {
    let count = (op.rows * op.features) as usize;
    let mut maker = Maker::new(("normalize", "backward"), name, layout);
    let x = x(&mut maker, &op);
    let dy = maker.numbers("dy", count);
    let dx = maker.output("dx", count, op.accumulate);
    maker.step(op.backward(x, dy, dx));
    maker.done()
}
