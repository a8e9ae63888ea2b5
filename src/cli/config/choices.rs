//! Settings that are one of several words.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which loss to train with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// On the head's similarity: equation 2 of the SN-LeNet-5 paper.
    Contrastive,
    /// On the distance itself, without a head: twice the loss of Hadsell, Chopra and LeCun (2006), whose halves are left
    /// out.
    Hadsell,
    /// On the probability that a pair is the same, from a learned sum of what features differ by, or as the model
    /// has it: Koch, Zemel and Salakhutdinov (2015).
    CrossEntropy,
    /// On the squared distances within episodes, without a head: Snell, Swersky and Zemel (2017).
    Episodes,
}

/// Which optimizer to train with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Kingma and Ba (2015); with --weight-decay AdamW
    Adam,
    /// Gradient descent with momentum, as Keras has it: the velocity holds steps, learning rate and all
    Sgd,
}

/// Which plan to run: one kind, or what suits the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanChoice {
    /// What suits the adapter
    Auto,
    /// One launch for every function of every op
    Unfused,
    /// Four launches a step, an image to a workgroup: for hardware
    Fused,
    /// Large blocks in registers: for software adapters
    Blocked,
}
