//! Cases of the learned sum of differences.

use super::case::{Case, Maker};
use crate::ops::weighted_sum::WeightedSum;
use crate::ops::{Layout, View};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, pairs, features, first) in [
        ("one pair of one feature", 1, 1, 0),
        ("few features", 5, 3, 0),
        ("more features than lanes", 17, 131, 0),
        ("more pairs than lanes", 70, 9, 0),
        ("a later piece", 4, 7, 3),
    ] {
        let sum = WeightedSum { pairs, features, first, accumulate: false };
        let (rows, count) = (2 * pairs as usize, features as usize);

        let mut maker = Maker::new(("weighted_sum", "forward"), name, layout);
        let x = embeddings(&mut maker, &sum);
        let (weight, bias) = (maker.numbers("weight", count), maker.numbers("bias", 1));
        // What earlier pieces wrote stays.
        let y = maker.output("y", total(&sum), true);
        maker.step(sum.forward(x, weight, bias, y));
        cases.push(maker.done());

        let mut maker = Maker::new(("weighted_sum", "backward_input"), name, layout);
        let x = embeddings(&mut maker, &sum);
        let (weight, dy) = (maker.numbers("weight", count), maker.numbers("dy", total(&sum)));
        let dx = maker.output_images("dx", rows, count, false);
        maker.step(sum.backward_input(x, weight, dy, dx));
        cases.push(maker.done());

        for sum in [sum, WeightedSum { accumulate: true, ..sum }] {
            let name = if sum.accumulate { format!("{name}, added") } else { name.to_string() };
            let mut maker = Maker::new(("weighted_sum", "backward_weight"), &name, layout);
            let x = embeddings(&mut maker, &sum);
            let dy = maker.numbers("dy", total(&sum));
            let dweight = maker.output("dweight", count, sum.accumulate);
            maker.step(sum.backward_weight(x, dy, dweight));
            cases.push(maker.done());

            let mut maker = Maker::new(("weighted_sum", "backward_bias"), &name, layout);
            let dy = maker.numbers("dy", total(&sum));
            let dbias = maker.output("dbias", 1, sum.accumulate);
            maker.step(sum.backward_bias(dy, dbias));
            cases.push(maker.done());
        }
    }
    cases
}

/// Pairs of the whole batch, of which the launch has the last.
fn total(sum: &WeightedSum) -> usize {
    (sum.first + sum.pairs) as usize
}

/// Some features do not differ.
fn embeddings(maker: &mut Maker, sum: &WeightedSum) -> View {
    let half = (sum.pairs * sum.features) as usize;
    let mut values = maker.signed(2 * half);
    for at in (1..half).step_by(3) {
        values[half + at] = values[at];
    }
    maker.image_values("x", 2 * sum.pairs as usize, values)
}
