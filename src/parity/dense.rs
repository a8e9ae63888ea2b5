//! Cases of the fully connected layer.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::dense::Dense;

pub fn cases(layout: Layout) -> Vec<Case> {
    let dense = |images, inputs, outputs, first_row, rows| Dense {
        images,
        inputs,
        outputs,
        first_row,
        rows,
        accumulate: false,
    };
    let shapes = [
        ("small", dense(3, 5, 7, 0, 7)),
        ("one of each", dense(1, 1, 1, 0, 1)),
        ("multiples of the block", dense(16, 8, 12, 0, 12)),
        ("two groups of images", dense(18, 33, 6, 0, 6)),
        ("many groups of images", dense(131, 9, 5, 0, 5)),
        ("window of rows", dense(5, 6, 11, 3, 5)),
        ("last rows", dense(6, 7, 10, 9, 1)),
        ("fc1 of sn-lenet5", dense(20, 400, 120, 0, 120)),
    ];
    let mut cases = Vec::new();
    for (name, dense) in shapes {
        cases.push(forward(name, dense, layout));
        for accumulate in [false, true] {
            let name = if accumulate { format!("{name}, added") } else { name.to_string() };
            let dense = Dense { accumulate, ..dense };
            cases.push(backward_input(&name, dense, layout));
            cases.push(backward_weight(&name, dense, layout));
            cases.push(backward_bias(&name, dense, layout));
        }
    }
    cases
}

/// All windows of rows together write `y`, so the case runs the rest of them too.
fn forward(name: &str, dense: Dense, layout: Layout) -> Case {
    let (images, inputs, outputs) = (dense.images as usize, dense.inputs as usize, dense.outputs as usize);
    let mut maker = Maker::new(("dense", "forward"), name, layout);
    let x = maker.images("x", images, inputs);
    let bias = maker.numbers("bias", outputs);
    let behind = dense.first_row + dense.rows;
    let windows = [(0, dense.first_row), (dense.first_row, dense.rows), (behind, dense.outputs - behind)];
    let windows: Vec<Dense> = windows
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(first_row, rows)| Dense { first_row, rows, ..dense })
        .collect();
    let weights: Vec<_> =
        windows.iter().map(|window| maker.numbers("weight", window.rows as usize * inputs)).collect();
    let y = maker.output_images("y", images, outputs, false);
    for (window, weight) in windows.iter().zip(weights) {
        maker.step(window.forward(x, weight, bias, y));
    }
    maker.done()
}

fn backward_input(name: &str, dense: Dense, layout: Layout) -> Case {
    let (images, inputs) = (dense.images as usize, dense.inputs as usize);
    let mut maker = Maker::new(("dense", "backward_input"), name, layout);
    let dy = maker.images("dy", images, dense.outputs as usize);
    let weight = maker.numbers("weight", dense.rows as usize * inputs);
    let dx = maker.output_images("dx", images, inputs, dense.accumulate);
    maker.step(dense.backward_input(dy, weight, dx));
    maker.done()
}

fn backward_weight(name: &str, dense: Dense, layout: Layout) -> Case {
    let (images, inputs) = (dense.images as usize, dense.inputs as usize);
    let mut maker = Maker::new(("dense", "backward_weight"), name, layout);
    let x = maker.images("x", images, inputs);
    let dy = maker.images("dy", images, dense.outputs as usize);
    let dweight = maker.output("dweight", dense.rows as usize * inputs, dense.accumulate);
    maker.step(dense.backward_weight(x, dy, dweight));
    maker.done()
}

fn backward_bias(name: &str, dense: Dense, layout: Layout) -> Case {
    let mut maker = Maker::new(("dense", "backward_bias"), name, layout);
    let dy = maker.images("dy", dense.images as usize, dense.outputs as usize);
    let dbias = maker.output("dbias", dense.outputs as usize, dense.accumulate);
    maker.step(dense.backward_bias(dy, dbias));
    maker.done()
}
