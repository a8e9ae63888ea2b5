//! Rows to length 1, on the CPU.

/// Plain loops.
pub mod reference {
    use crate::cpu::{Io, Real, put};
    use crate::ops::normalize::Normalize;

    fn dot<T: Real>(a: &[T], b: &[T]) -> T {
        a.iter().zip(b).fold(T::of(0.0), |sum, (&a, &b)| sum + a * b)
    }

    /// Squared length of a row, and whether it is as short as the floor.
    fn squares<T: Real>(op: &Normalize, x: &[T]) -> (T, bool) {
        let squares = dot(x, x);
        (squares, squares <= T::of(op.floor) * T::of(op.floor))
    }

    pub fn forward<T: Real>(op: &Normalize, io: &mut Io<'_, T>) {
        let features = op.features as usize;
        for (x, y) in io.read("x").chunks_exact(features).zip(io.write("y").chunks_exact_mut(features)) {
            let (squares, short) = squares(op, x);
            let size = if short { T::of(op.floor) } else { squares.sqrt() };
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x / size);
        }
    }

    pub fn backward<T: Real>(op: &Normalize, io: &mut Io<'_, T>) {
        let (x, dy, features) = (io.read("x"), io.read("dy"), op.features as usize);
        let rows = x.chunks_exact(features).zip(dy.chunks_exact(features));
        for ((x, dy), dx) in rows.zip(io.write("dx").chunks_exact_mut(features)) {
            let (squares, short) = squares(op, x);
            let size = squares.sqrt();
            let gradient = |(&x, &dy): (&T, &T), along: T| (dy - x / size * along) / size;
            let gradients: Vec<T> = if short {
                vec![T::of(0.0); features]
            } else {
                let along = dot(x, dy) / size;
                x.iter().zip(dy).map(|pair| gradient(pair, along)).collect()
            };
            put(dx, &gradients, op.accumulate);
        }
    }
}

/// A few numbers a row: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward, forward};
}
