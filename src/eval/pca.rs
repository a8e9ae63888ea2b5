//! Embeddings in two dimensions: principal component analysis, a linear map, so that what lies apart
//! in the picture lies apart in the embedding too (the opposite need not hold).

use rayon::prelude::*;

use super::Embeddings;
use crate::data::{Random, Stream};

/// Vectors on their two directions of largest variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    pub points: Vec<[f64; 2]>,
    /// Class of each point.
    pub labels: Vec<u32>,
    /// Shares of the whole variance that the two directions have, 0 to 1.
    pub shares: [f64; 2],
}

/// Most sweeps over all elements; ten are plenty for a matrix of some rows.
const SWEEPS: usize = 50;

/// Directions that are followed together: the more, the sooner the first two stand still.
const DIRECTIONS: usize = 8;

/// The largest two variances have come to rest where they grow by less than this share in a round. Each round adds to
/// them, so what is missing then is about as little.
const AT_REST: f64 = 1e-9;

/// Most rounds, and most products of them all: some seconds. What is not at rest by then is near enough to look at.
const ROUNDS: usize = 100;
const PRODUCTS: usize = 1 << 34;

/// Vectors that a task takes.
const ROWS: usize = 128;

/// Vectors by their directions of largest variance: `[value][direction]`.
type Axes = Vec<[f64; DIRECTIONS]>;

/// Projects vectors, of which there must be two at least, and two values in each. A direction's sign
/// is such that its largest component is positive. `None` also where `go_on` answered false; it is asked now and then,
/// with the share of the work that is done.
///
/// Time grows with the values of all vectors, not with the square of a vector's: a block of directions is multiplied by
/// the covariance without ever making that, until the first two stand still.
///
/// Source: K. Pearson (1901); subspace iteration with Rayleigh-Ritz, B. Parlett, *The Symmetric Eigenvalue Problem*,
/// 14.4, from random directions (N. Halko, P. Martinsson and J. Tropp, 2011); small matrices by cyclic Jacobi
/// rotations, Golub and Van Loan, *Matrix Computations*, 8.5.
pub fn project(
    embeddings: &Embeddings,
    labels: &[u32],
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Option<Projection> {
    let (width, count) = (embeddings.width, embeddings.len());
    if width < 2 || count < 2 || embeddings.values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut mean = vec![0.0; width];
    for row in embeddings.rows() {
        mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    mean.iter_mut().for_each(|sum| *sum /= count as f64);
    let total: f64 = embeddings
        .rows()
        .map(|row| row.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m).powi(2)).sum::<f64>())
        .sum();
    let mut random = Random::new(0, Stream::Projection, 0, 0);
    let mut axes: Axes = (0..width).map(|_| std::array::from_fn(|_| f64::from(random.normal()))).collect();
    let products = 2 * width * count * DIRECTIONS;
    let rounds = (PRODUCTS / products).clamp(4, ROUNDS);
    let mut variances = [0.0; DIRECTIONS];
    for round in 0..rounds {
        if !go_on(round as f64 / rounds as f64) {
            return None;
        }
        orthonormalize(&mut axes);
        let (gram, image) = multiplied(embeddings, &mean, &axes);
        // The best directions within the block, and where the covariance takes them.
        let (values, vectors) = eigen(gram.iter().map(|row| row.to_vec()).collect());
        let mut order: Vec<usize> = (0..DIRECTIONS).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let turned = |rows: &Axes| -> Axes {
            let turn = |row: &[f64; DIRECTIONS]| {
                std::array::from_fn(|axis| row.iter().zip(&vectors).map(|(v, u)| v * u[order[axis]]).sum())
            };
            rows.iter().map(turn).collect()
        };
        let found: [f64; DIRECTIONS] = std::array::from_fn(|axis| values[order[axis]]);
        let rests = (0..2).all(|axis| found[axis] - variances[axis] <= AT_REST * found[0]);
        variances = found;
        if rests || round + 1 == rounds {
            axes = turned(&axes);
            break;
        }
        axes = turned(&image);
    }
    let signs: [f64; 2] = std::array::from_fn(|axis| {
        let largest = axes.iter().map(|row| row[axis]).max_by(|a, b| a.abs().total_cmp(&b.abs()));
        if largest.unwrap_or(1.0) < 0.0 { -1.0 } else { 1.0 }
    });
    let place = |row: &[f32]| {
        let along = centred(row, &mean)
            .zip(&axes)
            .fold([0.0; 2], |[x, y], (v, axes)| [x + v * axes[0], y + v * axes[1]]);
        [along[0] * signs[0], along[1] * signs[1]]
    };
    let share = |axis: usize| if total > 0.0 { (variances[axis] / total).clamp(0.0, 1.0) } else { 0.0 };
    Some(Projection {
        points: embeddings.rows().map(place).collect(),
        labels: labels.to_vec(),
        shares: [share(0), share(1)],
    })
}

