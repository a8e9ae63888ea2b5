//! Functions of one or two tensors on the CPU, element by element.

use crate::ops::elementwise::{Elementwise, Function, Strided};

/// Plain loops over strides.
pub mod reference {
    use super::{Elementwise, Function, Strided};
    use crate::cpu::activation::sigmoid;
    use crate::cpu::{Io, Real};

    /// `f(a, b)`; NaN stays NaN.
    #[inline(always)]
    fn value<T: Real>(function: Function, scalar: T, a: T, b: T) -> T {
        let (zero, one) = (T::of(0.0), T::of(1.0));
        let flag = |holds| if holds { one } else { zero };
        if a.is_nan() || b.is_nan() {
            return a + b;
        }
        match function {
            Function::Identity => a,
            Function::Scale => a * scalar,
            Function::Shift => a + scalar,
            Function::Abs => a.abs(),
            Function::Square => a * a,
            Function::Sqrt => a.sqrt(),
            Function::Exp => a.exp(),
            Function::Log => a.ln(),
            Function::Reciprocal => one / a,
            Function::Sign => flag(a > zero) - flag(a < zero),
            Function::Step => flag(a > scalar),
            Function::AtLeast if a < scalar => scalar,
            Function::AtLeast => a,
            Function::Sigmoid => sigmoid(a, one),
            Function::Softplus => (if a > zero { a } else { zero }) + (-a.abs()).exp().ln_1p(),
            Function::Tanh => a.tanh(),
            Function::Add => a + b,
            Function::Subtract => a - b,
            Function::Multiply => a * b,
            Function::Divide => a / b,
            Function::Maximum => {
                if a > b {
                    a
                } else {
                    b
                }
            }
            Function::Minimum => {
                if a < b {
                    a
                } else {
                    b
                }
            }
            Function::Greater => flag(a > b),
            Function::Equal => flag(a == b),
            Function::Fill => scalar,
        }
    }

    /// Puts `f` of what `a` and `b` hold where `y` stands, for each index.
    fn run<T: Real>(op: &Elementwise, y: &mut [T], [a, b]: [(&[T], Strided); 2]) {
        let (function, scalar) = (op.function, T::of(op.scalar));
        let [size0, size1, size2, size3] = op.sizes();
        let to = op.y();
        for (i, j, k) in
            (0..size0).flat_map(|i| (0..size1).flat_map(move |j| (0..size2).map(move |k| (i, j, k))))
        {
            let row =
                |s: Strided| (s.offset + i * s.strides[0] + j * s.strides[1] + k * s.strides[2]) as usize;
            let (y_row, a_row, b_row) = (row(to), row(a.1), row(b.1));
            for l in 0..size3 as usize {
                let at = |row: usize, s: Strided| row + l * s.strides[3] as usize;
                let value = value(function, scalar, a.0[at(a_row, a.1)], b.0[at(b_row, b.1)]);
                let y = &mut y[at(y_row, to)];
                *y = if op.accumulate { *y + value } else { value };
            }
        }
    }

    pub fn fill<T: Real>(op: &Elementwise, io: &mut Io<'_, T>) {
        let none = [T::of(0.0)];
        run(op, io.write("y"), [(&none, Strided::ONE); 2]);
    }

    pub fn unary<T: Real>(op: &Elementwise, io: &mut Io<'_, T>) {
        let none = [T::of(0.0)];
        run(op, io.write("y"), [(io.read("a"), op.a()), (&none, Strided::ONE)]);
    }

    pub fn binary<T: Real>(op: &Elementwise, io: &mut Io<'_, T>) {
        run(op, io.write("y"), [(io.read("a"), op.a()), (io.read("b"), op.b())]);
    }
}

/// Batches of embeddings and matrices of their pairs: plain loops are fast.
pub mod fast {
    pub use super::reference::{binary, fill, unary};
}
