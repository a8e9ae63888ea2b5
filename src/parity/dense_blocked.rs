//! Cases of the fully connected layer in register blocks.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::activation::ActivationKind;
use crate::ops::dense_blocked::DenseBlocked;

pub fn cases(layout: Layout) -> Vec<Case> {
    let dense = |images, inputs, outputs, first_row, rows, activation: Option<ActivationKind>| DenseBlocked {
        images,
        inputs,
        outputs,
        first_row,
        rows,
        activated: activation.is_some(),
        activation: activation.unwrap_or(ActivationKind::Relu),
        accumulate: false,
    };
    let relu = Some(ActivationKind::Relu);
    let shapes = [
        ("one vector of each", dense(1, 4, 4, 0, 4, None)),
        ("whole blocks", dense(16, 16, 32, 0, 32, Some(ActivationKind::Tanh))),
        ("two groups of images", dense(19, 36, 20, 0, 20, relu)),
        ("window of rows", dense(5, 24, 44, 8, 28, Some(ActivationKind::Sigmoid))),
        ("last rows", dense(9, 8, 40, 36, 4, None)),
        ("fc1 of sn-lenet5", dense(20, 400, 120, 0, 120, relu)),
    ];
    let mut cases = Vec::new();
    for (name, dense) in shapes {
        cases.push(forward(name, dense, layout));
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.to_string() };
            let dense = DenseBlocked { accumulate, ..dense };
            cases.push(backward_input(&name, dense, layout));
            cases.push(backward_weight(&name, dense, layout));
        }
    }
    cases
}

/// All windows of rows together write `y`, so the case runs the rest of them too.
fn forward(name: &str, dense: DenseBlocked, layout: Layout) -> Case {
    let (images, inputs, outputs) = (dense.images as usize, dense.inputs as usize, dense.outputs as usize);
    let mut maker = Maker::new(("dense_blocked", "forward"), name, layout);
    let x = maker.images("x", images, inputs);
    let bias = maker.numbers("bias", outputs);
    let behind = dense.first_row + dense.rows;
    let windows = [(0, dense.first_row), (dense.first_row, dense.rows), (behind, dense.outputs - behind)];
    let windows: Vec<DenseBlocked> = windows
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(first_row, rows)| DenseBlocked { first_row, rows, ..dense })
        .collect();
    let weights: Vec<_> =
        windows.iter().map(|window| maker.numbers("weight", window.rows as usize * inputs)).collect();
    let y = maker.output_images("y", images, outputs, false);
    for (window, weight) in windows.iter().zip(weights) {
        maker.step(window.forward(x, weight, bias, y));
    }
    maker.done()
}

fn backward_input(name: &str, dense: DenseBlocked, layout: Layout) -> Case {
    let (images, inputs) = (dense.images as usize, dense.inputs as usize);
    let mut maker = Maker::new(("dense_blocked", "backward_input"), name, layout);
    let dz = maker.images("dz", images, dense.outputs as usize);
    let weight = maker.numbers("weight", dense.rows as usize * inputs);
    let dx = maker.output_images("dx", images, inputs, dense.accumulate);
    maker.step(dense.backward_input(dz, weight, dx));
    maker.done()
}

fn backward_weight(name: &str, dense: DenseBlocked, layout: Layout) -> Case {
    let (images, inputs) = (dense.images as usize, dense.inputs as usize);
    let mut maker = Maker::new(("dense_blocked", "backward_weight"), name, layout);
    let x = maker.images("x", images, inputs);
    let dz = maker.images("dz", images, dense.outputs as usize);
    let dweight = maker.output("dweight", dense.rows as usize * inputs, dense.accumulate);
    maker.step(dense.backward_weight(x, dz, dweight));
    maker.done()
}