fn centred<'a>(row: &'a [f32], mean: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    row.iter().zip(mean).map(|(&value, mean)| f64::from(value) - mean)
}

/// Of vectors X with their mean subtracted and directions V: (X V)' (X V) and X' (X V).
fn multiplied(embeddings: &Embeddings, mean: &[f64], axes: &Axes) -> ([[f64; DIRECTIONS]; DIRECTIONS], Axes) {
    let of_rows = |rows: &[f32]| {
        let (mut gram, mut image) = ([[0.0; DIRECTIONS]; DIRECTIONS], vec![[0.0; DIRECTIONS]; axes.len()]);
        for row in rows.chunks_exact(embeddings.width) {
            let mut along = [0.0; DIRECTIONS];
            for (v, axes) in centred(row, mean).zip(axes) {
                along.iter_mut().zip(axes).for_each(|(sum, axis)| *sum += v * axis);
            }
            for (sums, a) in gram.iter_mut().zip(along) {
                sums.iter_mut().zip(along).for_each(|(sum, b)| *sum += a * b);
            }
            for (v, sums) in centred(row, mean).zip(&mut image) {
                sums.iter_mut().zip(along).for_each(|(sum, a)| *sum += v * a);
            }
        }
        (gram, image)
    };
    // Added up in order, so that as many threads as there are give the same bits.
    let parts: Vec<_> = embeddings.values.par_chunks(ROWS * embeddings.width).map(of_rows).collect();
    let add = |sums: &mut [[f64; DIRECTIONS]], parts: &[[f64; DIRECTIONS]]| {
        sums.as_flattened_mut().iter_mut().zip(parts.as_flattened()).for_each(|(sum, part)| *sum += part);
    };
    let mut parts = parts.into_iter();
    let mut sums = parts.next().unwrap_or_default();
    for (gram, image) in parts {
        add(&mut sums.0, &gram);
        add(&mut sums.1, &image);
    }
    sums
}

