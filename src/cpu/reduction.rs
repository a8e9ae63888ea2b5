//! Reductions of one axis on the CPU.

/// Plain loops.
pub mod reference {
    use crate::cpu::{Io, Real, put};
    use crate::ops::reduction::{AxisReduction, Reduction};

    /// Place of the first of the most extreme elements, or of the first NaN.
    fn extreme<T: Real>(values: impl Iterator<Item = T>, smallest: bool) -> (usize, T) {
        let precedes =
            |value: T, best: T| value.is_nan() || if smallest { value < best } else { value > best };
        let first = |best: (usize, T), next: (usize, T)| {
            if !best.1.is_nan() && precedes(next.1, best.1) { next } else { best }
        };
        values.enumerate().reduce(first).unwrap_or((0, T::of(0.0)))
    }

    fn sum<T: Real>(values: impl Iterator<Item = T>) -> T {
        values.fold(T::of(0.0), |sum, value| sum + value)
    }

    fn of_axis<T: Real>(op: &AxisReduction, values: impl Iterator<Item = T> + Clone) -> T {
        let smallest = matches!(op.kind, Reduction::Min | Reduction::ArgMin);
        match op.kind {
            Reduction::Sum => sum(values),
            Reduction::Mean => sum(values) / T::of(op.axis as f32),
            Reduction::Max | Reduction::Min => extreme(values, smallest).1,
            Reduction::LogSumExp => {
                let (_, largest) = extreme(values.clone(), smallest);
                largest + sum(values.map(|value| (value - largest).exp())).ln()
            }
            Reduction::ArgMax | Reduction::ArgMin => T::of(extreme(values, smallest).0 as f32),
        }
    }

    pub fn forward<T: Real>(op: &AxisReduction, io: &mut Io<'_, T>) {
        let (axis, inner) = (op.axis as usize, op.inner as usize);
        let of_plane = |plane: &[T]| -> Vec<T> {
            (0..inner).map(|i| of_axis(op, plane[i..].iter().step_by(inner).copied())).collect()
        };
        let results: Vec<T> = io.read("x").chunks_exact(axis * inner).flat_map(of_plane).collect();
        put(io.write("y"), &results, op.accumulate);
    }

    pub use forward as forward_wide;

    pub fn backward<T: Real>(op: &AxisReduction, io: &mut Io<'_, T>) {
        let (x, y, dy, dx) = (io.read("x"), io.read("result"), io.read("dy"), io.write("dx"));
        let (axis, inner) = (op.axis as usize, op.inner as usize);
        for n in 0..dy.len() {
            let places = (0..axis).map(|e| n / inner * axis * inner + n % inner + e * inner);
            let (first, _) = extreme(places.clone().map(|at| x[at]), op.kind == Reduction::Min);
            for (e, at) in places.enumerate() {
                let slope = match op.kind {
                    Reduction::Sum => T::of(1.0),
                    Reduction::Mean => T::of(1.0) / T::of(op.axis as f32),
                    Reduction::Max | Reduction::Min if e == first => T::of(1.0),
                    Reduction::LogSumExp => (x[at] - y[n]).exp(),
                    _ => T::of(0.0),
                };
                put(&mut dx[at..=at], &[dy[n] * slope], op.accumulate);
            }
        }
    }
}

/// Rows of matrices of pairs: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward, forward, forward_wide};
}
