//! Matrix products on the CPU.

use crate::ops::matmul::Matmul;

impl Matmul {
    /// Strides of `a` along rows and inner, and of `b` along inner and columns.
    fn strides(&self) -> [usize; 4] {
        let [rows, inner, columns] = [self.rows, self.inner, self.columns].map(|size| size as usize);
        let [a_row, a_inner] = if self.transpose_a { [1, rows] } else { [inner, 1] };
        let [b_inner, b_column] = if self.transpose_b { [1, inner] } else { [columns, 1] };
        [a_row, a_inner, b_inner, b_column]
    }
}

/// Plain loops.
pub mod reference {
    use super::Matmul;
    use crate::cpu::{Io, Real, put};

    pub fn forward<T: Real>(op: &Matmul, io: &mut Io<'_, T>) {
        let (a, b, c) = (io.read("a"), io.read("b"), io.write("c"));
        let [rows, inner, columns] = [op.rows, op.inner, op.columns].map(|size| size as usize);
        let [a_row, a_inner, b_inner, b_column] = op.strides();
        let pairs = a.chunks_exact(rows * inner).zip(b.chunks_exact(inner * columns));
        for ((a, b), c) in pairs.zip(c.chunks_exact_mut(rows * columns)) {
            for (i, row) in c.chunks_exact_mut(columns).enumerate() {
                let sum = |j: usize| {
                    (0..inner).fold(T::of(0.0), |sum, k| {
                        sum + a[i * a_row + k * a_inner] * b[k * b_inner + j * b_column]
                    })
                };
                put(row, &(0..columns).map(sum).collect::<Vec<T>>(), op.accumulate);
            }
        }
    }
}

/// A row of `c` is a sum of rows of `op(b)`, which are made one behind the other first.
pub mod fast {
    use std::borrow::Cow;

    use super::Matmul;
    use crate::cpu::simd::{self, Kernel, Simd};
    use crate::cpu::{Io, put};

    /// Adds to four rows of `c` products with rows of `b`, each of which is read once for the four.
    struct Rows<'a> {
        /// [4, inner]
        a: &'a [f32],
        b: &'a [f32],
        /// [4, columns]
        c: &'a mut [f32],
        columns: usize,
    }

    impl Kernel for Rows<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            let Rows { a, b, c, columns } = self;
            let (c0, rest) = c.split_at_mut(columns);
            let (c1, rest) = rest.split_at_mut(columns);
            let (c2, c3) = rest.split_at_mut(columns);
            for (k, b) in b.chunks_exact(columns).enumerate() {
                let [a0, a1, a2, a3] = [0, 1, 2, 3].map(|row| a[row * a.len() / 4 + k]);
                let results = c0.iter_mut().zip(&mut *c1).zip(&mut *c2).zip(&mut *c3);
                for ((((c0, c1), c2), c3), &b) in results.zip(b) {
                    *c0 += a0 * b;
                    *c1 += a1 * b;
                    *c2 += a2 * b;
                    *c3 += a3 * b;
                }
            }
        }
    }

    pub fn forward(op: &Matmul, io: &mut Io<'_, f32>) {
        let (a, b, c) = (io.read("a"), io.read("b"), io.write("c"));
        let [rows, inner, columns] = [op.rows, op.inner, op.columns].map(|size| size as usize);
        let [a_row, a_inner, b_inner, b_column] = op.strides();
        let (mut four, mut sums) = (vec![0.0; 4 * inner], vec![0.0; 4 * columns]);
        let pairs = a.chunks_exact(rows * inner).zip(b.chunks_exact(inner * columns));
        for ((a, b), c) in pairs.zip(c.chunks_exact_mut(rows * columns)) {
            let b = if op.transpose_b {
                let of = |at: usize| b[at / columns * b_inner + at % columns * b_column];
                Cow::Owned((0..b.len()).map(of).collect())
            } else {
                Cow::Borrowed(b)
            };
            for (block, c) in c.chunks_mut(4 * columns).enumerate() {
                // Rows behind the last one repeat it.
                for (at, value) in four.iter_mut().enumerate() {
                    let row = (4 * block + at / inner).min(rows - 1);
                    *value = a[row * a_row + at % inner * a_inner];
                }
                sums.fill(0.0);
                simd::dispatch(Rows { a: &four, b: &b, c: &mut sums, columns });
                put(c, &sums, op.accumulate);
            }
        }
    }
}
