//! Cases of the optimizer.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::adam::{Adam, AdamViews};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    [
        (1, 1e-8, 1, false),
        (130, 1e-8, 1, false),
        (1757, 1e-4, 1000, false),
        (1757, 1e-8, 7, false),
        (130, 1e-8, 7, true),
    ]
    .into_iter()
    .map(|(count, eps, t, decays)| {
        let adam = Adam { count, beta1: 0.9, rest1: 0.1, beta2: 0.999, rest2: 0.001, eps, decays };
        let name = format!("{count} parameters, eps {eps}, step {t}{}", if decays { ", decay" } else { "" });
        case(&name, adam, t, layout)
    })
    .collect()
}

fn case(name: &str, adam: Adam, t: i32, layout: Layout) -> Case {
    let count = adam.count as usize;
    let mut maker = Maker::new(("adam", "forward"), name, layout);
    // Gradients of very different sizes, and none at all.
    let values = maker.signed(count);
    let gradients = values.iter().enumerate().map(|(i, g)| g * [1.0, 1e-3, 1e-6, 0.0][i % 4]).collect();
    let gradient = maker.values("gradient", gradients);
    let values = maker.signed(count);
    let parameter = maker.updated("parameter", values);
    let values = maker.signed(count).iter().map(|m| 1e-2 * m).collect();
    let first_moment = maker.updated("first_moment", values);
    let values = maker.signed(count).iter().map(|v| 1e-3 * v * v).collect();
    let second_moment = maker.updated("second_moment", values);
    maker.step(adam.forward(&AdamViews { gradient, parameter, first_moment, second_moment }));
    maker.slot(Slot {
        learning_rate: 1e-3,
        // A decay of 50, so that it shows beside the step.
        shrink: 0.95,
        correction1: (1.0 - 0.9f64.powi(t)) as f32,
        correction2: (1.0 - 0.999f64.powi(t)) as f32,
        ..Slot::default()
    });
    maker.done()
}
