//! Channels times their factors on the CPU.

use super::sharing::Sharing;
use crate::ops::scale::Scale;

impl Scale {
    pub(super) fn sharing(&self, _: &str) -> Sharing {
        Sharing::GROUPS
    }
}

/// Plain loops.
pub mod reference {
    use super::Scale;
    use crate::cpu::{Io, Real, put};

    fn scaled<T: Real>(x: &[T], scale: &[T], spatial: usize) -> Vec<T> {
        let planes = x.chunks_exact(spatial).zip(scale);
        planes.flat_map(|(plane, &scale)| plane.iter().map(move |&x| x * scale)).collect()
    }

    pub fn forward<T: Real>(op: &Scale, io: &mut Io<'_, T>) {
        let y = scaled(io.read("x"), io.read("scale"), op.spatial as usize);
        put(io.write("y"), &y, false);
    }

    pub fn backward_input<T: Real>(op: &Scale, io: &mut Io<'_, T>) {
        let dx = scaled(io.read("dy"), io.read("scale"), op.spatial as usize);
        put(io.write("dx"), &dx, op.accumulate);
    }

    pub fn backward_scale<T: Real>(op: &Scale, io: &mut Io<'_, T>) {
        let (x, dy) = (io.read("x"), io.read("dy"));
        let planes = x.chunks_exact(op.spatial as usize).zip(dy.chunks_exact(op.spatial as usize));
        let sum = |(x, dy): (&[T], &[T])| {
            let mut sum = T::of(0.0);
            for (&x, &dy) in x.iter().zip(dy) {
                sum += x * dy;
            }
            sum
        };
        put(io.write("dscale"), &planes.map(sum).collect::<Vec<T>>(), op.accumulate);
    }
}

/// 16 interleaved images at a time: a channel's factors are one vector's lanes.
pub mod fast {
    use super::Scale;
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes, lanes_mut};
    use crate::ops::INTERLEAVE;

    struct Scaled<'a> {
        x: &'a [Lanes],
        scale: &'a [Lanes],
        y: &'a mut [Lanes],
        spatial: usize,
        accumulate: bool,
    }

    impl Kernel for Scaled<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Scaled { x, scale, y, spatial, accumulate } = self;
            let planes = y.chunks_exact_mut(spatial).zip(x.chunks_exact(spatial)).zip(scale);
            for ((y, x), scale) in planes {
                for lane in (0..INTERLEAVE).step_by(S::LANES) {
                    let (scale, zero) = (S::part(scale, lane), S::splat(0.0));
                    for (y, x) in y.iter_mut().zip(x) {
                        let before = if accumulate { S::part(y, lane) } else { zero };
                        S::set_part(y, lane, S::multiply_add(S::part(x, lane), scale, before));
                    }
                }
            }
        }
    }

    struct BackwardScale<'a> {
        x: &'a [Lanes],
        dy: &'a [Lanes],
        dscale: &'a mut [Lanes],
        spatial: usize,
        accumulate: bool,
    }

    impl Kernel for BackwardScale<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let BackwardScale { x, dy, dscale, spatial, accumulate } = self;
            let planes = dscale.iter_mut().zip(x.chunks_exact(spatial).zip(dy.chunks_exact(spatial)));
            for (dscale, (x, dy)) in planes {
                for lane in (0..INTERLEAVE).step_by(S::LANES) {
                    let mut sum = if accumulate { S::part(dscale, lane) } else { S::splat(0.0) };
                    for (x, dy) in x.iter().zip(dy) {
                        sum = S::multiply_add(S::part(x, lane), S::part(dy, lane), sum);
                    }
                    S::set_part(dscale, lane, sum);
                }
            }
        }
    }

    pub fn forward(op: &Scale, io: &mut Io<'_, f32>) {
        let (x, scale, y) = (lanes(io.read("x")), lanes(io.read("scale")), lanes_mut(io.write("y")));
        simd::dispatch(Scaled { x, scale, y, spatial: op.spatial as usize, accumulate: false });
    }

    pub fn backward_input(op: &Scale, io: &mut Io<'_, f32>) {
        let (x, scale, y) = (lanes(io.read("dy")), lanes(io.read("scale")), lanes_mut(io.write("dx")));
        simd::dispatch(Scaled { x, scale, y, spatial: op.spatial as usize, accumulate: op.accumulate });
    }

    pub fn backward_scale(op: &Scale, io: &mut Io<'_, f32>) {
        let (x, dy, dscale) = (lanes(io.read("x")), lanes(io.read("dy")), lanes_mut(io.write("dscale")));
        let (spatial, accumulate) = (op.spatial as usize, op.accumulate);
        simd::dispatch(BackwardScale { x, dy, dscale, spatial, accumulate });
    }
}
