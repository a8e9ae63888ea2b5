//! Cases of the distances between all rows of two matrices.

use super::case::{Case, Maker};
use crate::ops::pairwise::{Pairwise, PairwiseKind};
use crate::ops::{Layout, View};

const FLOOR: f32 = 1e-7;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for &kind in PairwiseKind::ALL {
        for (rows, columns, features) in [(3, 3, 1), (12, 8, 4), (7, 13, 19), (33, 5, 131)] {
            let (floor, transposed, accumulate) = (FLOOR, false, false);
            let op = Pairwise { rows, columns, features, kind, floor, transposed, accumulate };
            let name = format!("{kind}, {rows} to {columns} of {features}");
            cases.push(forward(&name, op, layout));
            for (name, op) in [
                (name.clone(), op),
                (format!("{name}, added"), Pairwise { accumulate: true, ..op }),
                (format!("{name}, transposed"), Pairwise { transposed: true, ..op }),
            ] {
                cases.push(backward(&name, op, layout));
            }
        }
    }
    cases
}

/// The first element of `x` is given. Row 1 of `y` is row 1 of `x` and row 2 closer than the floor; the others are apart.
fn rows(maker: &mut Maker, op: &Pairwise, first: f32) -> [View; 2] {
    let features = op.features as usize;
    let mut a = maker.signed(op.rows as usize * features);
    a[0] = first;
    let x = maker.values("x", a.clone());
    let mut b = maker.signed(op.columns as usize * features);
    let apart = [0.0, 1e-5];
    for (row, apart) in [1, 2].into_iter().zip(apart) {
        let at = row * features..(row + 1) * features;
        a[at.clone()].iter_mut().for_each(|value| *value += apart);
        b[at.clone()].copy_from_slice(&a[at]);
    }
    [x, maker.values("y", b)]
}

fn forward(name: &str, op: Pairwise, layout: Layout) -> Case {
    let mut maker = Maker::new(("pairwise", "forward"), name, layout);
    let [x, y] = rows(&mut maker, &op, f32::NAN);
    let d = maker.output("d", (op.rows * op.columns) as usize, false);
    maker.step(op.forward(x, y, d));
    maker.done()
}

fn backward(name: &str, op: Pairwise, layout: Layout) -> Case {
    let count = (op.rows * op.columns) as usize;
    let mut maker = Maker::new(("pairwise", "backward"), name, layout);
    let [x, y] = rows(&mut maker, &op, 0.5);
    let mut distances: Vec<f32> = maker.signed(count).iter().map(|d| d.abs() + 0.1).collect();
    // At the floor, as forward leaves it, and just above.
    distances[1] = FLOOR.sqrt();
    distances[5] = 3.3e-4;
    let result = maker.values("result", distances);
    let dd = maker.numbers("dd", count);
    let dx = maker.output("dx", (op.rows * op.features) as usize, op.accumulate);
    maker.step(op.backward(x, y, result, dd, dx));
    maker.done()
}
