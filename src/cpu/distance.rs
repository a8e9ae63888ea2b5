//! Distances between the embeddings of pairs, on the CPU.

use super::{Io, Real};
use crate::ops::Layout;
use crate::ops::distance::{Distance, DistanceKind};

fn forward<T: Real>(distance: &Distance, io: &mut Io<'_, T>, layout: Layout) {
    let (x, y) = (io.read("x"), io.write("y"));
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let at = |row, f| layout.place(row, f, features);
    let floor = T::of(distance.squared_floor);
    for pair in 0..pairs {
        let mut sum = T::of(0.0);
        for f in 0..features {
            let difference = x[at(pair, f)] - x[at(pairs + pair, f)];
            sum += match distance.kind {
                DistanceKind::Euclidean => difference * difference,
                DistanceKind::L1 => difference.abs(),
            };
        }
        y[distance.first as usize + pair] = match distance.kind {
            // The clamped distance is the very number that backward compares with.
            DistanceKind::Euclidean if sum <= floor => floor.sqrt(),
            DistanceKind::Euclidean => sum.sqrt(),
            DistanceKind::L1 => sum,
        };
    }
}

fn backward<T: Real>(distance: &Distance, io: &mut Io<'_, T>, layout: Layout) {
    let (x, y, dy, dx) = (io.read("x"), io.read("result"), io.read("dy"), io.write("dx"));
    let (pairs, features) = (distance.pairs as usize, distance.features as usize);
    let at = |row, f| layout.place(row, f, features);
    let (zero, floor) = (T::of(0.0), T::of(distance.squared_floor).sqrt());
    for pair in 0..pairs {
        let (d, gradient) = (y[distance.first as usize + pair], dy[distance.first as usize + pair]);
        for f in 0..features {
            let (a, b) = (at(pair, f), at(pairs + pair, f));
            let difference = x[a] - x[b];
            let da = match distance.kind {
                DistanceKind::Euclidean if d > floor => gradient * difference / d,
                DistanceKind::L1 if difference > zero => gradient,
                DistanceKind::L1 if difference < zero => -gradient,
                _ => zero,
            };
            dx[a] = if distance.accumulate { dx[a] + da } else { da };
            dx[b] = if distance.accumulate { dx[b] - da } else { -da };
        }
    }
}

/// Plain loops, one embedding behind the other.
pub mod reference {
    use super::{Distance, Io, Layout, Real};

    pub fn forward<T: Real>(distance: &Distance, io: &mut Io<'_, T>) {
        super::forward(distance, io, Layout::Plain);
    }

    pub fn backward<T: Real>(distance: &Distance, io: &mut Io<'_, T>) {
        super::backward(distance, io, Layout::Plain);
    }
}

/// The same on interleaved embeddings: a few thousand products are not worth more.
pub mod fast {
    use super::{Distance, Io, Layout};

    pub fn forward(distance: &Distance, io: &mut Io<'_, f32>) {
        super::forward(distance, io, Layout::Interleaved);
    }

    /// Images that only pad the last group get no gradient, so they count in no sum.
    pub fn backward(distance: &Distance, io: &mut Io<'_, f32>) {
        io.pad("dx", 0.0, 2 * distance.pairs as usize, distance.features as usize);
        super::backward(distance, io, Layout::Interleaved);
    }
}
