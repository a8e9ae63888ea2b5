//! The optimizers that a plan may train with, and which parameters they treat alike.

use std::fmt;
use std::str::FromStr;

use super::Parameter;
use crate::text::stands_as_text;

/// Adam, and with a weight decay AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f32,
    /// Decoupled from the gradient (Loshchilov and Hutter, 2019), as PyTorch's `AdamW`: before each step the
    /// weights of convolutions and dense layers lose `learning rate * weight_decay` of themselves.
    pub weight_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        AdamOptions { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// Gradient descent with momentum.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct SgdOptions {
    pub momentum: Momentum,
    pub penalty: Penalty,
}

/// What a training step ends with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerOptions {
    Adam(AdamOptions),
    Sgd(SgdOptions),
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        OptimizerOptions::Adam(AdamOptions::default())
    }
}

/// Parameters that an optimizer may treat in a way of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Weights of convolutions.
    Convolution,
    /// Weights of dense layers; that of a scalar head, a single number, is none.
    Dense,
    /// Biases, and everything of norms and scalar heads.
    Other,
}

impl Parameter {
    pub fn family(&self) -> Family {
        match self.shape.len() {
            4 => Family::Convolution,
            2 if !self.name.starts_with("head.") => Family::Dense,
            _ => Family::Other,
        }
    }
}

impl OptimizerOptions {
    pub fn name(&self) -> &'static str {
        match self {
            OptimizerOptions::Adam(_) => "adam",
            OptimizerOptions::Sgd(_) => "sgd",
        }
    }

    /// What the optimizer keeps for each parameter: the ending of its tensors' names, and their buffer's name.
    pub fn kept(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            OptimizerOptions::Adam(_) => {
                &[("first_moment", "first_moments"), ("second_moment", "second_moments")]
            }
            OptimizerOptions::Sgd(_) => &[("velocity", "velocities")],
        }
    }

    /// The weight decay, or the penalty, of a family.
    pub(super) fn coefficient(&self, family: Family) -> f64 {
        match (self, family) {
            (_, Family::Other) => 0.0,
            (OptimizerOptions::Adam(adam), _) => adam.weight_decay,
            (OptimizerOptions::Sgd(sgd), Family::Convolution) => sgd.penalty.convolutions.into(),
            (OptimizerOptions::Sgd(sgd), Family::Dense) => sgd.penalty.dense.into(),
        }
    }
}

/// Whether the ending of a tensor's name is one that any optimizer gives.
pub fn is_kept(ending: &str) -> bool {
    [OptimizerOptions::default(), OptimizerOptions::Sgd(SgdOptions::default())]
        .iter()
        .flat_map(OptimizerOptions::kept)
        .any(|(kept, _)| *kept == ending)
}

/// Momentum by training step: `from`, and `rise` more with each step up to `to`.
///
/// Its text is a number, or `FROM..TO:RISE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Momentum {
    pub from: f64,
    pub to: f64,
    pub rise: f64,
}

impl Momentum {
    /// At training step `t`, counted from 1.
    #[must_use]
    pub fn at(&self, t: u64) -> f64 {
        (self.from + self.rise * t.saturating_sub(1) as f64).min(self.to)
    }
}

impl fmt::Display for Momentum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Momentum { from, to, rise } = self;
        if from == to { write!(f, "{from}") } else { write!(f, "{from}..{to}:{rise}") }
    }
}

impl FromStr for Momentum {
    type Err = String;

    /// # Errors
    /// Says what the text may be.
    fn from_str(text: &str) -> Result<Self, String> {
        let momentum = || {
            let Some((from, rest)) = text.split_once("..") else {
                let alone = text.parse().ok()?;
                return Some(Momentum { from: alone, to: alone, rise: 0.0 });
            };
            let (to, rise) = rest.split_once(':')?;
            Some(Momentum { from: from.parse().ok()?, to: to.parse().ok()?, rise: rise.parse().ok()? })
        };
        let sound = |m: &Momentum| {
            (0.0..1.0).contains(&m.from) && (m.from..1.0).contains(&m.to) && (0.0..1.0).contains(&m.rise)
        };
        momentum().filter(sound).ok_or_else(|| {
            "must be a number from 0 to below 1, such as 0.9, or FROM..TO:RISE, RISE a step, such as 0.5..0.9:0.01"
                .into()
        })
    }
}

/// So many times a weight is added to its gradient: twice the factor of a penalty on its square.
///
/// Its text is a list of `conv=C` and `dense=C`.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Penalty {
    pub convolutions: f32,
    pub dense: f32,
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conv={},dense={}", self.convolutions, self.dense)
    }
}

impl FromStr for Penalty {
    type Err = String;

    /// # Errors
    /// Says what the text may be.
    fn from_str(text: &str) -> Result<Self, String> {
        let penalty = || {
            let mut penalty = Penalty::default();
            for part in text.split(',') {
                let (key, value) = part.split_once('=')?;
                let value: f32 = value.parse().ok().filter(|value| (0.0..=1e3).contains(value))?;
                match key {
                    "conv" => penalty.convolutions = value,
                    "dense" => penalty.dense = value,
                    _ => return None,
                }
            }
            Some(penalty)
        };
        penalty().ok_or_else(|| "must be conv=C, dense=C or both, C from 0 to 1000, such as conv=0.02".into())
    }
}

stands_as_text!(Momentum, Penalty);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn momentum_rises_to_its_end() {
        let protocol: Momentum = "0.5..0.9:0.01".parse().unwrap();
        assert_eq!(
            [1, 2, 41, 42, 9000].map(|t| (100.0 * protocol.at(t)).round()),
            [50.0, 51.0, 90.0, 90.0, 90.0]
        );
        assert_eq!("0.9".parse::<Momentum>().unwrap().at(7), 0.9);
        for text in ["0.9", "0.5..0.9:0.01"] {
            assert_eq!(text.parse::<Momentum>().unwrap().to_string(), text);
        }
        for text in ["", "1", "-0.1", "NaN", "0.9..0.5:0.1", "0.5..0.9", "0.5..1:0.1", "0.5..0.9:-1"] {
            assert!(text.parse::<Momentum>().unwrap_err().contains("0.5..0.9:0.01"), "{text}");
        }
    }

    #[test]
    fn penalties_are_read_and_written() {
        let both: Penalty = "dense=0.001,conv=0.02".parse().unwrap();
        assert_eq!(both, Penalty { convolutions: 0.02, dense: 0.001 });
        assert_eq!(both.to_string().parse(), Ok(both));
        for text in ["", "conv", "conv=-1", "norm=1", "conv=NaN", "conv=0.1,"] {
            assert!(text.parse::<Penalty>().is_err(), "{text}");
        }
    }
}
