//! Networks as lists of named layers: one file per system of the papers, and the registry by name.

pub mod conv4;
pub mod koch;
pub mod lenet5;
pub mod resnet;
pub mod sircnn;
pub mod sn_lenet5;
pub mod start;

use crate::data::Shape;
use crate::ops::activation::ActivationKind;
use crate::ops::distance::DistanceKind;
use crate::ops::pool2d::PoolKind;
use crate::text;

pub use start::Start;

/// One layer of the subnet that both branches share.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Prefix of its parameters' names, as in `conv1.weight`.
    pub name: String,
    pub kind: LayerKind,
    /// Names of the layers whose outputs it takes; none: the layer before, or the images.
    pub inputs: Vec<String>,
}

impl Layer {
    /// A layer behind the one before.
    pub fn new(name: impl Into<String>, kind: LayerKind) -> Self {
        Layer { name: name.into(), kind, inputs: Vec::new() }
    }

    /// The same behind others.
    pub fn of<const N: usize>(self, inputs: [&str; N]) -> Self {
        Layer { inputs: inputs.map(String::from).into(), ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerKind {
    Conv2d {
        out_channels: usize,
        /// Height and width, as of the padding.
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
        /// Stretches of channels that have nothing to do with one another; as many as channels are a depthwise
        /// convolution.
        groups: usize,
        /// Whether it has a bias; in front of a norm that would be for nothing.
        bias: bool,
    },
    /// Over the channels, with the statistics of the whole batch, both branches together, in training, and
    /// with running ones otherwise. `eps` and `momentum` as PyTorch means them.
    BatchNorm {
        eps: f32,
        momentum: f32,
    },
    Pool2d {
        kind: PoolKind,
        size: usize,
        stride: usize,
        padding: usize,
    },
    /// The mean of each channel of square images.
    GlobalAveragePool,
    Activation(ActivationKind),
    /// The sum of two layers' outputs.
    Add,
    /// The first of two layers' outputs, each channel times the second's value for it: `[C, H, W]` and `[C, 1, 1]`.
    Scale,
    /// A one-dimensional convolution without bias across the channels of `[C, 1, 1]`, zeros beyond the ends, with
    /// an odd number of taps.
    ChannelConv {
        kernel: usize,
    },
    /// In training, values are 0 with this probability and the others larger by as much; drawn from the run's seed.
    Dropout {
        rate: f32,
    },
    /// Fully connected; flattens what it gets, channel by channel, row by row.
    Dense {
        outputs: usize,
    },
}

impl LayerKind {
    /// The usual convolution: a square kernel that sees all channels, with a bias.
    pub const fn conv2d(out_channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let (kernel, padding) = ([kernel; 2], [padding; 2]);
        LayerKind::Conv2d { out_channels, kernel, stride, padding, groups: 1, bias: true }
    }

    /// The same convolution without its bias.
    pub const fn unbiased(self) -> Self {
        match self {
            LayerKind::Conv2d { out_channels, kernel, stride, padding, groups, .. } => {
                LayerKind::Conv2d { out_channels, kernel, stride, padding, groups, bias: false }
            }
            other => other,
        }
    }
}

/// How two embeddings become one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// A distance. With a head, batch norm over it, then a learned affine map and a sigmoid. Without one the
    /// distance itself is what the loss sees.
    Distance { kind: DistanceKind, head: bool },
    /// A learned sum of what each feature differs by, the logit of a probability (Koch, Zemel and Salakhutdinov,
    /// 2015). As a distance it counts negative.
    WeightedSum,
    /// The probability `exp(-max(D / scale, 1e-6))` of the L1 distance `D`, without parameters.
    Exponential { scale: f32 },
}

impl Comparison {
    /// Whether a head stands behind the distance.
    pub fn has_head(self) -> bool {
        matches!(self, Comparison::Distance { head: true, .. })
    }

    /// Whether it gives a similarity, or nothing but a distance.
    pub fn gives_similarity(self) -> bool {
        !matches!(self, Comparison::Distance { head: false, .. })
    }
}

/// A siamese network: one subnet for both images, then a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    pub input: Shape,
    pub layers: Vec<Layer>,
    pub comparison: Comparison,
    pub start: Start,
}

/// Choices that a user may make about a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelOptions {
    pub activation: ActivationKind,
    pub pool: PoolKind,
    pub comparison: Comparison,
    /// Of a classifier.
    pub classes: usize,
}

impl Default for ModelOptions {
    /// The SN-LeNet-5 paper's: ReLU, maximum pooling, Euclidean distance, a learned head.
    fn default() -> Self {
        ModelOptions {
            activation: ActivationKind::Relu,
            pool: PoolKind::Max,
            comparison: Comparison::Distance { kind: DistanceKind::Euclidean, head: true },
            classes: 10,
        }
    }
}

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("there is no model \"{name}\"; {}the models are: {}", meant(name), NAMES.join(", "))]
    Unknown { name: String },
    #[error(
        "model \"{model}\" takes images of 28x28 or 32x32, but these are {}x{}",
        shape.height,
        shape.width
    )]
    Shape { model: String, shape: Shape },
    #[error("model \"{model}\" does not take images of {}x{}: {why}", shape.height, shape.width)]
    Unsuited { model: String, shape: Shape, why: &'static str },
}

fn meant(name: &str) -> String {
    text::closest(name, NAMES).map_or(String::new(), |meant| format!("did you mean {meant}? "))
}

/// Every model's name, as `--model` takes it.
pub const NAMES: &[&str] = &[
    "sn-lenet5",
    "resnet-small",
    "resnet18",
    "conv4",
    "koch",
    "sircnn",
    "sircnn-eca",
    "lenet5",
    "resnet-small-classifier",
];

/// The network of this name for images of this shape.
pub fn network(name: &str, input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    match name {
        "sn-lenet5" => sn_lenet5::network(input, options),
        "resnet-small" => resnet::small(input, options),
        "koch" => koch::network(input, options),
        "resnet18" => Ok(resnet::resnet18(input, options)),
        "conv4" => conv4::network(input, options),
        "sircnn" => sircnn::network(input, options),
        "sircnn-eca" => sircnn::with_eca(input, options),
        "lenet5" => lenet5::network(input, options),
        "resnet-small-classifier" => Ok(resnet::small(input, options)?.classifier(name, "classes", options)),
        _ => Err(ModelError::Unknown { name: name.to_string() }),
    }
}

/// Whether a model gives each image a logit for each class instead of comparing two.
pub fn is_classifier(name: &str) -> bool {
    subnet_of(name).is_some()
}

/// Whether a model was made to give the probability that a pair is the same.
pub fn gives_probability(name: &str) -> bool {
    matches!(name, "koch" | "sircnn" | "sircnn-eca")
}

/// The network that compares, of whose subnet a classifier is made.
pub fn subnet_of(classifier: &str) -> Option<&'static str> {
    match classifier {
        "lenet5" => Some("sn-lenet5"),
        "resnet-small-classifier" => Some("resnet-small"),
        _ => None,
    }
}

impl Network {
    /// The subnet with a logit for each class behind its embedding, from a layer of this name. Nothing is compared,
    /// so what a head would see is missing.
    fn classifier(mut self, name: &str, layer: &str, options: &ModelOptions) -> Network {
        self.layers.push(Layer::new(layer, LayerKind::Dense { outputs: options.classes }));
        self.comparison = Comparison::Distance { kind: DistanceKind::Euclidean, head: false };
        Network { name: name.into(), ..self }
    }
}
