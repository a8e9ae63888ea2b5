//! Pooling on the CPU.

use crate::ops::pool2d::{Pool2d, PoolKind};

impl Pool2d {
    /// Offsets of a window's elements within a plane, in row-major order.
    fn window(&self) -> impl Iterator<Item = usize> + Clone {
        let (size, width) = (self.size as usize, self.in_width as usize);
        (0..size * size).map(move |at| at / size * width + at % size)
    }

    /// First element within its plane of each window, in row-major order.
    fn corners(&self) -> impl Iterator<Item = usize> + Clone {
        let (out_width, in_width, stride) = (self.out_width(), self.in_width as usize, self.stride as usize);
        (0..self.out_height() * out_width)
            .map(move |at| (at / out_width * in_width + at % out_width) * stride)
    }

    fn in_plane(&self) -> usize {
        (self.in_height * self.in_width) as usize
    }
}

/// Plain loops.
pub mod reference {
    use super::{Pool2d, PoolKind};
    use crate::cpu::{Io, Real, put};

    /// The first of the largest elements; NaN counts as largest, so that it shows.
    fn first_maximum<T: Real>(pool: &Pool2d, plane: &[T], corner: usize) -> usize {
        let mut best = corner;
        for offset in pool.window() {
            let (candidate, largest) = (plane[corner + offset], plane[best]);
            if candidate > largest || (candidate.is_nan() && !largest.is_nan()) {
                best = corner + offset;
            }
        }
        best
    }

    pub fn forward<T: Real>(pool: &Pool2d, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        let area = T::of((pool.size * pool.size) as f32);
        let planes = y.chunks_exact_mut(pool.out_height() * pool.out_width());
        for (y, x) in planes.zip(x.chunks_exact(pool.in_plane())) {
            for (y, corner) in y.iter_mut().zip(pool.corners()) {
                *y = match pool.kind {
                    PoolKind::Max => x[first_maximum(pool, x, corner)],
                    PoolKind::Average => {
                        let mut sum = T::of(0.0);
                        for offset in pool.window() {
                            sum += x[corner + offset];
                        }
                        sum / area
                    }
                };
            }
        }
    }

    pub fn backward<T: Real>(pool: &Pool2d, io: &mut Io<'_, T>) {
        let (x, dy, dx) = (io.read("x"), io.read("dy"), io.write("dx"));
        let area = T::of((pool.size * pool.size) as f32);
        let mut sums = vec![T::of(0.0); dx.len()];
        let planes = sums.chunks_exact_mut(pool.in_plane()).zip(x.chunks_exact(pool.in_plane()));
        for ((sums, x), dy) in planes.zip(dy.chunks_exact(pool.out_height() * pool.out_width())) {
            for (&gradient, corner) in dy.iter().zip(pool.corners()) {
                match pool.kind {
                    PoolKind::Max => sums[first_maximum(pool, x, corner)] += gradient,
                    PoolKind::Average => {
                        for offset in pool.window() {
                            sums[corner + offset] += gradient / area;
                        }
                    }
                }
            }
        }
        put(dx, &sums, pool.accumulate);
    }
}

/// 16 interleaved images at a time; planes are shared out over the threads.
pub mod fast {
    use super::{Pool2d, PoolKind};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Simd};
    use crate::ops::INTERLEAVE;
    use rayon::prelude::*;

    type Lanes = [f32; INTERLEAVE];

    /// Of two values the larger, or NaN where either is.
    #[inline(always)]
    fn larger(a: f32, b: f32) -> f32 {
        if a > b || a.is_nan() { a } else { b }
    }

    #[inline(always)]
    fn maximum(pool: &Pool2d, x: &[Lanes], corner: usize) -> Lanes {
        let mut best = x[corner];
        for offset in pool.window() {
            let candidate = &x[corner + offset];
            best = std::array::from_fn(|lane| larger(best[lane], candidate[lane]));
        }
        best
    }

    struct Forward<'a>(&'a Pool2d, &'a [Lanes], &'a mut [Lanes]);

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward(pool, x, y) = self;
            let area = (pool.size * pool.size) as f32;
            for (y, corner) in y.iter_mut().zip(pool.corners()) {
                match pool.kind {
                    PoolKind::Max => *y = maximum(pool, x, corner),
                    PoolKind::Average => {
                        let mut sums = [0.0; INTERLEAVE];
                        for offset in pool.window() {
                            let values = &x[corner + offset];
                            sums = std::array::from_fn(|lane| sums[lane] + values[lane]);
                        }
                        *y = sums.map(|sum| sum / area);
                    }
                }
            }
        }
    }

    struct Backward<'a>(&'a Pool2d, &'a [Lanes], &'a [Lanes], &'a mut [Lanes]);

    impl Kernel for Backward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Backward(pool, x, dy, dx) = self;
            let area = (pool.size * pool.size) as f32;
            if !pool.accumulate {
                dx.fill([0.0; INTERLEAVE]);
            }
            for (gradients, corner) in dy.iter().zip(pool.corners()) {
                match pool.kind {
                    PoolKind::Max => {
                        let best = maximum(pool, x, corner);
                        // What is left to give: the first maximum takes it all.
                        let mut rest = *gradients;
                        for offset in pool.window() {
                            let (values, sums) = (&x[corner + offset], &mut dx[corner + offset]);
                            for lane in 0..INTERLEAVE {
                                let wins = values[lane] == best[lane] || values[lane].is_nan();
                                sums[lane] += if wins { rest[lane] } else { 0.0 };
                                rest[lane] = if wins { 0.0 } else { rest[lane] };
                            }
                        }
                    }
                    PoolKind::Average => {
                        for offset in pool.window() {
                            let sums = &mut dx[corner + offset];
                            for lane in 0..INTERLEAVE {
                                sums[lane] += gradients[lane] / area;
                            }
                        }
                    }
                }
            }
        }
    }

    fn lanes(values: &[f32]) -> &[Lanes] {
        values.as_chunks().0
    }

    fn lanes_mut(values: &mut [f32]) -> &mut [Lanes] {
        values.as_chunks_mut().0
    }

    pub fn forward(pool: &Pool2d, io: &mut Io<'_, f32>) {
        let (x, y) = (lanes(io.read("x")), lanes_mut(io.write("y")));
        y.par_chunks_exact_mut(pool.out_height() * pool.out_width())
            .zip(x.par_chunks_exact(pool.in_plane()))
            .for_each(|(y, x)| simd::dispatch(Forward(pool, x, y)));
    }

    pub fn backward(pool: &Pool2d, io: &mut Io<'_, f32>) {
        let (x, dy, dx) = (lanes(io.read("x")), lanes(io.read("dy")), lanes_mut(io.write("dx")));
        dx.par_chunks_exact_mut(pool.in_plane())
            .zip(x.par_chunks_exact(pool.in_plane()))
            .zip(dy.par_chunks_exact(pool.out_height() * pool.out_width()))
            .for_each(|((dx, x), dy)| simd::dispatch(Backward(pool, x, dy, dx)));
    }
}
