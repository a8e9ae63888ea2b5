//! Layers and formulas: short names for what networks, heads and losses are made of.

use super::{Dim, Graph, Initializer, Op, ValueId, of_image};
use crate::ops::activation::ActivationKind;
use crate::ops::elementwise::Function;
use crate::ops::mask::MaskKind;
use crate::ops::pool2d::PoolKind;
use crate::ops::reduction::Reduction;

/// A convolution to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    pub out_channels: usize,
    /// Height and width, as of the padding.
    pub kernel: [usize; 2],
    pub stride: usize,
    pub padding: [usize; 2],
    /// As many as channels are a depthwise convolution.
    pub groups: usize,
    /// Whether it has a bias; before a norm that would be for nothing.
    pub bias: bool,
}

impl Conv {
    /// The usual one: a square kernel that sees all channels, with a bias.
    pub const fn new(out_channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        Conv { out_channels, kernel: [kernel; 2], stride, padding: [padding; 2], groups: 1, bias: true }
    }

    #[must_use]
    pub const fn unbiased(self) -> Self {
        Conv { bias: false, ..self }
    }
}

/// Layers, by the name that their parameters have in front.
impl Graph {
    /// `NAME.weight`, with or without `NAME.bias`.
    fn weights(&mut self, name: &str, weight: &[usize], bias: bool) -> Vec<ValueId> {
        let [of_weight, of_bias] = self.initialization.of(weight);
        let mut values = vec![self.parameter(&format!("{name}.weight"), weight, of_weight)];
        if bias {
            values.push(self.parameter(&format!("{name}.bias"), &weight[..1], of_bias));
        }
        values
    }

    pub fn conv2d(&mut self, name: &str, x: ValueId, conv: Conv) -> ValueId {
        let Conv { out_channels, kernel, stride, padding, groups, bias } = conv;
        let inputs = of_image(self.shape(x)).channels / groups.max(1);
        let weights = self.weights(name, &[out_channels, inputs, kernel[0], kernel[1]], bias);
        self.apply(name, Op::Conv2d { stride, padding, groups }, &[&[x], &weights[..]].concat())
    }

    pub fn dense(&mut self, name: &str, x: ValueId, outputs: usize) -> ValueId {
        let inputs = of_image(self.shape(x)).len();
        let weights = self.weights(name, &[outputs, inputs], true);
        self.apply(name, Op::Dense, &[&[x], &weights[..]].concat())
    }

    /// Over channels, with running statistics beside it.
    pub fn batch_norm(&mut self, name: &str, x: ValueId, eps: f32, momentum: f32) -> ValueId {
        let channels = [of_image(self.shape(x)).channels];
        let mut inputs = vec![x];
        for (part, start) in [("weight", 1.0), ("bias", 0.0)] {
            inputs.push(self.parameter(&format!("{name}.{part}"), &channels, Initializer::Constant(start)));
        }
        for (part, start) in [("running_mean", 0.0), ("running_var", 1.0)] {
            inputs.push(self.state(&format!("{name}.{part}"), &channels, Initializer::Constant(start)));
        }
        self.apply(name, Op::BatchNorm { eps, momentum }, &inputs)
    }

    pub fn layer_norm(&mut self, name: &str, x: ValueId, eps: f32) -> ValueId {
        let features = [of_image(self.shape(x)).len()];
        let [weight, bias] = [("weight", 1.0), ("bias", 0.0)].map(|(part, start)| {
            self.parameter(&format!("{name}.{part}"), &features, Initializer::Constant(start))
        });
        self.apply(name, Op::LayerNorm { eps }, &[x, weight, bias])
    }

    pub fn pool(
        &mut self,
        name: &str,
        x: ValueId,
        kind: PoolKind,
        [size, stride, padding]: [usize; 3],
    ) -> ValueId {
        self.apply(name, Op::Pool2d { kind, size, stride, padding }, &[x])
    }

    pub fn activation(&mut self, name: &str, x: ValueId, kind: ActivationKind) -> ValueId {
        self.apply(name, Op::Activation(kind), &[x])
    }

    /// Rows `[rows, ..]` as `[rows, values]`.
    pub fn flat(&mut self, x: ValueId) -> ValueId {
        if self.shape(x).len() == 2 { x } else { self.apply("flat", Op::Flatten, &[x]) }
    }

    /// A convolution without bias across the channels of `[images, C, 1, 1]`.
    pub fn channel_conv(&mut self, name: &str, x: ValueId, kernel: usize) -> ValueId {
        let weights = self.weights(name, &[1, 1, kernel], false);
        self.apply(name, Op::ChannelConv, &[x, weights[0]])
    }
}

/// Formulas.
impl Graph {
    pub fn unary(&mut self, function: Function, scalar: f32, x: ValueId) -> ValueId {
        self.apply(&function.to_string(), Op::Elementwise { function, scalar }, &[x])
    }

    pub fn binary(&mut self, function: Function, a: ValueId, b: ValueId) -> ValueId {
        self.apply(&function.to_string(), Op::Elementwise { function, scalar: 0.0 }, &[a, b])
    }

    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Function::Add, a, b)
    }

    pub fn subtract(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Function::Subtract, a, b)
    }

    pub fn multiply(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Function::Multiply, a, b)
    }

    pub fn divide(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(Function::Divide, a, b)
    }

    /// `factor x`
    pub fn times(&mut self, factor: f32, x: ValueId) -> ValueId {
        self.unary(Function::Scale, factor, x)
    }

    /// `x + number`
    pub fn plus(&mut self, number: f32, x: ValueId) -> ValueId {
        self.unary(Function::Shift, number, x)
    }

    pub fn reduce(&mut self, kind: Reduction, axis: usize, x: ValueId) -> ValueId {
        self.apply(&kind.to_string(), Op::Reduce { kind, axis }, &[x])
    }

    /// Over all axes, to a number `[]`; the last axis first.
    pub fn reduce_all(&mut self, kind: Reduction, x: ValueId) -> ValueId {
        let rank = self.shape(x).len();
        (0..rank).rev().fold(x, |x, axis| {
            let x = self.reduce(kind, axis, x);
            self.squeeze(axis, x)
        })
    }

    pub fn squeeze(&mut self, axis: usize, x: ValueId) -> ValueId {
        self.apply("squeeze", Op::Squeeze { axis }, &[x])
    }

    pub fn unsqueeze(&mut self, axis: usize, x: ValueId) -> ValueId {
        self.apply("unsqueeze", Op::Unsqueeze { axis }, &[x])
    }

    /// Rows to length 1.
    pub fn normalize(&mut self, x: ValueId) -> ValueId {
        self.apply("normalize", Op::Normalize, &[x])
    }

    /// `a b^T`
    pub fn similarities(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.apply("similarities", Op::Matmul { transpose_a: false, transpose_b: true }, &[a, b])
    }

    /// The first (0) or second (1) images of pairs.
    pub fn branch(&mut self, number: usize, x: ValueId) -> ValueId {
        self.apply("branch", Op::Branch { number }, &[x])
    }

    pub fn mask(&mut self, kind: MaskKind) -> ValueId {
        self.apply("mask", Op::Mask { kind, classes: 0 }, &[])
    }

    /// A number `[]`.
    pub fn number(&mut self, number: f32) -> ValueId {
        self.apply("number", Op::Elementwise { function: Function::Fill, scalar: number }, &[])
    }

    /// Whether a value has an axis that depends on the batch.
    pub fn is_batched(&self, value: ValueId) -> bool {
        self.shape(value).iter().any(|dim| !matches!(dim, Dim::Size(_)))
    }
}
