//! The scalar head on the CPU.

use crate::ops::head::Head;

/// Plain loops.
pub mod reference {
    use super::Head;
    use crate::cpu::activation::sigmoid;
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(_: &Head, io: &mut Io<'_, T>) {
        let (x, weight, bias, y) = (io.read("x"), io.read("weight")[0], io.read("bias")[0], io.write("y"));
        for (y, &x) in y.iter_mut().zip(x) {
            *y = sigmoid(weight * x + bias, T::of(1.0));
        }
    }

    fn before_sigmoid<T: Real>(y: T, dy: T) -> T {
        dy * (y * (T::of(1.0) - y))
    }

    pub fn backward_input<T: Real>(_: &Head, io: &mut Io<'_, T>) {
        let (y, dy, weight) = (io.read("result"), io.read("dy"), io.read("weight")[0]);
        for ((dx, &y), &dy) in io.write("dx").iter_mut().zip(y).zip(dy) {
            *dx = before_sigmoid(y, dy) * weight;
        }
    }

    pub fn backward_weight<T: Real>(_: &Head, io: &mut Io<'_, T>) {
        let (x, y, dy) = (io.read("x"), io.read("result"), io.read("dy"));
        let (mut with_x, mut alone) = (T::of(0.0), T::of(0.0));
        for ((&x, &y), &dy) in x.iter().zip(y).zip(dy) {
            let gradient = before_sigmoid(y, dy);
            with_x += gradient * x;
            alone += gradient;
        }
        io.write("dweight")[0] = with_x;
        io.write("dbias")[0] = alone;
    }
}

/// A few numbers a pair: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward_input, backward_weight, forward};
}