/// Makes directions stand upright on each other, each of length 1 or, where nothing is left of it, 0.
fn orthonormalize(axes: &mut Axes) {
    // Twice is enough (Parlett, 6.9).
    for axis in (0..DIRECTIONS).flat_map(|axis| [axis; 2]) {
        let length = |axes: &Axes| axes.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt();
        let before = length(axes);
        for other in 0..axis {
            let along: f64 = axes.iter().map(|row| row[axis] * row[other]).sum();
            axes.iter_mut().for_each(|row| row[axis] -= along * row[other]);
        }
        let left = length(axes);
        let scale = if left > 1e-12 * before { 1.0 / left } else { 0.0 };
        axes.iter_mut().for_each(|row| row[axis] *= scale);
    }
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

    #[test]
    fn directions_by_hand() {
        // On a line of slope 3/4 in the plane of the second and third value, and a little beside it.
        let row = |along: f32, beside: f32| [1.0, 0.8 * along - 0.6 * beside, 0.6 * along + 0.8 * beside];
        let values = [row(-10.0, 0.0), row(10.0, 0.0), row(0.0, 1.0), row(0.0, -1.0)].concat();
        let found = project(&Embeddings { width: 3, values }, &[0, 1, 2, 3], &mut |_| true).unwrap();
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

    /// Against all eigenvectors of the covariance, wider than long and longer than wide.
    #[test]
    fn projections_are_those_of_the_dense_decomposition() {
        let mut random = Random::new(5, Stream::Parity, 0, 0);
        for (width, count) in [(3, 200), (40, 300), (300, 37), (84, 2)] {
            // Variances that fall, some alike.
            let scales: Vec<f32> = (0..width).map(|at| 3.0 / (1.0 + (at / 2) as f32)).collect();
            let values: Vec<f32> = (0..count)
                .flat_map(|_| scales.iter().map(|s| 5.0 + s * random.normal()).collect::<Vec<_>>())
                .collect();
            let embeddings = Embeddings { width, values };
            let found = project(&embeddings, &vec![0; count], &mut |_| true).unwrap();
            let mean: Vec<f64> = (0..width)
                .map(|at| embeddings.rows().map(|row| f64::from(row[at])).sum::<f64>() / count as f64)
                .collect();
            let mut covariance = vec![vec![0.0; width]; width];
            for row in embeddings.rows() {
                let row: Vec<f64> = centred(row, &mean).collect();
                for (sums, a) in covariance.iter_mut().zip(&row) {
                    sums.iter_mut().zip(&row).for_each(|(sum, b)| *sum += a * b);
                }
            }
            let total: f64 = (0..width).map(|at| covariance[at][at]).sum();
            let (values, _) = eigen(covariance);
            let mut values: Vec<f64> = values;
            values.sort_by(|a, b| b.total_cmp(a));
            for axis in 0..2 {
                let along: f64 = found.points.iter().map(|point| point[axis] * point[axis]).sum();
                assert!(
                    (along - values[axis]).abs() < 1e-6 * values[0],
                    "{width} x {count}: {along}, not {}",
                    values[axis]
                );
                assert!((found.shares[axis] - values[axis] / total).abs() < 1e-6);
            }
            let crossed: f64 = found.points.iter().map(|[x, y]| x * y).sum();
            assert!(crossed.abs() < 1e-6 * values[0], "directions lean on each other");
        }
    }

    /// As wide as SiRCNN's: a second or two, not the minutes of the dense decomposition; and whoever says stop is heard.
    #[test]
    fn wide_embeddings_take_no_minutes() {
        let (width, count) = (25_088, 100);
        let mut random = Random::new(1, Stream::Parity, 0, 0);
        let values: Vec<f32> = (0..width * count).map(|_| random.below(1000) as f32).collect();
        let embeddings = Embeddings { width, values };
        let start = std::time::Instant::now();
        assert!(project(&embeddings, &vec![0; count], &mut |share| share < 0.01).is_none());
        assert!(project(&embeddings, &vec![0; count], &mut |_| true).is_some());
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }

    #[test]
    fn what_has_no_two_directions_is_not_projected() {
        assert_eq!(project(&Embeddings { width: 1, values: vec![1.0, 2.0] }, &[0, 0], &mut |_| true), None);
        assert_eq!(project(&Embeddings { width: 2, values: vec![1.0, 2.0] }, &[0], &mut |_| true), None);
        assert_eq!(
            project(&Embeddings { width: 2, values: vec![f32::NAN; 4] }, &[0, 0], &mut |_| true),
            None
        );
        // All in one place: no variance, no direction, but no NaN either.
        let still =
            project(&Embeddings { width: 2, values: vec![1.0; 6] }, &[0, 0, 0], &mut |_| true).unwrap();
        assert_eq!((still.points, still.shares), (vec![[0.0; 2]; 3], [0.0; 2]));
    }
}
