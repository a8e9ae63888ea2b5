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

/// 16 interleaved images at a time.
pub mod fast {
    use super::{Pool2d, PoolKind};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd, lanes, lanes_mut};
    use crate::ops::INTERLEAVE;

    impl Pool2d {
        /// Whether the windows cover every input element exactly once.
        fn tiles(&self) -> bool {
            let covers = |length: u32| length.is_multiple_of(self.size);
            self.stride == self.size && covers(self.in_height) && covers(self.in_width)
        }
    }

    #[inline(always)]
    fn maximum<S: Simd>(x: &[Lanes], corner: usize, width: usize, size: usize, lane: usize) -> S::V {
        let mut best = S::part(&x[corner], lane);
        for k in 0..size {
            for l in usize::from(k == 0)..size {
                best = S::larger(best, S::part(&x[corner + k * width + l], lane));
            }
        }
        best
    }

    struct Forward<'a>(&'a Pool2d, &'a [Lanes], &'a mut [Lanes]);

    impl Forward<'_> {
        /// `size` is the pool's, where it can be a constant to the compiler.
        #[inline(always)]
        fn planes<S: Simd>(self, size: usize) {
            let Forward(pool, x, y) = self;
            let (width, stride, columns) = (pool.in_width as usize, pool.stride as usize, pool.out_width());
            let planes = y.chunks_exact_mut(pool.out_height() * pool.out_width());
            for (y, x) in planes.zip(x.chunks_exact(pool.in_plane())) {
                let corners =
                    (0..pool.out_height()).flat_map(|i| (0..columns).map(move |j| (i * width + j) * stride));
                for (window, corner) in corners.enumerate() {
                    for lane in (0..INTERLEAVE).step_by(S::LANES) {
                        let value = match pool.kind {
                            PoolKind::Max => maximum::<S>(x, corner, width, size, lane),
                            PoolKind::Average => {
                                let mut sum = S::splat(0.0);
                                for k in 0..size {
                                    for l in 0..size {
                                        sum = S::add(sum, S::part(&x[corner + k * width + l], lane));
                                    }
                                }
                                S::divide(sum, S::splat((size * size) as f32))
                            }
                        };
                        S::set_part(&mut y[window], lane, value);
                    }
                }
            }
        }
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            match self.0.size {
                2 => self.planes::<S>(2),
                size => self.planes::<S>(size as usize),
            }
        }
    }

    struct Backward<'a> {
        pool: &'a Pool2d,
        x: &'a [Lanes],
        dy: &'a [Lanes],
        dx: &'a mut [Lanes],
        /// `x` was rectified, and `dx` is the gradient before that.
        relu: bool,
    }

    impl Backward<'_> {
        /// `kind` and `size` are the pool's, where they can be constants to the compiler; `add` to
        /// what `dx` holds.
        #[inline(always)]
        fn planes<S: Simd>(self, kind: PoolKind, size: usize, add: bool) {
            let Backward { pool, x, dy, dx, relu } = self;
            let (width, stride) = (pool.in_width as usize, pool.stride as usize);
            let planes = dx.chunks_exact_mut(pool.in_plane()).zip(x.chunks_exact(pool.in_plane()));
            for ((dx, x), dy) in planes.zip(dy.chunks_exact(pool.out_height() * pool.out_width())) {
                for (i, dy) in dy.chunks_exact(pool.out_width()).enumerate() {
                    let rows = i * stride * width..(i * stride + size) * width;
                    let (dx, x) = (&mut dx[rows.clone()], &x[rows]);
                    for (j, dy) in dy.iter().enumerate() {
                        for lane in (0..INTERLEAVE).step_by(S::LANES) {
                            // What is left to give: the first maximum takes it all.
                            let mut rest = S::part(dy, lane);
                            let best = match kind {
                                PoolKind::Max => maximum::<S>(x, j * stride, width, size, lane),
                                PoolKind::Average => S::divide(rest, S::splat((size * size) as f32)),
                            };
                            if relu {
                                rest = S::gated(best, rest);
                            }
                            for k in 0..size {
                                for l in 0..size {
                                    let at = j * stride + k * width + l;
                                    let mut given = best;
                                    if kind == PoolKind::Max {
                                        (given, rest) = S::claim(S::part(&x[at], lane), best, rest);
                                    }
                                    if add {
                                        given = S::add(S::part(&dx[at], lane), given);
                                    }
                                    S::set_part(&mut dx[at], lane, given);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    impl Kernel for Backward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Pool2d { kind, size, accumulate, .. } = *self.pool;
            match (kind, size, self.pool.tiles() && !accumulate) {
                (PoolKind::Max, 2, true) => self.planes::<S>(PoolKind::Max, 2, false),
                _ => {
                    if !accumulate {
                        self.dx.fill([0.0; INTERLEAVE]);
                    }
                    self.planes::<S>(kind, size as usize, true);
                }
            }
        }
    }

    pub fn forward(pool: &Pool2d, io: &mut Io<'_, f32>) {
        simd::dispatch(Forward(pool, lanes(io.read("x")), lanes_mut(io.write("y"))));
    }

    pub fn backward(pool: &Pool2d, io: &mut Io<'_, f32>) {
        let (x, dy) = (lanes(io.read("x")), lanes(io.read("dy")));
        simd::dispatch(Backward { pool, x, dy, dx: lanes_mut(io.write("dx")), relu: io.relu });
    }
}
