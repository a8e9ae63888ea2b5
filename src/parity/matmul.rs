//! Cases of matrix products.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::matmul::Matmul;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (batches, rows, inner, columns) in
        [(1, 1, 1, 1), (1, 8, 12, 16), (3, 5, 7, 6), (2, 33, 20, 31), (1, 66, 131, 1)]
    {
        for choice in 0..8 {
            let [transpose_a, transpose_b, accumulate] = [1, 2, 4].map(|bit| choice & bit > 0);
            let op = Matmul { batches, rows, inner, columns, transpose_a, transpose_b, accumulate };
            let stored = |transposed: bool, name: &str| {
                if transposed { format!("{name} transposed") } else { name.to_string() }
            };
            let name = format!(
                "{batches} of {rows} x {inner} x {columns}, {}, {}{}",
                stored(transpose_a, "a"),
                stored(transpose_b, "b"),
                if accumulate { ", added" } else { "" }
            );
            let mut maker = Maker::new(("matmul", "forward"), name, layout);
            let a = maker.numbers("a", (batches * rows * inner) as usize);
            let b = maker.numbers("b", (batches * inner * columns) as usize);
            let c = maker.output("c", (batches * rows * columns) as usize, accumulate);
            maker.step(op.forward(a, b, c));
            cases.push(maker.done());
        }
    }
    cases
}
