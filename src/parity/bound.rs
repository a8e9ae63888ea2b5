//! Numbers that carry a bound on what rounding in f32 may do to them: how tolerances are derived.
//!
//! Running error analysis (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.3)
//! in f64. A sum is bounded whatever the order of its terms: it remembers the sum of their absolute
//! values and the length of the longest chain of additions, and owes `depth * u * sum |x_i|`. For a
//! sum of products this is the `c * eps * sum |x_i w_i|` of the promise, with c the depth. The
//! accuracies of exp, division and square root are those that the WGSL specification grants
//! (section "Floating point accuracy"); fused multiply-adds only round less.

use std::cmp::Ordering;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use crate::cpu::Real;

/// Unit roundoff of f32.
const U: f64 = 1.0 / (1u64 << 24) as f64;
/// A unit in the last place is at most twice that.
const ULP: f64 = 2.0 * U;
/// Devices may flush numbers below this to 0.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// A value, as f64 computes it, and how far an f32 computation may be off.
#[derive(Clone, Copy, Debug)]
pub struct Tracked {
    value: f64,
    /// Error already settled.
    error: f64,
    /// Sum of the absolute values of the terms that this sum is made of.
    terms: f64,
    /// Additions on the longest way from a term to the sum.
    depth: u32,
}

impl Tracked {
    fn leaf(value: f64, error: f64) -> Self {
        Tracked { value, error, terms: value.abs(), depth: 0 }
    }

    /// How far an f32 computation may be from [`Real::to_f64`].
    pub fn bound(self) -> f64 {
        self.error + f64::from(self.depth) * U * self.terms
    }

    /// The bound that an output is held to: it may have been flushed to 0.
    pub fn tolerance(self) -> f64 {
        self.bound() + TINY
    }
}

impl Add for Tracked {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Tracked {
            value: self.value + other.value,
            error: self.error + other.error,
            terms: self.terms + other.terms,
            depth: self.depth.max(other.depth) + 1,
        }
    }
}

impl Neg for Tracked {
    type Output = Self;
    fn neg(self) -> Self {
        Tracked { value: -self.value, ..self }
    }
}

impl Sub for Tracked {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl AddAssign for Tracked {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul for Tracked {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let value = self.value * other.value;
        let (a, b) = (self.bound(), other.bound());
        Tracked::leaf(value, self.value.abs() * b + other.value.abs() * a + a * b + U * value.abs())
    }
}

impl Div for Tracked {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let (a, b) = (self.bound(), other.bound());
        // A divisor that may be 0 bounds nothing.
        let room = (other.value.abs() - b).max(0.0);
        Tracked::leaf(value, (a + value.abs() * b) / room + 2.5 * ULP * value.abs())
    }
}

impl PartialEq for Tracked {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Tracked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Real for Tracked {
    fn of(value: f32) -> Self {
        Tracked::leaf(f64::from(value), 0.0)
    }

    fn exp(self) -> Self {
        let value = self.value.exp();
        let granted = (3.0 + 2.0 * self.value.abs()) * ULP;
        Tracked::leaf(value, value * (self.bound().exp_m1() * (1.0 + granted) + granted))
    }

    /// Of `exp(x) - 1`, and of a series near 0, as the kernel computes it.
    fn exp_m1(self) -> Self {
        let value = self.value.exp_m1();
        let moved = self.value.exp() * self.bound().exp_m1();
        let granted = if self.value.abs() + self.bound() < 0.5 {
            // Two roundings of the result, and one each of terms that halve at least; 4 covers them all.
            4.0 * ULP * value.abs()
        } else {
            (3.0 + 2.0 * self.value.abs()) * ULP * self.value.exp() + ULP * value.abs()
        };
        Tracked::leaf(value, moved + granted)
    }

    fn ln(self) -> Self {
        let value = self.value.ln();
        // Infinite where the argument may be 0.
        let moved = value - (self.value - self.bound()).max(0.0).ln();
        // 2^-21 between 1/2 and 2, where the logarithm passes 0; 3 units elsewhere.
        let granted = 4.0 * ULP + 3.0 * ULP * value.abs();
        Tracked::leaf(value, moved + granted)
    }

    /// Of `2 artanh(x / (2 + x))` by its series, as the kernel computes it.
    fn ln_1p(self) -> Self {
        let value = self.value.ln_1p();
        // The slope is at most 1. An addition and a division before the series, whose first term is the largest by
        // far, and three roundings in it.
        Tracked::leaf(value, self.bound() + 6.0 * ULP * value)
    }

    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        let (low, high) = (self.value - self.bound(), self.value + self.bound());
        let moved = (high.sqrt() - value).max(value - low.max(0.0).sqrt());
        // As 1 / inverseSqrt(x): 2 units for the root, 2.5 for the division.
        Tracked::leaf(value, moved + 4.5 * ULP * (value + moved))
    }

    /// Of `(1 - t) / (1 + t)` with `t = exp(-2 |x|)`, and of a series near 0, as the kernel computes it.
    fn tanh(self) -> Self {
        let value = self.value.tanh();
        let size = self.value.abs();
        if size + self.bound() < 0.1 {
            // Two roundings of the result; those of the smaller terms are lost in it.
            return Tracked::leaf(value, self.bound() + 2.0 * ULP * value.abs());
        }
        let t = (-2.0 * size).exp();
        let of_exp = 2.0 * t * (3.0 + 4.0 * size) * ULP;
        // Two additions and a division; the slope of tanh is at most 1.
        Tracked::leaf(value, self.bound() + of_exp + 4.0 * ULP * value.abs())
    }

    fn is_nan(self) -> bool {
        self.value.is_nan()
    }

    fn to_f64(self) -> f64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_bounded_in_any_order() {
        // Large numbers that cancel: f32 sums of the same terms differ by order.
        let terms: Vec<f32> = (0..1000u32).map(|i| ((i * i % 1013) as f32 - 505.3) * 1.37e3).collect();
        let mut tracked = Tracked::of(0.0);
        for &term in &terms {
            tracked += Tracked::of(term);
        }
        let forward: f32 = terms.iter().sum();
        let backward: f32 = terms.iter().rev().sum();
        for sum in [forward, backward] {
            let error = (f64::from(sum) - tracked.to_f64()).abs();
            assert!(error <= tracked.bound(), "{error} over {}", tracked.bound());
        }
        assert!(forward != backward, "the terms do not tell orders apart");
        // And it is a bound worth having: far below the terms themselves.
        assert!(tracked.bound() < 1e-4 * tracked.terms);
    }

    #[test]
    fn f32_functions_stay_within_their_bounds() {
        for i in -400..400 {
            let x = i as f32 * 0.051;
            let tracked = Tracked::of(x);
            for (got, expected) in [
                (x.exp(), tracked.exp()),
                (x.exp_m1(), tracked.exp_m1()),
                (x.tanh(), tracked.tanh()),
                (x * x, tracked * tracked),
                (1.0 / x, Tracked::of(1.0) / tracked),
                (x.abs().sqrt(), tracked.abs().sqrt()),
                (x.abs().ln(), tracked.abs().ln()),
                (x.abs().ln_1p(), tracked.abs().ln_1p()),
            ] {
                let error = (f64::from(got) - expected.to_f64()).abs();
                assert!(x == 0.0 || error <= expected.tolerance(), "at {x}: {got} against {expected:?}");
            }
        }
    }
}
