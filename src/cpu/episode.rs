//! Squared distances within episodes, on the CPU.

use crate::ops::episode::Episode;

impl Episode {
    /// The pair whose place `other` is in the episode of `pair`.
    fn partner(&self, pair: usize, other: usize) -> usize {
        pair - pair % self.way as usize + other
    }

    /// The logit between a row of `x` and the `other` of the other side, as pair and place.
    fn logit(&self, row: usize, other: usize) -> (usize, usize) {
        let pair = row % self.pairs as usize;
        let is_first = row < self.pairs as usize;
        if is_first { (pair, other) } else { (self.partner(pair, other), pair % self.way as usize) }
    }

    /// The row of `x` that is the `other` of the other side.
    fn opposite(&self, row: usize, other: usize) -> usize {
        let pairs = self.pairs as usize;
        let partner = self.partner(row % pairs, other);
        if row < pairs { pairs + partner } else { partner }
    }
}

/// Plain loops, one embedding behind the other.
pub mod reference {
    use super::Episode;
    use crate::cpu::{Io, Real};

    pub fn forward<T: Real>(episode: &Episode, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        let (features, way) = (episode.features as usize, episode.way as usize);
        let row = |row: usize| &x[row * features..][..features];
        for pair in 0..episode.pairs as usize {
            for place in 0..way {
                let mut sum = T::of(0.0);
                for (&a, &b) in row(pair).iter().zip(row(episode.opposite(pair, place))) {
                    sum += (a - b) * (a - b);
                }
                y[pair * way + place] = -sum;
            }
        }
    }

    pub fn backward<T: Real>(episode: &Episode, io: &mut Io<'_, T>) {
        let (x, dy, dx) = (io.read("x"), io.read("dy"), io.write("dx"));
        let (features, way) = (episode.features as usize, episode.way as usize);
        for row in 0..2 * episode.pairs as usize {
            for f in 0..features {
                let mut sum = T::of(0.0);
                for other in 0..way {
                    let (pair, place) = episode.logit(row, other);
                    let difference = x[row * features + f] - x[episode.opposite(row, other) * features + f];
                    sum += dy[pair * way + place] * difference;
                }
                dx[row * features + f] = T::of(-2.0) * sum;
            }
        }
    }
}

/// Interleaved embeddings, of which each is first put in a row of its own: a row meets all of its episode.
pub mod fast {
    use super::Episode;
    use crate::cpu::Io;
    use crate::cpu::scratch::with_scratch;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd};
    use crate::ops::{INTERLEAVE, Layout};

    /// Of a row: whole vectors.
    fn width(episode: &Episode) -> usize {
        (episode.features as usize).next_multiple_of(INTERLEAVE)
    }

    /// Values of the rows of whole groups of images.
    fn len(episode: &Episode) -> usize {
        (2 * episode.pairs as usize).next_multiple_of(INTERLEAVE) * width(episode)
    }

    /// Interleaved values as rows of `width`, with zeros behind the features.
    #[inline(always)]
    fn unravel<S: Simd>(x: &[Lanes], features: usize, rows: &mut [f32], width: usize) {
        for (group, x) in x.chunks_exact(features).enumerate() {
            let rows = &mut rows[group * INTERLEAVE * width..][..INTERLEAVE * width];
            for (number, values) in x.chunks(INTERLEAVE).enumerate() {
                let mut block = [[0.0; INTERLEAVE]; INTERLEAVE];
                block[..values.len()].copy_from_slice(values);
                // SAFETY: 16 columns of 16 rows, of a width that is a multiple of 16.
                unsafe { S::transpose(&block, rows[number * INTERLEAVE..].as_mut_ptr(), width) };
            }
        }
    }

    /// `a - b`, from `at` on.
    #[inline(always)]
    fn difference<S: Simd>(a: &[f32], b: &[f32], at: usize) -> S::V {
        assert!(at + S::LANES <= a.len().min(b.len()));
        // SAFETY: as just checked.
        unsafe { S::multiply_add(S::load(b.as_ptr().add(at)), S::splat(-1.0), S::load(a.as_ptr().add(at))) }
    }

    struct Forward<'a> {
        episode: &'a Episode,
        x: &'a [Lanes],
        rows: &'a mut [f32],
        y: &'a mut [f32],
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Forward { episode, x, rows, y } = self;
            let width = width(episode);
            let way = episode.way as usize;
            unravel::<S>(x, episode.features as usize, rows, width);
            for pair in 0..episode.pairs as usize {
                let a = &rows[pair * width..][..width];
                for place in 0..way {
                    let b = &rows[episode.opposite(pair, place) * width..][..width];
                    let mut sum = S::splat(0.0);
                    for at in (0..width).step_by(S::LANES) {
                        let difference = difference::<S>(a, b, at);
                        sum = S::multiply_add(difference, difference, sum);
                    }
                    y[Layout::Interleaved.place(pair, place, way)] = -S::sum(sum);
                }
            }
        }
    }

    struct Backward<'a> {
        episode: &'a Episode,
        x: &'a [Lanes],
        dy: &'a [f32],
        rows: &'a mut [f32],
        dx: &'a mut [Lanes],
    }

    impl Kernel for Backward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Backward { episode, x, dy, rows, dx } = self;
            let width = width(episode);
            let (way, features) = (episode.way as usize, episode.features as usize);
            unravel::<S>(x, features, rows, width);
            let logit = |row, other| {
                let (pair, place) = episode.logit(row, other);
                dy[Layout::Interleaved.place(pair, place, way)]
            };
            let mut slopes = vec![(0.0, &[][..]); way];
            for row in 0..2 * episode.pairs as usize {
                let (own, group) = (&rows[row * width..][..width], row / INTERLEAVE * features);
                for (other, slope) in slopes.iter_mut().enumerate() {
                    let opposite = &rows[episode.opposite(row, other) * width..][..width];
                    *slope = (-2.0 * logit(row, other), opposite);
                }
                for (at, dx) in
                    (0..width).step_by(INTERLEAVE).zip(dx[group..][..features].chunks_mut(INTERLEAVE))
                {
                    let mut gradients: Lanes = [0.0; INTERLEAVE];
                    for lane in (0..INTERLEAVE).step_by(S::LANES) {
                        let mut sum = S::splat(0.0);
                        for &(slope, opposite) in &slopes {
                            sum = S::multiply_add(
                                S::splat(slope),
                                difference::<S>(own, opposite, at + lane),
                                sum,
                            );
                        }
                        S::set_part(&mut gradients, lane, sum);
                    }
                    for (dx, gradient) in dx.iter_mut().zip(gradients) {
                        dx[row % INTERLEAVE] = gradient;
                    }
                }
            }
        }
    }

    pub fn forward(episode: &Episode, io: &mut Io<'_, f32>) {
        io.pad("y", 0.0, episode.pairs as usize, episode.way as usize);
        let (x, y) = (simd::lanes(io.read("x")), io.write("y"));
        with_scratch(len(episode), |rows| simd::dispatch(Forward { episode, x, rows, y }));
    }

    /// Images that only pad the last group get no gradient, so they count in no sum.
    pub fn backward(episode: &Episode, io: &mut Io<'_, f32>) {
        io.pad("dx", 0.0, 2 * episode.pairs as usize, episode.features as usize);
        let (x, dy, dx) = (simd::lanes(io.read("x")), io.read("dy"), simd::lanes_mut(io.write("dx")));
        with_scratch(len(episode), |rows| simd::dispatch(Backward { episode, x, dy, rows, dx }));
    }
}
