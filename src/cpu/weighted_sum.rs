//! A learned sum of what each feature of two embeddings differs by, on the CPU.

use super::{Io, Real, put};
use crate::ops::Layout;
use crate::ops::weighted_sum::WeightedSum;

/// What the features of a pair differ by.
fn differences<T: Real>(sum: &WeightedSum, x: &[T], pair: usize, layout: Layout) -> impl Iterator<Item = T> {
    let (pairs, features) = (sum.pairs as usize, sum.features as usize);
    let at = move |row, f| layout.place(row, f, features);
    (0..features).map(move |f| x[at(pair, f)] - x[at(pairs + pair, f)])
}

/// The launch's pairs of a value of each pair.
fn own<'a, T>(sum: &WeightedSum, values: &'a [T]) -> &'a [T] {
    &values[sum.first as usize..][..sum.pairs as usize]
}

fn forward<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>, layout: Layout) {
    let (x, weight, bias, y) = (io.read("x"), io.read("weight"), io.read("bias")[0], io.write("y"));
    for pair in 0..sum.pairs as usize {
        let mut logit = bias;
        for (difference, &weight) in differences(sum, x, pair, layout).zip(weight) {
            logit += weight * difference.abs();
        }
        y[sum.first as usize + pair] = -logit;
    }
}

fn backward_input<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>, layout: Layout) {
    let (x, weight, dx) = (io.read("x"), io.read("weight"), io.write("dx"));
    let (pairs, features) = (sum.pairs as usize, sum.features as usize);
    for (pair, &dy) in own(sum, io.read("dy")).iter().enumerate() {
        for (f, (difference, &weight)) in differences(sum, x, pair, layout).zip(weight).enumerate() {
            let slope = dy * weight;
            let da = match difference.partial_cmp(&T::of(0.0)) {
                Some(std::cmp::Ordering::Greater) => -slope,
                Some(std::cmp::Ordering::Less) => slope,
                _ => T::of(0.0),
            };
            dx[layout.place(pair, f, features)] = da;
            dx[layout.place(pairs + pair, f, features)] = -da;
        }
    }
}

fn backward_weight<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>, layout: Layout) {
    let (x, dweight) = (io.read("x"), io.write("dweight"));
    let mut sums = vec![T::of(0.0); sum.features as usize];
    for (pair, &dy) in own(sum, io.read("dy")).iter().enumerate() {
        for (sum, difference) in sums.iter_mut().zip(differences(sum, x, pair, layout)) {
            *sum += -dy * difference.abs();
        }
    }
    put(dweight, &sums, sum.accumulate);
}

/// Plain loops, one embedding behind the other.
pub mod reference {
    use super::{Io, Layout, Real, WeightedSum, own, put};

    pub fn forward<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>) {
        super::forward(sum, io, Layout::Plain);
    }

    pub fn backward_input<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>) {
        super::backward_input(sum, io, Layout::Plain);
    }

    pub fn backward_weight<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>) {
        super::backward_weight(sum, io, Layout::Plain);
    }

    pub fn backward_bias<T: Real>(sum: &WeightedSum, io: &mut Io<'_, T>) {
        let (dy, dbias) = (io.read("dy"), io.write("dbias"));
        let mut total = T::of(0.0);
        for &dy in own(sum, dy) {
            total += -dy;
        }
        put(dbias, &[total], sum.accumulate);
    }
}

/// The same on interleaved embeddings: a few operations a feature are not worth more.
pub mod fast {
    pub use super::reference::backward_bias;
    use super::{Io, Layout, WeightedSum};

    pub fn forward(sum: &WeightedSum, io: &mut Io<'_, f32>) {
        super::forward(sum, io, Layout::Interleaved);
    }

    /// Images that only pad the last group get no gradient, so they count in no sum.
    pub fn backward_input(sum: &WeightedSum, io: &mut Io<'_, f32>) {
        io.pad("dx", 0.0, 2 * sum.pairs as usize, sum.features as usize);
        super::backward_input(sum, io, Layout::Interleaved);
    }

    pub fn backward_weight(sum: &WeightedSum, io: &mut Io<'_, f32>) {
        super::backward_weight(sum, io, Layout::Interleaved);
    }
}
