//! Cases of pooling.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::pool2d::{Pool2d, PoolKind};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [PoolKind::Max, PoolKind::Average] {
        for (name, images, channels, (in_height, in_width), [size, stride, padding]) in [
            ("2x2", 3, 2, (6, 8), [2, 2, 0]),
            ("2x2 of odd sizes", 17, 3, (7, 5), [2, 2, 0]),
            ("overlapping 3x3", 2, 3, (8, 9), [3, 2, 0]),
            ("2x2 stride 1", 2, 1, (4, 5), [2, 1, 0]),
            ("gaps", 2, 2, (9, 10), [2, 3, 0]),
            ("whole plane", 5, 4, (4, 4), [4, 4, 0]),
            ("padded 3x3", 2, 3, (8, 9), [3, 2, 1]),
            ("padded 2x2 stride 1", 17, 2, (5, 4), [2, 1, 1]),
            ("padded 4x4 with gaps", 2, 2, (10, 7), [4, 5, 2]),
        ] {
            let accumulate = false;
            #[rustfmt::skip]
            let pool = Pool2d {
                images, channels, in_height, in_width, size, stride, padding, kind, accumulate,
            };
            for ties in [false, true] {
                let name = format!("{kind} {name}{}", if ties { " with ties" } else { "" });
                cases.push(forward(&name, pool, ties, layout));
                cases.push(backward(&name, pool, ties, layout));
                let added = Pool2d { accumulate: true, ..pool };
                cases.push(backward(&format!("{name}, added"), added, ties, layout));
            }
        }
    }
    let pool = Pool2d {
        images: 2,
        channels: 1,
        in_height: 4,
        in_width: 4,
        size: 2,
        stride: 2,
        padding: 0,
        kind: PoolKind::Max,
        accumulate: false,
    };
    for (name, special) in [("NaN stays visible", f32::NAN), ("infinity is a number", f32::NEG_INFINITY)] {
        let mut maker = Maker::new(("pool2d", "forward"), name, layout);
        let mut values = maker.signed(32);
        for at in [1, 4, 10, 31] {
            values[at] = special;
        }
        let x = maker.image_values("x", 2, values);
        let y = maker.output_images("y", 2, pool.out_len(), false);
        maker.step(pool.forward(x, y));
        cases.push(maker.done());
    }
    cases
}

/// Signed values, or few different ones, so that windows have several maxima.
fn values(maker: &Maker, len: usize, ties: bool) -> Vec<f32> {
    if !ties {
        return maker.signed(len);
    }
    let mut random = maker.random();
    (0..len).map(|_| random.below(3) as f32 - 1.0).collect()
}

fn forward(name: &str, pool: Pool2d, ties: bool, layout: Layout) -> Case {
    let images = pool.images as usize;
    let mut maker = Maker::new(("pool2d", "forward"), name, layout);
    let numbers = values(&maker, images * pool.in_len(), ties);
    let x = maker.image_values("x", images, numbers);
    let y = maker.output_images("y", images, pool.out_len(), false);
    maker.step(pool.forward(x, y));
    maker.done()
}

fn backward(name: &str, pool: Pool2d, ties: bool, layout: Layout) -> Case {
    let images = pool.images as usize;
    let mut maker = Maker::new(("pool2d", "backward"), name, layout);
    let numbers = values(&maker, images * pool.in_len(), ties);
    let x = maker.image_values("x", images, numbers);
    let dy = maker.images("dy", images, pool.out_len());
    let dx = maker.output_images("dx", images, pool.in_len(), pool.accumulate);
    maker.step(pool.backward(x, dy, dx));
    maker.done()
}
