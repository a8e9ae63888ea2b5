//! The numbers that references compute in.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// f32, f64, or a number that carries its own error bound (`parity::bound::Tracked`).
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// Exact: every f32 is one of these numbers.
    fn of(value: f32) -> Self;
    fn exp(self) -> Self;
    /// `exp(x) - 1`
    fn exp_m1(self) -> Self;
    fn ln(self) -> Self;
    /// `ln(1 + x)` for x from 0 to 1
    fn ln_1p(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    fn is_nan(self) -> bool;
    fn to_f64(self) -> f64;

    fn abs(self) -> Self {
        if self < Self::of(0.0) { -self } else { self }
    }
}

macro_rules! real {
    ($($ty:ident),*) => {$(
        impl Real for $ty {
            fn of(value: f32) -> Self {
                value.into()
            }
            fn exp(self) -> Self {
                $ty::exp(self)
            }
            fn exp_m1(self) -> Self {
                $ty::exp_m1(self)
            }
            fn ln(self) -> Self {
                $ty::ln(self)
            }
            fn ln_1p(self) -> Self {
                $ty::ln_1p(self)
            }
            fn sqrt(self) -> Self {
                $ty::sqrt(self)
            }
            fn tanh(self) -> Self {
                $ty::tanh(self)
            }
            fn is_nan(self) -> bool {
                $ty::is_nan(self)
            }
            fn to_f64(self) -> f64 {
                self.into()
            }
        }
    )*};
}
real!(f32, f64);
