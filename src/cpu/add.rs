//! Sums of two tensors on the CPU.

use super::sharing::{Relu, Sharing};
use crate::ops::add::Add;

impl Add {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        Sharing::GROUPS.relu(if entry == "forward" { Relu::Joins } else { Relu::None })
    }
}

/// Plain loops.
pub mod reference {
    use super::Add;
    use crate::cpu::{Io, Real, put};

    pub fn forward<T: Real>(_: &Add, io: &mut Io<'_, T>) {
        let (a, b, y) = (io.read("a"), io.read("b"), io.write("y"));
        for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
            *y = a + b;
        }
    }

    pub fn backward<T: Real>(add: &Add, io: &mut Io<'_, T>) {
        put(io.write("dx"), io.read("dy"), add.accumulate);
    }
}

/// The same, with vectors; indifferent to the layout.
pub mod fast {
    use super::Add;
    use crate::cpu::simd::{self, Kernel, Simd};
    use crate::cpu::{Io, put};

    struct Forward<'a> {
        a: &'a [f32],
        b: &'a [f32],
        y: &'a mut [f32],
        relu: bool,
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward { a, b, y, relu } = self;
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                let sum = a + b;
                *y = if relu && sum <= 0.0 { 0.0 } else { sum };
            }
        }
    }

    struct Backward<'a>(&'a Add, &'a [f32], &'a mut [f32]);

    impl Kernel for Backward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            put(self.2, self.1, self.0.accumulate);
        }
    }

    pub fn forward(_: &Add, io: &mut Io<'_, f32>) {
        let (a, b, y, relu) = (io.read("a"), io.read("b"), io.write("y"), io.relu);
        simd::dispatch(Forward { a, b, y, relu });
    }

    pub fn backward(add: &Add, io: &mut Io<'_, f32>) {
        simd::dispatch(Backward(add, io.read("dy"), io.write("dx")));
    }
}
