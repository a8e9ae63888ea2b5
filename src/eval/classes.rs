//! Class accuracy of embeddings: which class an image is of, told by where it lies among the training
//! images. Another measure than pair accuracy, and never to be set beside it in one column.

use std::collections::HashSet;

use rayon::prelude::*;

use super::Embeddings;
use crate::cpu::simd;

/// Neighbours that vote.
pub const NEIGHBOURS: usize = 5;

/// Test images whose class is told rightly, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassMetrics {
    /// By the nearest mean of a class's training embeddings.
    pub centroid: f64,
    /// By vote of the [`NEIGHBOURS`] nearest training embeddings.
    pub knn: f64,
}

/// What embeddings of labelled images tell about the classes of others. Lists of labels are as long as
/// their embeddings. `None` without images, where some test image is of a class that was never trained, which none
/// can name, and where `go_on` answered false; it is asked now and then, with the share of the work that is done.
pub fn metrics(
    (train, train_labels): (&Embeddings, &[u32]),
    (test, test_labels): (&Embeddings, &[u32]),
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Option<ClassMetrics> {
    let known: HashSet<&u32> = train_labels.iter().collect();
    if train.is_empty() || test.is_empty() || !test_labels.iter().all(|label| known.contains(label)) {
        return None;
    }
    let share = |told: Vec<u32>| {
        let right = told.iter().zip(test_labels).filter(|(told, label)| told == label).count();
        100.0 * right as f64 / test_labels.len().max(1) as f64
    };
    Some(ClassMetrics {
        centroid: share(by_centroid(train, train_labels, test)),
        knn: share(by_neighbours(train, train_labels, test, go_on)?),
    })
}

/// The class with the nearest mean, of equally near ones the first.
fn by_centroid(train: &Embeddings, labels: &[u32], test: &Embeddings) -> Vec<u32> {
    let classes = labels.iter().max().map_or(0, |&largest| largest as usize + 1);
    let mut sums = vec![vec![0.0; train.width]; classes];
    let mut counts = vec![0u32; classes];
    for (row, &label) in train.rows().zip(labels) {
        counts[label as usize] += 1;
        for (sum, &value) in sums[label as usize].iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    let centroids: Vec<(u32, Vec<f64>)> = sums
        .into_iter()
        .zip(counts)
        .enumerate()
        .filter(|(_, (_, count))| *count > 0)
        .map(|(class, (sum, count))| (class as u32, sum.into_iter().map(|s| s / f64::from(count)).collect()))
        .collect();
    let nearest = |row: &[f32]| {
        let distance = |centroid: &[f64]| -> f64 {
            centroid.iter().zip(row).map(|(c, &value)| (c - f64::from(value)).powi(2)).sum()
        };
        let distances = centroids.iter().map(|(class, centroid)| (*class, distance(centroid)));
        distances.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(class, _)| class)
    };
    test.values.par_chunks(test.width.max(1)).map(nearest).collect()
}

/// Training vectors side by side: what one register holds of each.
const LANES: usize = 16;
/// Test vectors that share a load of them.
const TOGETHER: usize = 2;

/// Differences of values between two looks at whether to go on: some tenths of a second.
const BETWEEN_LOOKS: usize = 1 << 28;

/// Squared distance and position of a training vector.
type Neighbour = (f32, u32);

/// The class that most of the nearest training vectors are of; of equally frequent ones that with the
/// nearest of them.
fn by_neighbours(
    train: &Embeddings,
    labels: &[u32],
    test: &Embeddings,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Option<Vec<u32>> {
    let width = train.width;
    // Value by value, 16 vectors at a time, so that a distance needs no sum across a register.
    let tiles: Vec<Vec<[f32; LANES]>> = train
        .values
        .par_chunks(LANES * width)
        .map(|rows| {
            let mut tile = vec![[0.0; LANES]; width];
            for (lane, row) in rows.chunks_exact(width).enumerate() {
                tile.iter_mut().zip(row).for_each(|(values, &value)| values[lane] = value);
            }
            tile
        })
        .collect();
    let pair = |queries: &[f32]| {
        let mut nearest = [[(f32::INFINITY, u32::MAX); NEIGHBOURS]; TOGETHER];
        // The last one may stand alone, and is then its own companion.
        let first = &queries[..width];
        let second = if queries.len() > width { &queries[width..] } else { first };
        let queries_here = queries.len() / width;
        simd::dispatch(Search {
            queries: [first, second],
            tiles: &tiles,
            count: labels.len(),
            nearest: &mut nearest,
        });
        nearest.map(|nearest| vote(&nearest, labels)).into_iter().take(queries_here)
    };
    let rows = (BETWEEN_LOOKS / train.values.len().max(1)).max(1) * TOGETHER;
    let mut told = Vec::with_capacity(test.len());
    for block in test.values.chunks(rows * width) {
        if !go_on(told.len() as f64 / test.len() as f64) {
            return None;
        }
        told.par_extend(block.par_chunks(TOGETHER * width).flat_map_iter(pair));
    }
    Some(told)
}

/// Test vectors on their way along all training vectors.
struct Search<'a> {
    queries: [&'a [f32]; TOGETHER],
    tiles: &'a [Vec<[f32; LANES]>],
    /// Training vectors; the last tile may have room for more.
    count: usize,
    nearest: &'a mut [[Neighbour; NEIGHBOURS]; TOGETHER],
}

impl simd::Kernel for Search<'_> {
    // Plain loops, which the compiler turns into the vectors of whichever instruction set it is
    // inlined for; nothing is reassociated, so all give the same bits.
    #[inline(always)]
    fn run<S: simd::Simd>(self) {
        for (number, tile) in self.tiles.iter().enumerate() {
            let start = number * LANES;
            let valid = (self.count - start).min(LANES);
            let distances = distances(self.queries, tile);
            for (nearest, distances) in self.nearest.iter_mut().zip(&distances) {
                for (lane, &distance) in distances[..valid].iter().enumerate() {
                    if distance < nearest[NEIGHBOURS - 1].0 {
                        insert(nearest, (distance, (start + lane) as u32));
                    }
                }
            }
        }
    }
}

/// Squared distances of each query to each vector of a tile.
#[inline(always)]
fn distances(queries: [&[f32]; TOGETHER], tile: &[[f32; LANES]]) -> [[f32; LANES]; TOGETHER] {
    let mut sums = [[0.0; LANES]; TOGETHER];
    let [first, second] = queries;
    for ((values, a), b) in tile.iter().zip(first).zip(second) {
        for lane in 0..LANES {
            let (x, y) = (values[lane] - a, values[lane] - b);
            sums[0][lane] += x * x;
            sums[1][lane] += y * y;
        }
    }
    sums
}

/// Puts a neighbour at its place, behind equally near ones; the last one drops out.
fn insert(nearest: &mut [Neighbour; NEIGHBOURS], new: Neighbour) {
    let mut at = NEIGHBOURS - 1;
    while at > 0 && nearest[at - 1].0 > new.0 {
        nearest[at] = nearest[at - 1];
        at -= 1;
    }
    nearest[at] = new;
}

fn vote(nearest: &[Neighbour; NEIGHBOURS], labels: &[u32]) -> u32 {
    let voters: Vec<u32> =
        nearest.iter().filter_map(|&(_, position)| labels.get(position as usize).copied()).collect();
    let votes = |label: u32| voters.iter().filter(|&&voter| voter == label).count();
    // The first of the most frequent: voters stand by distance.
    let mut best = voters.first().copied().unwrap_or(0);
    for &label in &voters {
        if votes(label) > votes(best) {
            best = label;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Random, Stream};
    use proptest::prelude::*;

    fn line(values: &[f32]) -> Embeddings {
        Embeddings { width: 1, values: values.to_vec() }
    }

    fn told(train: &Embeddings, labels: &[u32], test: &Embeddings) -> Vec<u32> {
        by_neighbours(train, labels, test, &mut |_| true).unwrap()
    }

    #[test]
    fn classes_by_hand() {
        // Class 0 around 0 with one far out, class 2 around 10; their means are 6 and 10.
        let train = line(&[0.0, 1.0, -1.0, 24.0, 9.0, 10.0, 11.0]);
        let labels = [0, 0, 0, 0, 2, 2, 2];
        let test = line(&[0.5, 7.9, 8.1, 5.0, 24.0]);
        assert_eq!(by_centroid(&train, &labels, &test), [0, 0, 2, 0, 2]);
        // The five nearest to 5: 1, 9, 0, 10 and, of -1 and 11 alike, the earlier.
        assert_eq!(told(&train, &labels, &test), [0, 2, 2, 0, 2]);
        let found = metrics((&train, &labels), (&test, &[0, 0, 2, 0, 0]), &mut |_| true).unwrap();
        assert_eq!((found.centroid, found.knn), (80.0, 60.0));
    }

    #[test]
    fn fewer_vectors_than_neighbours_all_vote() {
        let train = line(&[1.0, 2.0, 30.0]);
        assert_eq!(told(&train, &[4, 7, 7], &line(&[0.0])), [7]);
        assert_eq!(told(&train, &[4, 7, 9], &line(&[0.0, 2.0])), [4, 7], "the nearest decides a tie");
    }

    #[test]
    fn what_cannot_be_told_has_no_figure() {
        let (train, none) = (line(&[1.0, 2.0, 30.0]), line(&[]));
        assert_eq!(metrics((&none, &[]), (&train, &[1, 1, 1]), &mut |_| true), None);
        let asked = |labels: &[u32], go_on| {
            metrics((&train, &[4, 7, 9]), (&line(&[0.0, 2.0]), labels), &mut |_| go_on)
        };
        assert!(asked(&[4, 9], true).is_some());
        assert_eq!(
            (asked(&[4, 8], true), asked(&[4, 9], false)),
            (None, None),
            "never trained; told to stop"
        );
    }

    proptest! {
        #[test]
        fn neighbours_are_those_of_a_sorted_list(
            train in 1usize..70, test in 1usize..6, width in 1usize..7, seed: u64,
        ) {
            let mut random = Random::new(seed, Stream::Parity, 0, 0);
            // Few values, so that distances tie; small whole numbers, so that sums are exact.
            let mut make = |rows: usize| {
                let values = (0..rows * width).map(|_| random.below(4) as f32).collect();
                Embeddings { width, values }
            };
            let (train, test) = (make(train), make(test));
            let labels: Vec<u32> = train.rows().map(|_| random.below(3)).collect();
            let expected: Vec<u32> = test
                .rows()
                .map(|query| {
                    let mut all: Vec<(u32, u32)> = train
                        .rows()
                        .zip(&labels)
                        .map(|(row, &label)| {
                            (row.iter().zip(query).map(|(a, b)| ((a - b) * (a - b)) as u32).sum(), label)
                        })
                        .collect();
                    all.sort_by_key(|(distance, _)| *distance);
                    all.truncate(5);
                    let votes = |label| all.iter().filter(|(_, other)| *other == label).count();
                    let most = all.iter().map(|(_, label)| votes(*label)).max().unwrap();
                    all.iter().find(|(_, label)| votes(*label) == most).unwrap().1
                })
                .collect();
            prop_assert_eq!(told(&train, &labels, &test), expected);
        }
    }
}
