//! Cases of functions element by element.

use super::case::{Case, Maker};
use crate::ops::elementwise::{Elementwise, Function, Strided};
use crate::ops::{Layout, View};

/// What `Step` and `AtLeast` compare with; some elements are equal to it.
const SCALAR: f32 = 0.25;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for &function in Function::ALL {
        for accumulate in [false, true] {
            let added = if accumulate { ", added" } else { "" };
            let flat = Elementwise { accumulate, ..Elementwise::flat(function, SCALAR, 203) };
            cases.push(case(&format!("{function} of 203{added}"), &[flat], layout));
            let strided = Elementwise { accumulate, ..strided(function) };
            cases.push(case(&format!("{function}, strided{added}"), &[strided], layout));
        }
    }
    // The columns of two matrices side by side.
    let columns = |offset, size: u32| {
        let sizes = [1, 1, 9, size];
        let y = Strided { offset, strides: [0, 0, 12, 1] };
        Elementwise::new(Function::Identity, 0.0, sizes, [y, Strided::dense(sizes), Strided::ONE])
    };
    cases.push(case("joined", &[columns(0, 5), columns(5, 7)], layout));
    cases
}

/// A result in another order and with gaps, operands that repeat along some axes; everything starts somewhere.
fn strided(function: Function) -> Elementwise {
    let y = Strided { offset: 3, strides: [12, 120, 2, 24] };
    let a = Strided { offset: 2, strides: [30, 0, 5, 1] };
    let b = Strided { offset: 1, strides: [0, 1, 4, 0] };
    Elementwise::new(function, SCALAR, [2, 4, 6, 5], [y, a, b])
}

/// Elements that the indices reach.
fn reach(op: &Elementwise, operand: Strided) -> usize {
    let last = op.sizes().into_iter().zip(operand.strides).map(|(size, stride)| (size - 1) * stride);
    (operand.offset + last.sum::<u32>() + 1) as usize
}

fn case(name: &str, ops: &[Elementwise], layout: Layout) -> Case {
    let function = ops[0].function;
    let entry = ["fill", "unary", "binary"][function.arity()];
    let mut maker = Maker::new(("elementwise", entry), name, layout);
    let inputs: Vec<Vec<View>> = ops.iter().map(|op| inputs(&mut maker, op)).collect();
    // What lies between the elements that are written stays.
    let len = ops.iter().map(|op| reach(op, op.y())).max().unwrap_or(0);
    let dense = ops.len() == 1 && ops[0].sizes()[3] as usize == len;
    let y = maker.output("y", len, !dense || ops[0].accumulate);
    for (op, inputs) in ops.iter().zip(inputs) {
        maker.step(match inputs[..] {
            [] => op.fill(y),
            [a] => op.unary(a, y),
            [a, b, ..] => op.binary(a, b, y),
        });
    }
    maker.done()
}

/// Elements of all sizes, some of them NaN, 0, or equal to what they are compared with, where the function is defined.
fn inputs(maker: &mut Maker, op: &Elementwise) -> Vec<View> {
    let mut views = Vec::new();
    let mut first = Vec::new();
    for (name, operand) in [("a", op.a()), ("b", op.b())].into_iter().take(op.function.arity()) {
        let sizes = [1.0, 3.0, 1e-3, 30.0, 80.0];
        let mut values = maker.signed(reach(op, operand));
        for (at, value) in values.iter_mut().enumerate() {
            *value *= sizes[at % sizes.len()];
            let divides = op.function == Function::Divide && name == "b";
            match op.function {
                // Near 1, where the logarithm passes 0, too.
                Function::Log if at % 4 == 0 => *value = 1.0 + 1e-3 * *value,
                Function::Log | Function::Sqrt => *value = value.abs(),
                _ if at % 11 == 3 && !divides && op.function != Function::Reciprocal => *value = 0.0,
                _ if at % 11 == 5 => *value = SCALAR,
                _ if at % 7 == 2 => *value = first.get(at).copied().unwrap_or(*value),
                _ => {}
            }
        }
        let nan = if name == "a" { 6 } else { 8 };
        values[nan] = f32::NAN;
        first = values.clone();
        views.push(maker.values(name, values));
    }
    views
}
