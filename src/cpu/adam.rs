//! Adam on the CPU.

use super::real::Real;
use super::sharing::Sharing;
use crate::ops::adam::Adam;
use crate::plan::Slot;

/// One element: updates the moments and returns the new parameter.
#[inline(always)]
fn update<T: Real>(adam: &Adam, slot: &Slot, g: T, parameter: T, m: &mut T, v: &mut T) -> T {
    *m = T::of(adam.beta1) * *m + T::of(adam.rest1) * g;
    *v = T::of(adam.beta2) * *v + T::of(adam.rest2) * (g * g);
    let root = (*v / T::of(slot.correction2)).sqrt() + T::of(adam.eps);
    let parameter = if adam.decays { parameter * T::of(slot.shrink) } else { parameter };
    parameter - T::of(slot.learning_rate) * (*m / T::of(slot.correction1)) / root
}

impl Adam {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::elements(self.count, true)
    }
}

/// Plain loops.
pub mod reference {
    use super::{Adam, update};
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(adam: &Adam, io: &mut Io<'_, T>) {
        let (gradient, parameter) = (io.read("gradient"), io.write("parameter"));
        let (first, second) = (io.write("first_moment"), io.write("second_moment"));
        for (i, &g) in gradient.iter().enumerate() {
            parameter[i] = update(adam, &io.slot, g, parameter[i], &mut first[i], &mut second[i]);
        }
    }
}

/// The same, with vectors.
pub mod fast {
    use super::{Adam, Slot, update};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Simd};

    struct Part<'a> {
        adam: &'a Adam,
        slot: Slot,
        gradient: &'a [f32],
        parameter: &'a mut [f32],
        first: &'a mut [f32],
        second: &'a mut [f32],
    }

    impl Kernel for Part<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let moments = self.first.iter_mut().zip(self.second);
            for ((parameter, &g), (m, v)) in self.parameter.iter_mut().zip(self.gradient).zip(moments) {
                *parameter = update(self.adam, &self.slot, g, *parameter, m, v);
            }
        }
    }

    pub fn forward(adam: &Adam, io: &mut Io<'_, f32>) {
        let (gradient, parameter) = (io.read("gradient"), io.write("parameter"));
        let (first, second) = (io.write("first_moment"), io.write("second_moment"));
        simd::dispatch(Part { adam, slot: io.slot, gradient, parameter, first, second });
    }
}
