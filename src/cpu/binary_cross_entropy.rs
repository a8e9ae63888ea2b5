//! Cross-entropy of whether a pair is the same, on the CPU.

use crate::ops::binary_cross_entropy::{BinaryCrossEntropy, Link};

/// Plain loops.
pub mod reference {
    use super::{BinaryCrossEntropy, Link};
    use crate::cpu::activation::sigmoid;
    use crate::cpu::{Io, Real};

    /// `ln(1 + exp(v))` without overflow.
    fn softplus<T: Real>(v: T) -> T {
        let tail = (T::of(1.0) + (-v.abs()).exp()).ln();
        if v <= T::of(0.0) { tail } else { v + tail }
    }

    /// Minus the logarithm of an exponential link's probability; NaN stays NaN.
    fn exponent<T: Real>(loss: &BinaryCrossEntropy, d: T) -> T {
        let (e, floor) = (d / T::of(loss.scale), T::of(loss.floor));
        if e <= floor { floor } else { e }
    }

    fn of_pair<T: Real>(loss: &BinaryCrossEntropy, d: T, same: bool) -> T {
        match loss.link {
            Link::Logit => softplus(if same { d } else { -d }),
            Link::Exponential if same => exponent(loss, d),
            Link::Exponential => -(-(-exponent(loss, d)).exp_m1()).ln(),
        }
    }

    fn slope<T: Real>(loss: &BinaryCrossEntropy, d: T, same: bool) -> T {
        let (one, scale) = (T::of(1.0), T::of(loss.scale));
        match loss.link {
            Link::Logit if same => sigmoid(d, one),
            Link::Logit => -sigmoid(-d, one),
            Link::Exponential if d / scale <= T::of(loss.floor) => T::of(0.0),
            Link::Exponential if same => one / scale,
            Link::Exponential => {
                let e = exponent(loss, d);
                (-e).exp() / (-e).exp_m1() / scale
            }
        }
    }

    fn called_same<T: Real>(loss: &BinaryCrossEntropy, d: T) -> bool {
        match loss.link {
            Link::Logit => d < T::of(0.0),
            Link::Exponential => exponent(loss, d) < T::of(std::f32::consts::LN_2),
        }
    }

    pub fn forward<T: Real>(loss: &BinaryCrossEntropy, io: &mut Io<'_, T>) {
        let (x, same, history) = (io.read("x"), io.words("same"), io.write("history"));
        let count = io.slot.count.min(loss.pairs) as usize;
        let same = &same[io.slot.first as usize..];
        let mut sum = T::of(0.0);
        let mut hits = 0;
        for (&d, &same) in x[..count].iter().zip(same) {
            sum += of_pair(loss, d, same != 0);
            hits += u32::from(called_same(loss, d) == (same != 0));
        }
        let row = 2 * io.slot.index as usize;
        history[row] = sum / T::of(count as f32);
        history[row + 1] = T::of(hits as f32);
    }

    pub fn backward<T: Real>(loss: &BinaryCrossEntropy, io: &mut Io<'_, T>) {
        let (x, same, dx) = (io.read("x"), io.words("same"), io.write("dx"));
        let count = io.slot.count.min(loss.pairs) as usize;
        let same = &same[io.slot.first as usize..];
        dx.fill(T::of(0.0));
        for ((dx, &d), &same) in dx[..count].iter_mut().zip(x).zip(same) {
            *dx = slope(loss, d, same != 0) / T::of(count as f32);
        }
    }

    pub fn similarity<T: Real>(loss: &BinaryCrossEntropy, io: &mut Io<'_, T>) {
        let (x, y) = (io.read("x"), io.write("y"));
        for (y, &d) in y.iter_mut().zip(x) {
            *y = match loss.link {
                Link::Logit => sigmoid(-d, T::of(1.0)),
                Link::Exponential => (-exponent(loss, d)).exp(),
            };
        }
    }
}

/// A few numbers a pair: plain loops are fast.
pub mod fast {
    pub use super::reference::{backward, forward, similarity};
}
