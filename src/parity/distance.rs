//! Cases of the distances.

use super::case::{Case, Maker};
use crate::ops::distance::{Distance, DistanceKind};
use crate::ops::{ITERATION_BUDGET, Layout};

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [DistanceKind::Euclidean, DistanceKind::L1] {
        let distance = |pairs, features, first| Distance {
            pairs,
            features,
            first,
            kind,
            squared_floor: 1e-7,
            accumulate: false,
        };
        for (name, distance) in [
            ("few features", distance(5, 3, 0)),
            ("sn-lenet5", distance(9, 84, 0)),
            ("more features than lanes", distance(17, 131, 0)),
            ("a later piece", distance(4, 7, 3)),
        ] {
            cases.push(forward(&format!("{kind}, {name}"), distance, layout));
            cases.push(backward(&format!("{kind}, {name}"), distance, layout));
            let added = Distance { accumulate: true, ..distance };
            cases.push(backward(&format!("{kind}, {name}, added"), added, layout));
        }
        cases.push(at_the_floor(&format!("{kind}, behind forward"), distance(4, 7, 3), layout));
        // The grid folds over two dimensions, and has a workgroup too many.
        let many = distance(ITERATION_BUDGET as u32 + 10, 1, 0);
        cases.push(forward(&format!("{kind}, more than 65,535 pairs"), many, layout));
    }
    cases
}

/// Pair 1 is identical and pair 2 closer than the floor; the others are apart.
fn embeddings(maker: &Maker, distance: &Distance) -> Vec<f32> {
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let mut values = maker.signed(2 * pairs * features);
    for (pair, apart) in [(1, 0.0), (2, 1e-5)] {
        for f in 0..features {
            values[(pairs + pair) * features + f] = values[pair * features + f] + apart;
        }
    }
    values
}

/// Pairs of the whole batch, of which the launch has the last.
fn total(distance: &Distance) -> usize {
    (distance.first + distance.pairs) as usize
}

fn forward(name: &str, distance: Distance, layout: Layout) -> Case {
    let mut maker = Maker::new(("distance", "forward"), name, layout);
    let values = embeddings(&maker, &distance);
    let x = maker.image_values("x", 2 * distance.pairs as usize, values);
    // What earlier pieces wrote stays.
    let y = maker.output("y", total(&distance), true);
    maker.step(distance.forward(x, y));
    maker.done()
}

/// Backward on the very distances that forward leaves, one of them at the floor without being 0.
fn at_the_floor(name: &str, distance: Distance, layout: Layout) -> Case {
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let mut maker = Maker::new(("distance", "backward"), name, layout);
    let values = embeddings(&maker, &distance);
    let x = maker.image_values("x", 2 * pairs, values);
    let y = maker.output("y", total(&distance), true);
    let dy = maker.numbers("dy", total(&distance));
    let dx = maker.output_images("dx", 2 * pairs, features, false);
    maker.step(distance.forward(x, y));
    maker.step(distance.backward(x, y, dy, dx));
    maker.done()
}

fn backward(name: &str, distance: Distance, layout: Layout) -> Case {
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let mut maker = Maker::new(("distance", "backward"), name, layout);
    let values = embeddings(&maker, &distance);
    let x = maker.image_values("x", 2 * pairs, values);
    let mut distances: Vec<f32> = maker.signed(total(&distance)).iter().map(|d| d.abs() + 0.1).collect();
    // At the floor, as forward leaves it, and just above.
    distances[distance.first as usize + 1] = 1e-7f32.sqrt();
    distances[distance.first as usize + 2] = 3.3e-4;
    let result = maker.values("result", distances);
    let dy = maker.numbers("dy", total(&distance));
    let dx = maker.output_images("dx", 2 * pairs, features, distance.accumulate);
    maker.step(distance.backward(x, result, dy, dx));
    maker.done()
}
