//! Cases of the cross-entropy of classes.

use super::case::{Case, Maker};
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::{Layout, View};
use crate::plan::Slot;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, images, classes, count) in [
        ("one image", 1, 3, 1),
        ("a batch", 64, 10, 64),
        ("odd", 203, 7, 203),
        ("short batch", 70, 10, 67),
        ("one class", 5, 1, 5),
        ("nothing but padding", 20, 4, 9),
    ] {
        // A piece of a batch stands behind nine images of another one.
        for first in [0, 9] {
            let accumulate = first > 0;
            let loss = SoftmaxCrossEntropy { images, classes, first, accumulate };
            let name = if accumulate { format!("{name}, later") } else { name.to_string() };
            let count = if accumulate && name.starts_with("nothing") { count } else { count + first };
            let slot = Slot { first: 5, count, index: 3, ..Slot::default() };

            let mut maker = Maker::new(("softmax_cross_entropy", "forward"), &name, layout);
            let (x, label) = inputs(&mut maker, &loss, &slot);
            // Other rows of the history stay.
            let history = maker.output("history", 10, true);
            maker.step(loss.forward(x, label, history));
            maker.slot(slot);
            cases.push(maker.done());

            let mut maker = Maker::new(("softmax_cross_entropy", "backward"), &name, layout);
            let (x, label) = inputs(&mut maker, &loss, &slot);
            let dx = maker.output_images("dx", images as usize, classes as usize, false);
            maker.step(loss.backward(x, label, dx));
            maker.slot(slot);
            cases.push(maker.done());
        }
    }
    cases
}

/// Logits near one another, far apart, and some that are all alike: the first class is then the likeliest.
fn inputs(maker: &mut Maker, loss: &SoftmaxCrossEntropy, slot: &Slot) -> (View, View) {
    let classes = loss.classes as usize;
    let mut values: Vec<f32> = maker.signed(loss.images as usize * classes);
    for (number, logits) in values.chunks_exact_mut(classes).enumerate() {
        let size = [3.0, 0.1, 300.0, 0.0, 30.0][number % 5];
        logits.iter_mut().for_each(|logit| *logit = *logit * size + if size == 0.0 { 0.25 } else { 0.0 });
    }
    let x = maker.image_values("x", loss.images as usize, values);
    let mut random = maker.random();
    let label = (0..slot.first + loss.first + loss.images).map(|_| random.below(loss.classes)).collect();
    (x, maker.words("label", label))
}
