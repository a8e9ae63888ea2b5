//! Cases of layer normalisation.

use super::case::{Case, Maker};
use crate::ops::layer_norm::LayerNorm;
use crate::ops::{ITERATION_BUDGET, Layout, View};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    let op = |rows, features, rows_per_part| {
        let (eps, accumulate) = (1e-5, false);
        LayerNorm { rows, features, eps, rows_per_part, accumulate }
    };
    for (name, op) in [
        ("one feature", op(3, 1, 3)),
        ("one row", op(1, 5, 4)),
        ("parts", op(7, 13, 3)),
        ("more features than lanes", op(5, 131, 2)),
        // The grid folds over two dimensions, and has a workgroup too many.
        ("more than 65,535 rows", op(ITERATION_BUDGET as u32 + 10, 2, 1)),
    ] {
        cases.push(forward(name, op, layout));
        cases.push(backward_input(name, op, layout));
        cases.push(backward_input(&format!("{name}, added"), LayerNorm { accumulate: true, ..op }, layout));
        cases.push(backward_weight(name, op, layout));
    }
    cases
}

fn count(op: &LayerNorm) -> usize {
    (op.rows * op.features) as usize
}

/// Values away from 0, so that mean and deviation differ in size; a NaN in the first row of several.
fn x(maker: &mut Maker, op: &LayerNorm) -> View {
    let mut values: Vec<f32> = maker.signed(count(op)).iter().map(|x| 2.0 + 1.5 * x).collect();
    if op.rows > 3 {
        values[1] = f32::NAN;
    }
    maker.values("x", values)
}

fn forward(name: &str, op: LayerNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("layer_norm", "forward"), name, layout);
    let x = x(&mut maker, &op);
    let [weight, bias] = ["weight", "bias"].map(|name| maker.numbers(name, op.features as usize));
    let y = maker.output("y", count(&op), false);
    maker.step(op.forward(x, weight, bias, y));
    maker.done()
}

fn backward_input(name: &str, op: LayerNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("layer_norm", "backward_input"), name, layout);
    let x = x(&mut maker, &op);
    let dy = maker.numbers("dy", count(&op));
    let weight = maker.numbers("weight", op.features as usize);
    let dx = maker.output("dx", count(&op), op.accumulate);
    maker.step(op.backward_input(x, dy, weight, dx));
    maker.done()
}

fn backward_weight(name: &str, op: LayerNorm, layout: Layout) -> Case {
    let mut maker = Maker::new(("layer_norm", "backward_weight"), name, layout);
    let x = x(&mut maker, &op);
    let dy = maker.numbers("dy", count(&op));
    let len = op.parts() * op.features as usize;
    let parts = ["weight_parts", "bias_parts"].map(|name| maker.output(name, len, false));
    maker.step(op.backward_weight(x, dy, parts));
    maker.done()
}
