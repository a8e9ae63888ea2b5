//! What counts as equal in numbers that were rounded on their way.

/// Whether two numbers are the same but for a rounding of `bound` times the larger.
pub(super) fn equal(a: f64, b: f64, bound: f64) -> bool {
    (a - b).abs() <= bound * a.abs().max(b.abs())
}

/// Largest relative difference of two distances that would be equal but for rounding. A distance is a sum of so many
/// terms and two or three roundings more; in whatever order it is added up, it is off by no more than
/// n u / (1 - n u), n being the roundings on a term's way and u = 2^-24 (N. Higham, "Accuracy and stability of
/// numerical algorithms" (2002), section 4.2). Two distances may be off to either side.
pub(super) fn rounding(features: usize) -> f64 {
    let roundings = (features + 3) as f64 * f64::from(f32::EPSILON) / 2.0;
    if roundings < 0.5 { 2.0 * roundings / (1.0 - roundings) } else { 2.0 }
}
