//! Cases of the activations.

use super::case::{Case, Maker};
use crate::ops::activation::{Activation, ActivationKind};
use crate::ops::{ITERATION_BUDGET, Layout, WORKGROUP};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [ActivationKind::Relu, ActivationKind::Tanh, ActivationKind::Sigmoid] {
        for count in [1, WORKGROUP as u32, 1757] {
            let activation = Activation { count, kind, accumulate: false };
            cases.push(forward(&format!("{kind} of {count}"), activation, None, layout));
            cases.push(backward(&format!("{kind} of {count}"), activation, layout));
            let added = Activation { accumulate: true, ..activation };
            cases.push(backward(&format!("{kind} of {count}, added"), added, layout));
        }
        let mut edges = vec![0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 0.0999, 0.1001, -0.1];
        edges.extend([1.0, -1.0, 8.9, -8.9, 30.0, -30.0, 88.9, -88.9, 1000.0, -1000.0, f32::NAN]);
        let activation = Activation { count: edges.len() as u32, kind, accumulate: false };
        cases.push(forward(&format!("{kind} at the edges"), activation, Some(edges), layout));
    }
    // The grid folds over two dimensions.
    let count = (ITERATION_BUDGET as usize * WORKGROUP + 77) as u32;
    let large = Activation { count, kind: ActivationKind::Relu, accumulate: false };
    cases.push(forward("relu over more than 65,535 workgroups", large, None, layout));
    cases
}

fn forward(name: &str, activation: Activation, values: Option<Vec<f32>>, layout: Layout) -> Case {
    let count = activation.count as usize;
    let mut maker = Maker::new(("activation", "forward"), name, layout);
    let values = values.unwrap_or_else(|| maker.signed(count).iter().map(|x| 3.0 * x).collect());
    let x = maker.values("x", values);
    let y = maker.output("y", count, false);
    maker.step(activation.forward(x, y));
    maker.done()
}

fn backward(name: &str, activation: Activation, layout: Layout) -> Case {
    let count = activation.count as usize;
    let mut maker = Maker::new(("activation", "backward"), name, layout);
    // Zeros among them, where the rectifier's gradient is 0.
    let values = maker.signed(count).iter().map(|y| if *y < -0.7 { 0.0 } else { *y }).collect();
    let result = maker.values("result", values);
    let dy = maker.numbers("dy", count);
    let dx = maker.output("dx", count, activation.accumulate);
    maker.step(activation.backward(result, dy, dx));
    maker.done()
}
