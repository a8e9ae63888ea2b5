//! SiRCNN, from "Improved Image Classification Algorithm based on Siamese Network": a residual network of three
//! bottlenecks, each with channel attention.
//!
//! The paper's text and its count of parameters describe two attentions, so there are two networks. Sizes in the
//! comments are those of Omniglot's 105x105.

use super::{ModelError, ModelOptions, Network};
use crate::graph::{Conv, Graph, Initialization, Op, ValueId};
use crate::loss::Comparison;
use crate::ops::activation::ActivationKind;
use crate::tensor::Shape;

/// Of the paper's three bottlenecks.
const CHANNELS: [usize; 3] = [64, 128, 256];

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
    let comparison = match options.comparison {
        // Equation 6: the paper's probability has no parameters.
        Comparison::WeightedSum => Comparison::Exponential { scale: features(input) as f32 },
        other => other,
    };
    of("sircnn", input, &ModelOptions { comparison, ..*options }, Attention::Separable)
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
    of("sircnn-eca", input, options, Attention::AcrossChannels)
}

fn of(name: &str, input: Shape, options: &ModelOptions, attention: Attention) -> Result<Network, ModelError> {
    if input.height != input.width {
        let why = "its attention takes the mean of square channels";
        return Err(ModelError::Unsuited { model: name.into(), shape: input, why });
    }
    let build = |graph: &mut Graph, images| backbone(graph, images, options, &CHANNELS, attention);
    Ok(Network::new(name, input, Initialization::Glorot, Some(options.comparison), build)?)
}

/// A stem, and behind it a bottleneck for each number of channels; the first is also the stem's.
pub fn backbone(
    graph: &mut Graph,
    images: ValueId,
    options: &ModelOptions,
    channels: &[usize],
    attention: Attention,
) -> ValueId {
    let x = normed(graph, ["conv1", "bn1"], images, Conv::new(channels[0], 3, 2, 1)); // 53x53
    let x = graph.activation("act1", x, options.activation);
    let x = graph.pool("pool1", x, options.pool, [2, 1, 1]); // 54x54
    // 27x27, 14x14, 7x7
    channels.iter().enumerate().fold(x, |x, (number, &channels)| {
        bottleneck(graph, &format!("layer{}", number + 1), x, channels, options.activation, attention)
    })
}

/// Half the image's sides, twice the channels.
fn bottleneck(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    channels: usize,
    activation: ActivationKind,
    attention: Attention,
) -> ValueId {
    let name = |part: &str| format!("{name}.{part}");
    let convs =
        [Conv::new(channels, 1, 1, 0), Conv::new(channels, 3, 2, 1), Conv::new(2 * channels, 1, 1, 0)];
    let mut y = x;
    for (number, conv) in (1..).zip(convs) {
        let [own, norm] = ["conv", "bn"].map(|part| name(&format!("{part}{number}")));
        y = normed(graph, [&own, &norm], y, conv);
        if number < 3 {
            y = graph.activation(&name(&format!("act{number}")), y, activation);
        }
    }
    let mut factors = graph.apply(&name("attention.mean"), Op::GlobalAveragePool, &[y]);
    factors = match attention {
        Attention::Separable => separable(graph, &name("attention"), factors, 2 * channels),
        Attention::AcrossChannels => graph.channel_conv(&name("attention.conv"), factors, 3),
    };
    factors = graph.activation(&name("attention.sigmoid"), factors, ActivationKind::Sigmoid);
    y = graph.apply(&name("attention.scale"), Op::Scale, &[y, factors]);
    let [own, norm] = ["downsample.0", "downsample.1"].map(name);
    let shortcut = normed(graph, [&own, &norm], x, Conv::new(2 * channels, 1, 2, 0));
    y = graph.apply(&name("add"), Op::Add, &[y, shortcut]);
    graph.activation(&name("act3"), y, activation)
}

/// Each channel alone, then all of them, along a sequence. It has one step, so of the three taps in a row the
/// outer two only ever see padding.
fn separable(graph: &mut Graph, name: &str, x: ValueId, channels: usize) -> ValueId {
    let depthwise =
        Conv { kernel: [1, 3], padding: [0, 1], groups: channels, ..Conv::new(channels, 1, 1, 0) };
    let x = graph.conv2d(&format!("{name}.depthwise"), x, depthwise.unbiased());
    let names = ["pointwise", "bn"].map(|part| format!("{name}.{part}"));
    normed(graph, [&names[0], &names[1]], x, Conv::new(channels, 1, 1, 0))
}

/// A convolution and its norm, Keras's: it keeps 0.99 of the running statistics where PyTorch would say that it takes
/// 0.01.
fn normed(graph: &mut Graph, [name, norm]: [&str; 2], x: ValueId, conv: Conv) -> ValueId {
    let x = graph.conv2d(name, x, conv);
    graph.batch_norm(norm, x, 1e-3, 0.01)
}
