//! Cases of gradient descent.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::sgd::{Sgd, SgdViews};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    [(1, 0.0, 0.9), (130, 0.0, 0.0), (1757, 0.02, 0.5), (64, 0.5, 0.9)]
        .into_iter()
        .map(|(count, penalty, momentum)| {
            let name = format!("{count} parameters, penalty {penalty}, momentum {momentum}");
            case(&name, Sgd { count, penalty }, momentum, layout)
        })
        .collect()
}

fn case(name: &str, sgd: Sgd, momentum: f32, layout: Layout) -> Case {
    let count = sgd.count as usize;
    let mut maker = Maker::new(("sgd", "forward"), name, layout);
    // Gradients of very different sizes, and none at all.
    let values = maker.signed(count);
    let gradients = values.iter().enumerate().map(|(i, g)| g * [1.0, 1e-3, 1e-6, 0.0][i % 4]).collect();
    let gradient = maker.values("gradient", gradients);
    let values = maker.signed(count);
    let parameter = maker.updated("parameter", values);
    let values = maker.signed(count).iter().map(|v| 1e-2 * v).collect();
    let velocity = maker.updated("velocity", values);
    maker.step(sgd.forward(&SgdViews { gradient, parameter, velocity }));
    maker.slot(Slot { learning_rate: 1e-2, momentum, ..Slot::default() });
    maker.done()
}
