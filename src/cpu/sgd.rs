//! Gradient descent with momentum on the CPU.

use super::real::Real;
use super::sharing::Sharing;
use crate::ops::sgd::Sgd;
use crate::plan::Slot;

/// One element: updates the velocity and returns the new parameter.
#[inline(always)]
fn update<T: Real>(sgd: &Sgd, slot: &Slot, g: T, parameter: T, v: &mut T) -> T {
    let slope = g + T::of(sgd.penalty) * parameter;
    *v = T::of(slot.momentum) * *v - T::of(slot.learning_rate) * slope;
    parameter + *v
}

impl Sgd {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::elements(self.count, true)
    }
}

/// Plain loops.
pub mod reference {
    use super::{Sgd, update};
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(sgd: &Sgd, io: &mut Io<'_, T>) {
        let (gradient, parameter, velocity) =
            (io.read("gradient"), io.write("parameter"), io.write("velocity"));
        for (i, &g) in gradient.iter().enumerate() {
            parameter[i] = update(sgd, &io.slot, g, parameter[i], &mut velocity[i]);
        }
    }
}

/// The same, with vectors.
pub mod fast {
    use super::{Sgd, Slot, update};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Simd};

    struct Part<'a> {
        sgd: &'a Sgd,
        slot: Slot,
        gradient: &'a [f32],
        parameter: &'a mut [f32],
        velocity: &'a mut [f32],
    }

    impl Kernel for Part<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for ((parameter, &g), v) in self.parameter.iter_mut().zip(self.gradient).zip(self.velocity) {
                *parameter = update(self.sgd, &self.slot, g, *parameter, v);
            }
        }
    }

    pub fn forward(sgd: &Sgd, io: &mut Io<'_, f32>) {
        let (gradient, parameter, velocity) =
            (io.read("gradient"), io.write("parameter"), io.write("velocity"));
        simd::dispatch(Part { sgd, slot: io.slot, gradient, parameter, velocity });
    }
}
