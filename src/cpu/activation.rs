//! Activations on the CPU.

use super::real::Real;
use super::sharing::{Relu, Sharing};
use crate::ops::activation::{Activation, ActivationKind};

/// `f(x)`; NaN stays NaN.
#[inline(always)]
pub(super) fn value<T: Real>(kind: ActivationKind, x: T) -> T {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    match kind {
        ActivationKind::Relu if x <= zero => zero,
        ActivationKind::Relu => x,
        ActivationKind::Tanh => x.tanh(),
        ActivationKind::Sigmoid => sigmoid(x, one),
    }
}

/// `1 / (1 + exp(-x))` without overflow.
#[inline(always)]
pub(super) fn sigmoid<T: Real>(x: T, one: T) -> T {
    let t = (-x.abs()).exp();
    if x >= T::of(0.0) { one / (one + t) } else { t / (one + t) }
}

/// `f'(x)` times a gradient, from `y = f(x)`.
#[inline(always)]
fn gradient<T: Real>(kind: ActivationKind, y: T, dy: T) -> T {
    let (zero, one) = (T::of(0.0), T::of(1.0));
    match kind {
        ActivationKind::Relu if y > zero => dy,
        ActivationKind::Relu => zero,
        ActivationKind::Tanh => dy * (one - y * y),
        ActivationKind::Sigmoid => dy * (y * (one - y)),
    }
}

impl Activation {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::GROUPS.relu(if self.kind == ActivationKind::Relu { Relu::Is } else { Relu::None })
    }
}

/// Plain loops.
pub mod reference {
    use super::{Activation, gradient, value};
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(activation: &Activation, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        for (y, &x) in y.iter_mut().zip(x) {
            *y = value(activation.kind, x);
        }
    }

    pub fn backward<T: Real>(activation: &Activation, io: &mut Io<'_, T>) {
        let (y, dy, dx) = (io.read("result"), io.read("dy"), io.write("dx"));
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            let gradient = gradient(activation.kind, y, dy);
            *dx = if activation.accumulate { *dx + gradient } else { gradient };
        }
    }
}

/// The same, with vectors; indifferent to the layout.
pub mod fast {
    use super::{Activation, ActivationKind, gradient, value};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Simd};

    struct Forward<'a>(&'a Activation, &'a [f32], &'a mut [f32]);

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward(activation, x, y) = self;
            let mut whole = 0;
            if activation.kind == ActivationKind::Relu {
                whole = y.len().min(x.len()) / S::LANES * S::LANES;
                for at in (0..whole).step_by(S::LANES) {
                    // SAFETY: `at + LANES` is at most `whole`.
                    unsafe { S::store(y.as_mut_ptr().add(at), S::rectify(S::load(x.as_ptr().add(at)))) };
                }
            }
            for (y, &x) in y[whole..].iter_mut().zip(&x[whole..]) {
                *y = value(activation.kind, x);
            }
        }
    }

    struct Backward<'a>(&'a Activation, &'a [f32], &'a [f32], &'a mut [f32]);

    impl Kernel for Backward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Backward(activation, y, dy, dx) = self;
            let mut whole = 0;
            if activation.kind == ActivationKind::Relu && !activation.accumulate {
                whole = dx.len().min(y.len()).min(dy.len()) / S::LANES * S::LANES;
                for at in (0..whole).step_by(S::LANES) {
                    // SAFETY: `at + LANES` is at most `whole`.
                    unsafe {
                        let gradient = S::gated(S::load(y.as_ptr().add(at)), S::load(dy.as_ptr().add(at)));
                        S::store(dx.as_mut_ptr().add(at), gradient);
                    }
                }
            }
            for ((dx, &y), &dy) in dx[whole..].iter_mut().zip(&y[whole..]).zip(&dy[whole..]) {
                let gradient = gradient(activation.kind, y, dy);
                *dx = if activation.accumulate { *dx + gradient } else { gradient };
            }
        }
    }

    pub fn forward(activation: &Activation, io: &mut Io<'_, f32>) {
        let (x, y) = (io.read("x"), io.write("y"));
        simd::dispatch(Forward(activation, x, y));
    }

    pub fn backward(activation: &Activation, io: &mut Io<'_, f32>) {
        let (y, dy, dx) = (io.read("result"), io.read("dy"), io.write("dx"));
        simd::dispatch(Backward(activation, y, dy, dx));
    }
}
