//! Embeddings in two dimensions: principal component analysis, a linear map, so that what lies apart
//! in the picture lies apart in the embedding too (the opposite need not hold).

use super::Embeddings;

/// Vectors on their two directions of largest variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    pub points: Vec<[f64; 2]>,
    /// Class of each point.
    pub labels: Vec<u32>,
    /// Shares of the whole variance that the two directions have, 0 to 1.
    pub shares: [f64; 2],
}

/// Most sweeps over all elements; ten are plenty for a matrix of some hundred rows.
const SWEEPS: usize = 50;

/// Projects vectors, of which there must be two at least, and two values in each. A direction's sign
/// is such that its largest component is positive.
///
/// Source: K. Pearson (1901); eigenvectors by cyclic Jacobi rotations, Golub and Van Loan, *Matrix
/// Computations*, 8.5.
pub fn project(embeddings: &Embeddings, labels: &[u32]) -> Option<Projection> {
    let (width, count) = (embeddings.width, embeddings.len());
    if width < 2 || count < 2 || embeddings.values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut mean = vec![0.0; width];
    for row in embeddings.rows() {
        mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    mean.iter_mut().for_each(|sum| *sum /= count as f64);
    let centred =
        |row: &[f32]| -> Vec<f64> { row.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m).collect() };
    let mut covariance = vec![vec![0.0; width]; width];
    for row in embeddings.rows() {
        let row = centred(row);
        for (sums, &a) in covariance.iter_mut().zip(&row) {
            sums.iter_mut().zip(&row).for_each(|(sum, &b)| *sum += a * b);
        }
    }
    let total: f64 = (0..width).map(|at| covariance[at][at]).sum();
    let (values, vectors) = eigen(covariance);
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let axes = [order[0], order[1]].map(|axis| {
        let vector: Vec<f64> = vectors.iter().map(|row| row[axis]).collect();
        let largest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
        vector.into_iter().map(|value| value * largest.signum()).collect::<Vec<f64>>()
    });
    let share = |axis: usize| if total > 0.0 { (values[axis] / total).clamp(0.0, 1.0) } else { 0.0 };
    let place = |row: &[f32]| {
        let row = centred(row);
        axes.each_ref().map(|axis| axis.iter().zip(&row).map(|(a, b)| a * b).sum())
    };
    Some(Projection {
        points: embeddings.rows().map(place).collect(),
        labels: labels.to_vec(),
        shares: [share(order[0]), share(order[1])],
    })
}

/// Eigenvalues of a symmetric matrix, and a matrix whose columns are their vectors.
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let size: f64 = a.iter().flatten().map(|value| value * value).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum();
        if off <= 1e-24 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    ((0..n).map(|at| a[at][at]).collect(), vectors)
}

/// Turns the plane of `p` and `q` so that their common element becomes 0.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    // The smaller of both angles; a tau whose square overflows asks for none.
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    let turn = |row: &mut Vec<f64>| (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    a.iter_mut().for_each(turn);
    let (before, from) = a.split_at_mut(q);
    for (x, y) in before[p].iter_mut().zip(&mut from[0]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
    vectors.iter_mut().for_each(turn);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Random, Stream};

    #[test]
    fn directions_by_hand() {
        // On a line of slope 3/4 in the plane of the second and third value, and a little beside it.
        let row = |along: f32, beside: f32| [1.0, 0.8 * along - 0.6 * beside, 0.6 * along + 0.8 * beside];
        let values = [row(-10.0, 0.0), row(10.0, 0.0), row(0.0, 1.0), row(0.0, -1.0)].concat();
        let found = project(&Embeddings { width: 3, values }, &[0, 1, 2, 3]).unwrap();
        for (point, expected) in found.points.iter().zip([[-10.0, 0.0], [10.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        {
            assert!(
                (point[0] - expected[0]).abs() < 1e-5 && (point[1] - expected[1]).abs() < 1e-5,
                "{point:?}"
            );
        }
        assert!(
            (found.shares[0] - 200.0 / 202.0).abs() < 1e-6 && (found.shares[1] - 2.0 / 202.0).abs() < 1e-6
        );
    }

    #[test]
    fn eigenvectors_are_those_of_the_matrix() {
        let n = 84;
        let mut random = Random::new(3, Stream::Parity, 0, 0);
        let rows: Vec<Vec<f64>> =
            (0..n).map(|_| (0..n).map(|_| f64::from(random.normal())).collect()).collect();
        let matrix: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| rows[k][i] * rows[k][j]).sum()).collect()).collect();
        let (values, vectors) = eigen(matrix.clone());
        let largest = values.iter().copied().fold(0.0, f64::max);
        for (axis, value) in values.iter().enumerate() {
            for (row, vector_row) in matrix.iter().zip(&vectors) {
                let product: f64 = row.iter().zip(&vectors).map(|(a, v)| a * v[axis]).sum();
                assert!((product - value * vector_row[axis]).abs() < 1e-9 * largest, "axis {axis}");
            }
            let length: f64 = vectors.iter().map(|row| row[axis] * row[axis]).sum();
            assert!((length - 1.0).abs() < 1e-9, "axis {axis}");
        }
    }

    #[test]
    fn what_has_no_two_directions_is_not_projected() {
        assert_eq!(project(&Embeddings { width: 1, values: vec![1.0, 2.0] }, &[0, 0]), None);
        assert_eq!(project(&Embeddings { width: 2, values: vec![1.0, 2.0] }, &[0]), None);
        assert_eq!(project(&Embeddings { width: 2, values: vec![f32::NAN; 4] }, &[0, 0]), None);
        // All in one place: no variance, no direction, but no NaN either.
        let still = project(&Embeddings { width: 2, values: vec![1.0; 6] }, &[0, 0, 0]).unwrap();
        assert_eq!((still.points, still.shares), (vec![[0.0; 2]; 3], [0.0; 2]));
    }
}
