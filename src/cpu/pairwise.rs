//! Distances between all rows of two matrices, on the CPU.

use super::Real;
use crate::ops::pairwise::{Pairwise, PairwiseKind};

/// What one feature adds.
#[inline(always)]
fn term<T: Real>(kind: PairwiseKind, a: T, b: T) -> T {
    match kind {
        PairwiseKind::Euclidean | PairwiseKind::Squared => (a - b) * (a - b),
        PairwiseKind::L1 => (a - b).abs(),
        PairwiseKind::Inner => a * b,
    }
}

/// The distance that the terms add up to. A clamped one is the very number that backward compares with.
fn distance<T: Real>(op: &Pairwise, sum: T) -> T {
    match op.kind {
        PairwiseKind::Euclidean if sum <= T::of(op.floor) => T::of(op.floor).sqrt(),
        PairwiseKind::Euclidean => sum.sqrt(),
        _ => sum,
    }
}

/// Plain loops.
pub mod reference {
    use super::{Pairwise, PairwiseKind, distance, term};
    use crate::cpu::{Io, Real, put};

    pub fn forward<T: Real>(op: &Pairwise, io: &mut Io<'_, T>) {
        let (x, y, d, features) = (io.read("x"), io.read("y"), io.write("d"), op.features as usize);
        let rows = x.chunks_exact(features).flat_map(|a| y.chunks_exact(features).map(move |b| (a, b)));
        for (d, (a, b)) in d.iter_mut().zip(rows) {
            let sum = a.iter().zip(b).fold(T::of(0.0), |sum, (&a, &b)| sum + term(op.kind, a, b));
            *d = distance(op, sum);
        }
    }

    pub fn backward<T: Real>(op: &Pairwise, io: &mut Io<'_, T>) {
        let (x, y, d, dd) = (io.read("x"), io.read("y"), io.read("result"), io.read("dd"));
        let (rows, columns, features) = (op.rows as usize, op.columns as usize, op.features as usize);
        let (zero, two, lowest) = (T::of(0.0), T::of(2.0), T::of(op.floor).sqrt());
        let results = io.write("dx").chunks_exact_mut(features).zip(x.chunks_exact(features));
        for (i, (dx, a)) in results.enumerate() {
            let mut sums = vec![zero; features];
            for (j, b) in y.chunks_exact(features).enumerate() {
                let at = if op.transposed { j * rows + i } else { i * columns + j };
                let scale = match op.kind {
                    PairwiseKind::Euclidean if d[at] > lowest => dd[at] / d[at],
                    PairwiseKind::Euclidean => zero,
                    PairwiseKind::Squared => two * dd[at],
                    PairwiseKind::L1 | PairwiseKind::Inner => dd[at],
                };
                for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += match op.kind {
                        PairwiseKind::L1 if a > b => scale,
                        PairwiseKind::L1 if a < b => -scale,
                        PairwiseKind::L1 => zero,
                        PairwiseKind::Inner => scale * b,
                        _ => scale * (a - b),
                    };
                }
            }
            put(dx, &sums, op.accumulate);
        }
    }
}

/// Sums along features in 16 lanes; the way back has lanes of its own already.
pub mod fast {
    use super::{Pairwise, PairwiseKind, distance, term};
    use crate::cpu::Io;
    use crate::cpu::simd::{self, Kernel, Lanes, Simd};
    use crate::ops::INTERLEAVE;

    pub use super::reference::backward;

    struct Forward<'a> {
        op: &'a Pairwise,
        x: &'a [f32],
        y: &'a [f32],
        d: &'a mut [f32],
    }

    impl Forward<'_> {
        #[inline(always)]
        fn of(self, kind: PairwiseKind) {
            let Forward { op, x, y, d } = self;
            let features = op.features as usize;
            for (d, a) in d.chunks_exact_mut(op.columns as usize).zip(x.chunks_exact(features)) {
                let (a, a_rest) = a.as_chunks::<INTERLEAVE>();
                for (d, b) in d.iter_mut().zip(y.chunks_exact(features)) {
                    let (b, b_rest) = b.as_chunks::<INTERLEAVE>();
                    let mut sums: Lanes = [0.0; INTERLEAVE];
                    for (a, b) in a.iter().zip(b) {
                        for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                            *sum += term(kind, a, b);
                        }
                    }
                    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(kind, a, b)).sum();
                    *d = distance(op, sums.iter().sum::<f32>() + rest);
                }
            }
        }
    }

    impl Kernel for Forward<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            match self.op.kind {
                PairwiseKind::Euclidean | PairwiseKind::Squared => self.of(PairwiseKind::Squared),
                PairwiseKind::L1 => self.of(PairwiseKind::L1),
                PairwiseKind::Inner => self.of(PairwiseKind::Inner),
            }
        }
    }

    pub fn forward(op: &Pairwise, io: &mut Io<'_, f32>) {
        let (x, y, d) = (io.read("x"), io.read("y"), io.write("d"));
        simd::dispatch(Forward { op, x, y, d });
    }
}
