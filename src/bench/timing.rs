//! Samples of a time, and what they say together.

use std::time::Instant;

use serde::Serialize;

/// Quantiles of repeated samples, in the samples' unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timing {
    pub median: f64,
    pub p10: f64,
    pub p90: f64,
    /// Samples.
    pub n: usize,
}

impl Timing {
    /// # Panics
    /// Without a sample: there is at least one round.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        // Between two samples the quantile lies in proportion.
        let quantile = |share: f64| {
            let at = share * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[at as usize], sorted[at.ceil() as usize]);
            below + at.fract() * (above - below)
        };
        Timing { median: quantile(0.5), p10: quantile(0.1), p90: quantile(0.9), n: sorted.len() }
    }
}

/// Microseconds that `work` takes.
pub(super) async fn microseconds<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<f64, E> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_samples() {
        let of = |samples: &[f64]| {
            let Timing { median, p10, p90, n } = Timing::of(samples);
            (p10, median, p90, n)
        };
        assert_eq!(of(&[3.0]), (3.0, 3.0, 3.0, 1));
        assert_eq!(of(&[4.0, 2.0]), (2.2, 3.0, 3.8, 2));
        assert_eq!(of(&[10.0, 0.0, 5.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0]), (1.0, 5.0, 9.0, 11));
    }
}
