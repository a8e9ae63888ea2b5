//! The same of the ops that losses are composed of.

use gpu_siamese::ops::View;
use gpu_siamese::ops::layer_norm::LayerNorm;
use gpu_siamese::ops::normalize::Normalize;
use gpu_siamese::ops::pairwise::{Pairwise, PairwiseKind};
use gpu_siamese::ops::reduce::Reduce;
use gpu_siamese::ops::take::Take;

use super::ops::{both_ways, normal, random};

#[test]
fn pairwise() {
    use PairwiseKind::{Euclidean, Inner, L1, Squared};
    let (rows, columns, features, floor, transposed, accumulate) = (4u32, 3, 5u32, 1e-7, false, false);
    for kind in [Euclidean, Squared, L1, Inner] {
        let op = Pairwise { rows, columns, features, kind, floor, transposed, accumulate };
        let random = &mut random(1200);
        // Away from equal values, where |a - b| has a kink.
        let x = normal(random, 20);
        let mut y: Vec<f64> = normal(random, 15).iter().map(|y| y + 0.037).collect();
        if kind == Euclidean {
            // Below the floor: the distance is constant.
            y[5..10].copy_from_slice(&x[10..15]);
            y[7] += 1e-4;
        }
        both_ways(
            &kind.to_string(),
            ["x", "y"],
            [x, y],
            12,
            |bench, [x, y], d| bench.run(&op.forward(x, y, d)),
            |bench, [x, y], dd, [dx, dy]| {
                let d = bench.output(dd.len);
                bench.run(&op.forward(x, y, d));
                bench.run(&op.backward(x, y, d, dd, dx));
                bench.run(&op.turned().backward(y, x, d, dd, dy));
            },
        );
    }
}

#[test]
fn normalize() {
    let op = Normalize { rows: 4, features: 5, floor: 0.5, accumulate: false };
    both_ways(
        "normalize",
        ["x"],
        // Longer than the floor.
        [normal(&mut random(1210), 20).iter().map(|x| x + 0.5f64.copysign(*x)).collect()],
        20,
        |bench, [x], y| bench.run(&op.forward(x, y)),
        |bench, [x], dy, [dx]| bench.run(&op.backward(x, dy, dx)),
    );
}

#[test]
fn layer_norm() {
    for (rows, features, rows_per_part) in [(5, 6, 2), (2, 9, 4)] {
        let op = LayerNorm { rows, features, eps: 1e-5, rows_per_part, accumulate: false };
        let (count, random) = ((rows * features) as usize, &mut random(1220));
        // A deviation of about 2.
        let x = normal(random, count).iter().map(|x| 2.0 * x + 1.0).collect();
        let [weight, bias] = [(); 2].map(|()| normal(random, features as usize));
        both_ways(
            &format!("{op:?}"),
            ["x", "weight", "bias"],
            [x, weight, bias],
            count,
            |bench, [x, weight, bias], y| bench.run(&op.forward(x, weight, bias, y)),
            |bench, [x, weight, _], dy, [dx, dweight, dbias]| {
                bench.run(&op.backward_input(x, dy, weight, dx));
                let parts: [View; 2] = [(); 2].map(|()| bench.output(op.parts() * features as usize));
                bench.run(&op.backward_weight(x, dy, parts));
                let reduce = Reduce { count: features, parts: op.parts() as u32, accumulate: false };
                for (part, gradient) in parts.into_iter().zip([dweight, dbias]) {
                    bench.run(&reduce.forward(part, gradient));
                }
            },
        );
    }
}

#[test]
fn take() {
    // Row 2 is taken twice and row 1 never.
    let (op, index) = (Take { rows: 4, table_rows: 5, features: 3, accumulate: false }, [2, 0, 4, 2]);
    both_ways(
        "take",
        ["x"],
        [normal(&mut random(1230), 15)],
        12,
        |bench, [x], y| {
            let index = bench.words(&index);
            bench.run(&op.forward(x, index, y));
        },
        |bench, _, dy, [dx]| {
            let index = bench.words(&index);
            bench.run(&op.backward(dy, index, dx));
        },
    );
}
