//! Pooling on the CPU.

use std::ops::Range;

use super::sharing::{Relu, Sharing};
use crate::ops::pool2d::{Pool2d, PoolKind};

impl Pool2d {
    pub(super) fn sharing(&self, entry: &str) -> Sharing {
        let joins = entry == "backward" && self.kind == PoolKind::Max;
        Sharing::GROUPS.relu(if joins { Relu::Joins } else { Relu::None })
    }

    /// Rows, or columns, of window `i` that are no padding.
    fn window(&self, i: usize, length: u32) -> Range<usize> {
        let (start, padding) = (i * self.stride as usize, self.padding as usize);
        start.max(padding) - padding..(start + self.size as usize - padding).min(length as usize)
    }

    /// Rows and columns of each window, in row-major order.
    fn windows(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + Clone {
        let row = move |i| (0..self.out_width()).map(move |j| (i, j));
        let windows = (0..self.out_height()).flat_map(row);
        windows.map(|(i, j)| (self.window(i, self.in_height), self.window(j, self.in_width)))
    }

    /// Places of a window's elements within a plane, in row-major order.
    fn places(&self, (rows, columns): (Range<usize>, Range<usize>)) -> impl Iterator<Item = usize> + Clone {
        let width = self.in_width as usize;
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
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
    fn first_maximum<T: Real>(plane: &[T], mut places: impl Iterator<Item = usize>) -> usize {
        let mut best = places.next().unwrap_or(0);
        for place in places {
            let (candidate, largest) = (plane[place], plane[best]);
            if candidate > largest || (candidate.is_nan() && !largest.is_nan()) {
                best = place;
            }
        }
        best
    }

    pub fn forward<T: Real>(pool: &Pool2d, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        let area = T::of((pool.size * pool.size) as f32);
        let planes = y.chunks_exact_mut(pool.out_height() * pool.out_width());
        for (y, x) in planes.zip(x.chunks_exact(pool.in_plane())) {
            for (y, window) in y.iter_mut().zip(pool.windows()) {
                *y = match pool.kind {
                    PoolKind::Max => x[first_maximum(x, pool.places(window))],
                    PoolKind::Average => {
                        let mut sum = T::of(0.0);
                        for place in pool.places(window) {
                            sum += x[place];
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
            for (&gradient, window) in dy.iter().zip(pool.windows()) {
                match pool.kind {
                    PoolKind::Max => sums[first_maximum(x, pool.places(window))] += gradient,
                    PoolKind::Average => {
                        for place in pool.places(window) {
                            sums[place] += gradient / area;
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
            self.padding == 0 && self.stride == self.size && covers(self.in_height) && covers(self.in_width)
        }
    }

    /// The window at output (i, j): its first row and column, and how many of each. `size` is the pool's,
    /// where it can be a constant to the compiler.
    #[inline(always)]
    fn window(pool: &Pool2d, (i, j): (usize, usize), size: usize) -> [usize; 4] {
        if pool.padding == 0 {
            return [i * pool.stride as usize, j * pool.stride as usize, size, size];
        }
        let (rows, columns) = (pool.window(i, pool.in_height), pool.window(j, pool.in_width));
        [rows.start, columns.start, rows.len(), columns.len()]
    }

    #[inline(always)]
    fn maximum<S: Simd>(
        x: &[Lanes],
        corner: usize,
        width: usize,
        [rows, columns]: [usize; 2],
        lane: usize,
    ) -> S::V {
        let mut best = S::part(&x[corner], lane);
        for k in 0..rows {
            for l in usize::from(k == 0)..columns {
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
            let (width, columns) = (pool.in_width as usize, pool.out_width());
            let area = S::splat((size * size) as f32);
            let planes = y.chunks_exact_mut(pool.out_height() * columns);
            for (y, x) in planes.zip(x.chunks_exact(pool.in_plane())) {
                for (i, y) in y.chunks_exact_mut(columns).enumerate() {
                    for (j, y) in y.iter_mut().enumerate() {
                        let [row, column, rows, columns] = window(pool, (i, j), size);
                        let corner = row * width + column;
                        for lane in (0..INTERLEAVE).step_by(S::LANES) {
                            let value = match pool.kind {
                                PoolKind::Max => maximum::<S>(x, corner, width, [rows, columns], lane),
                                PoolKind::Average => {
                                    let mut sum = S::splat(0.0);
                                    for k in 0..rows {
                                        for l in 0..columns {
                                            sum = S::add(sum, S::part(&x[corner + k * width + l], lane));
                                        }
                                    }
                                    S::divide(sum, area)
                                }
                            };
                            S::set_part(y, lane, value);
                        }
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
            let width = pool.in_width as usize;
            let area = S::splat((size * size) as f32);
            let planes = dx.chunks_exact_mut(pool.in_plane()).zip(x.chunks_exact(pool.in_plane()));
            for ((dx, x), dy) in planes.zip(dy.chunks_exact(pool.out_height() * pool.out_width())) {
                for (i, dy) in dy.chunks_exact(pool.out_width()).enumerate() {
                    for (j, dy) in dy.iter().enumerate() {
                        let [row, column, rows, columns] = window(pool, (i, j), size);
                        let corner = row * width + column;
                        for lane in (0..INTERLEAVE).step_by(S::LANES) {
                            // What is left to give: the first maximum takes it all.
                            let mut rest = S::part(dy, lane);
                            let best = match kind {
                                PoolKind::Max => maximum::<S>(x, corner, width, [rows, columns], lane),
                                PoolKind::Average => S::divide(rest, area),
                            };
                            if relu {
                                rest = S::gated(best, rest);
                            }
                            for k in 0..rows {
                                for l in 0..columns {
                                    let at = corner + k * width + l;
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
                (_, _, true) => self.planes::<S>(kind, size as usize, false),
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
