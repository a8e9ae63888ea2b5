//! The learning rate of each training step: computed on the host, in f64, from the step's number alone.

use std::fmt;
use std::str::FromStr;

use crate::data::random::cosine_sine;
use crate::text::stands_as_text;

/// What becomes of the learning rate behind the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Decay {
    Constant,
    /// Half a cosine, from the whole rate at the first step behind the warm-up to nothing behind the last step
    /// (Loshchilov and Hutter, "SGDR", 2017, without restarts).
    Cosine,
    /// Times `gamma` every so many steps, the warm-up's among them.
    Step {
        gamma: f64,
        every: u64,
    },
}

/// The learning rate by training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub base: f64,
    pub decay: Decay,
    /// Over so many steps the rate rises in equal parts to what it would be without them.
    pub warmup: u64,
}

impl Rate {
    pub fn constant(base: f64) -> Self {
        Rate { base, decay: Decay::Constant, warmup: 0 }
    }

    /// At training step `t`, counted from 1, of a run of `total` steps.
    #[must_use]
    pub fn at(&self, t: u64, total: u64) -> f64 {
        let behind = t.saturating_sub(1 + self.warmup) as f64;
        let share = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => {
                let steps = total.saturating_sub(self.warmup).max(1) as f64;
                let [cosine, _] = cosine_sine(std::f64::consts::PI * (behind / steps).min(1.0));
                (1.0 + cosine) / 2.0
            }
            Decay::Step { gamma, every } => power(gamma, t.saturating_sub(1) / every.max(1)),
        };
        let risen = if t < self.warmup { t as f64 / self.warmup as f64 } else { 1.0 };
        self.base * share * risen
    }
}

/// By repeated squaring: the platform's library may differ in the last bit.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decay::Constant => f.write_str("constant"),
            Decay::Cosine => f.write_str("cosine"),
            Decay::Step { gamma, every } => write!(f, "step={gamma}:{every}"),
        }
    }
}

stands_as_text!(Decay);

impl FromStr for Decay {
    type Err = String;

    /// # Errors
    /// Says what the text may be.
    fn from_str(text: &str) -> Result<Self, String> {
        let step = || {
            let (gamma, every) = text.strip_prefix("step=")?.split_once(':')?;
            let (gamma, every) = (gamma.parse().ok()?, every.parse().ok()?);
            (gamma > 0.0 && gamma <= 1.0 && every > 0).then_some(Decay::Step { gamma, every })
        };
        match text {
            "constant" => Ok(Decay::Constant),
            "cosine" => Ok(Decay::Cosine),
            _ => step().ok_or_else(|| {
                "must be constant, cosine or step=GAMMA:EVERY with GAMMA above 0 up to 1 and EVERY in steps, such as \
                 step=0.99:500"
                    .into()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(decay: &str, warmup: u64) -> Rate {
        Rate { base: 0.8, decay: decay.parse().unwrap(), warmup }
    }

    fn rates(rate: Rate, total: u64) -> Vec<f64> {
        (1..=total).map(|t| rate.at(t, total)).collect()
    }

    fn assert_close(found: &[f64], wanted: &[f64]) {
        let close = found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 1e-14);
        assert!(close && found.len() == wanted.len(), "{found:?}, not {wanted:?}");
    }

    #[test]
    fn a_cosine_falls_from_the_whole_rate_towards_nothing() {
        // 0.8 (1 + cos(k pi / 4)) / 2
        let root = std::f64::consts::SQRT_2 / 2.0;
        assert_close(&rates(rate("cosine", 0), 4), &[0.8, 0.4 * (1.0 + root), 0.4, 0.4 * (1.0 - root)]);
        // Behind a warm-up of two steps, and no step is lost to it.
        assert_close(
            &rates(rate("cosine", 2), 6),
            &[0.4, 0.8, 0.8, 0.4 * (1.0 + root), 0.4, 0.4 * (1.0 - root)],
        );
        assert!(rate("cosine", 0).at(9, 4).abs() < 1e-15, "nothing is left behind the last step");
    }

    #[test]
    fn steps_and_warm_ups_multiply() {
        assert_close(&rates(rate("step=0.5:2", 0), 5), &[0.8, 0.8, 0.4, 0.4, 0.2]);
        assert_close(&rates(rate("step=0.5:2", 4), 5), &[0.2, 0.4, 0.3, 0.4, 0.2]);
        assert_close(&rates(rate("constant", 3), 4), &[0.8 / 3.0, 1.6 / 3.0, 0.8, 0.8]);
        // The one-shot protocol: times 0.99 every 500 iterations.
        let protocol = Rate { base: 0.01, decay: "step=0.99:500".parse().unwrap(), warmup: 0 };
        assert!((protocol.at(50_001, 100_000) / (0.01 * 0.99_f64.powi(100)) - 1.0).abs() < 1e-13);
    }

    #[test]
    fn texts_are_read_and_written() {
        for text in ["constant", "cosine", "step=0.99:500"] {
            assert_eq!(text.parse::<Decay>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Cosine",
            "step",
            "step=0.5",
            "step=0:9",
            "step=2:9",
            "step=0.5:0",
            "step=NaN:9",
            "step=.5:x",
        ] {
            assert!(text.parse::<Decay>().unwrap_err().contains("step=0.99:500"), "{text}");
        }
    }
}
