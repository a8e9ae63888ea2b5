//! Cases of the way back through a pool and the activation before it.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::activated_pool::ActivatedPool;
use crate::ops::activation::ActivationKind;
use crate::ops::pool2d::PoolKind;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, activation) in [
        (PoolKind::Max, ActivationKind::Relu),
        (PoolKind::Average, ActivationKind::Tanh),
        (PoolKind::Max, ActivationKind::Sigmoid),
    ] {
        for (name, images, channels, (in_height, in_width), size, stride) in [
            ("2x2", 3, 2, (6, 8), 2, 2),
            ("2x2 of odd sizes", 17, 3, (7, 5), 2, 2),
            ("gaps", 2, 2, (9, 10), 2, 3),
            ("whole plane", 5, 4, (4, 4), 4, 4),
            ("two blocks of channels", 2, 13, (4, 6), 2, 2),
        ] {
            let pool =
                ActivatedPool { images, channels, in_height, in_width, size, stride, kind, activation };
            for ties in [false, true] {
                let ending = if ties { " with ties" } else { "" };
                cases.push(backward(&format!("{kind} {activation} {name}{ending}"), pool, ties, layout));
            }
        }
    }
    let (kind, activation) = (PoolKind::Max, ActivationKind::Relu);
    let pool = ActivatedPool {
        images: 2,
        channels: 1,
        in_height: 4,
        in_width: 4,
        size: 2,
        stride: 2,
        kind,
        activation,
    };
    let maker = maker("NaN wins its window", layout);
    let mut numbers = maker.signed(32);
    for at in [1, 4, 10, 31] {
        numbers[at] = f32::NAN;
    }
    cases.push(of_values(maker, pool, numbers));
    cases
}

fn maker(name: &str, layout: Layout) -> Maker {
    Maker::new(("activated_pool", "backward"), name, layout)
}

fn backward(name: &str, pool: ActivatedPool, ties: bool, layout: Layout) -> Case {
    let (images, len) = (pool.images as usize, pool.pool().in_len());
    let maker = maker(name, layout);
    let mut random = maker.random();
    // Few different values, so that windows have several maxima.
    let tied = (0..images * len).map(|_| random.below(3) as f32 - 1.0).collect();
    let numbers = if ties { tied } else { maker.signed(images * len) };
    of_values(maker, pool, numbers)
}

fn of_values(mut maker: Maker, pool: ActivatedPool, numbers: Vec<f32>) -> Case {
    let images = pool.images as usize;
    let x = maker.image_values("x", images, numbers);
    let dy = maker.images("dy", images, pool.pool().out_len());
    let blocks = maker.output_images("blocks", images, pool.blocks_len(), false);
    maker.step(pool.backward(x, dy, blocks));
    maker.done()
}
