//! SiRCNN, from "Improved Image Classification Algorithm based on Siamese Network": a residual network of three
//! bottlenecks, each with channel attention.
//!
//! The paper's text and its count of parameters describe two attentions, so there are two networks. Sizes in the
//! comments are those of Omniglot's 105x105.

use super::{Comparison, Layer, LayerKind, ModelError, ModelOptions, Network, Start};
use crate::data::Shape;
use crate::ops::activation::ActivationKind;

/// Keras's: it keeps 0.99 of the running statistics where PyTorch would say that it takes 0.01.
const NORM: LayerKind = LayerKind::BatchNorm { eps: 1e-3, momentum: 0.01 };
/// Of the paper's three bottlenecks.
const CHANNELS: [usize; 3] = [64, 128, 256];
const SIGMOID: LayerKind = LayerKind::Activation(ActivationKind::Sigmoid);

/// How each channel gets its factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// A separable convolution over a sequence of one step, and a norm: what the paper's count holds.
    Separable,
    /// One convolution of three taps across channels, as ECA was published: what the paper's text says.
    AcrossChannels,
}

/// The network that the paper's table of parameters counts.
///
/// # Errors
/// Images that are not square.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let network = of_stages("sircnn", input, options, &CHANNELS, Attention::Separable)?;
    let comparison = match options.comparison {
        // Equation 6: the paper's probability has no parameters.
        Comparison::WeightedSum => Comparison::Exponential { scale: features(input) as f32 },
        other => other,
    };
    Ok(Network { comparison, ..network })
}

/// Values of its embedding of square images: 25,088 of 105x105.
fn features(input: Shape) -> usize {
    let halved = |side: usize| side.div_ceil(2);
    let side = CHANNELS.iter().fold(halved(input.height) + 1, |side, _| halved(side));
    2 * CHANNELS[CHANNELS.len() - 1] * side * side
}

/// The network that the paper's text describes.
///
/// # Errors
/// Images that are not square.
pub fn with_eca(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    of_stages("sircnn-eca", input, options, &CHANNELS, Attention::AcrossChannels)
}

/// A stem, and behind it a bottleneck for each number of channels; the first is also the stem's.
///
/// # Errors
/// Images that are not square.
pub fn of_stages(
    name: &str,
    input: Shape,
    options: &ModelOptions,
    channels: &[usize],
    attention: Attention,
) -> Result<Network, ModelError> {
    if input.height != input.width {
        let why = "its attention takes the mean of square channels";
        return Err(ModelError::Unsuited { model: name.into(), shape: input, why });
    }
    let activation = LayerKind::Activation(options.activation);
    let pool = LayerKind::Pool2d { kind: options.pool, size: 2, stride: 1, padding: 1 };
    let mut layers = vec![
        Layer::new("conv1", LayerKind::conv2d(channels[0], 3, 2, 1)), // 53x53
        Layer::new("bn1", NORM),
        Layer::new("act1", activation),
        Layer::new("pool1", pool), // 54x54
    ];
    // 27x27, 14x14, 7x7
    for (number, &channels) in channels.iter().enumerate() {
        let from = layers[layers.len() - 1].name.clone();
        let block = bottleneck(&format!("layer{}", number + 1), &from, channels, activation, attention);
        layers.extend(block);
    }
    Ok(Network { name: name.into(), input, layers, comparison: options.comparison, start: Start::Glorot })
}

/// Half the image's sides, twice the channels.
fn bottleneck(
    name: &str,
    from: &str,
    channels: usize,
    activation: LayerKind,
    attention: Attention,
) -> Vec<Layer> {
    let name = |part: &str| format!("{name}.{part}");
    let mut layers = vec![
        Layer::new(name("conv1"), LayerKind::conv2d(channels, 1, 1, 0)),
        Layer::new(name("bn1"), NORM),
        Layer::new(name("act1"), activation),
        Layer::new(name("conv2"), LayerKind::conv2d(channels, 3, 2, 1)),
        Layer::new(name("bn2"), NORM),
        Layer::new(name("act2"), activation),
        Layer::new(name("conv3"), LayerKind::conv2d(2 * channels, 1, 1, 0)),
        Layer::new(name("bn3"), NORM),
        Layer::new(name("attention.mean"), LayerKind::GlobalAveragePool),
    ];
    match attention {
        Attention::Separable => layers.extend(separable(&name("attention"), 2 * channels)),
        Attention::AcrossChannels => {
            layers.push(Layer::new(name("attention.conv"), LayerKind::ChannelConv { kernel: 3 }));
        }
    }
    layers.extend([
        Layer::new(name("attention.sigmoid"), SIGMOID),
        Layer::new(name("attention.scale"), LayerKind::Scale).of([&name("bn3"), &name("attention.sigmoid")]),
        Layer::new(name("downsample.0"), LayerKind::conv2d(2 * channels, 1, 2, 0)).of([from]),
        Layer::new(name("downsample.1"), NORM),
        Layer::new(name("add"), LayerKind::Add).of([&name("attention.scale"), &name("downsample.1")]),
        Layer::new(name("act3"), activation),
    ]);
    layers
}

/// Each channel alone, then all of them, along a sequence. It has one step, so of the three taps in a row the
/// outer two only ever see padding.
fn separable(name: &str, channels: usize) -> [Layer; 3] {
    let depthwise = LayerKind::Conv2d {
        out_channels: channels,
        kernel: [1, 3],
        stride: 1,
        padding: [0, 1],
        groups: channels,
        bias: false,
    };
    [
        Layer::new(format!("{name}.depthwise"), depthwise),
        Layer::new(format!("{name}.pointwise"), LayerKind::conv2d(channels, 1, 1, 0)),
        Layer::new(format!("{name}.bn"), NORM),
    ]
}
