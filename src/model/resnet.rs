//! Residual networks (He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016).

use super::{ModelError, ModelOptions, Network};
use crate::graph::{Conv, Graph, Initialization, Op, ValueId};
use crate::tensor::Shape;

/// What makes a residual network of two convolutions to a block.
#[derive(Clone, Copy, Debug)]
pub struct Residual<'a> {
    /// The first convolution: channels, kernel and stride.
    pub stem: (usize, usize, usize),
    /// Whether a maximum pool, 3x3 with stride 2, follows.
    pub pool: bool,
    /// Channels, blocks, and the first block's stride, stage by stage.
    pub stages: &'a [(usize, usize, usize)],
    /// Values of the embedding; 0 leaves the last stage's channels as they are.
    pub features: usize,
}

/// Each stage halves the image's sides, the first one too.
const SMALL: Residual<'_> =
    Residual { stem: (32, 3, 1), pool: false, stages: &[(32, 1, 2), (64, 1, 2), (128, 1, 2)], features: 64 };

/// For images of 28x28 or 32x32, on few cores: 0.3 million parameters, some 20 MFLOP an image.
///
/// # Errors
/// Images of other sizes.
pub fn small(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    check_small("resnet-small", input)?;
    let build = |graph: &mut Graph, images| backbone(graph, images, options, &SMALL);
    Ok(Network::new("resnet-small", input, Initialization::PyTorch, Some(options.comparison), build)?)
}

/// The same with a logit for each class behind its features.
///
/// # Errors
/// Images of other sizes.
pub fn small_classifier(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    check_small("resnet-small-classifier", input)?;
    let build = |graph: &mut Graph, images| {
        let features = backbone(graph, images, options, &SMALL);
        graph.dense("classes", features, options.classes)
    };
    Ok(Network::new("resnet-small-classifier", input, Initialization::PyTorch, None, build)?)
}

fn check_small(model: &str, input: Shape) -> Result<(), ModelError> {
    match (input.height, input.width) {
        (28, 28) | (32, 32) => Ok(()),
        _ => Err(ModelError::Shape { model: model.into(), shape: input }),
    }
}

/// ResNet-18 down to the mean over its 512 channels, in torchvision's names.
///
/// # Errors
/// Images too small for it.
pub fn resnet18(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let stages = &[(64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2)];
    let residual = Residual { stem: (64, 7, 2), pool: true, stages, features: 0 };
    let build = |graph: &mut Graph, images| backbone(graph, images, options, &residual);
    Ok(Network::new("resnet18", input, Initialization::PyTorch, Some(options.comparison), build)?)
}

/// Stem, stages of blocks, the mean over each channel, and a dense layer to the embedding.
pub fn backbone(
    graph: &mut Graph,
    images: ValueId,
    options: &ModelOptions,
    residual: &Residual<'_>,
) -> ValueId {
    let (mut channels, kernel, stride) = residual.stem;
    let mut x = normed(graph, ["conv1", "bn1"], images, conv(channels, kernel, stride));
    x = graph.activation("act1", x, options.activation);
    if residual.pool {
        x = graph.pool("pool1", x, options.pool, [3, 2, 1]);
    }
    for (stage, &(out_channels, blocks, stride)) in residual.stages.iter().enumerate() {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            let names = |parts: [&str; 2]| parts.map(name);
            let [conv1, bn1] = names(["conv1", "bn1"]);
            let mut y = normed(graph, [&conv1, &bn1], x, conv(out_channels, 3, stride));
            y = graph.activation(&name("act1"), y, options.activation);
            let [conv2, bn2] = names(["conv2", "bn2"]);
            y = normed(graph, [&conv2, &bn2], y, conv(out_channels, 3, 1));
            if stride != 1 || out_channels != channels {
                let [conv1, bn1] = names(["downsample.0", "downsample.1"]);
                x = normed(graph, [&conv1, &bn1], x, conv(out_channels, 1, stride));
            }
            x = graph.apply(&name("add"), Op::Add, &[y, x]);
            x = graph.activation(&name("act2"), x, options.activation);
            channels = out_channels;
        }
    }
    x = graph.apply("pool", Op::GlobalAveragePool, &[x]);
    if residual.features > 0 { graph.dense("fc", x, residual.features) } else { x }
}

/// A convolution and its norm, PyTorch's.
fn normed(graph: &mut Graph, [name, norm]: [&str; 2], x: ValueId, conv: Conv) -> ValueId {
    let x = graph.conv2d(name, x, conv);
    graph.batch_norm(norm, x, 1e-5, 0.1)
}

/// Padded so that only the stride changes the image's size.
fn conv(out_channels: usize, kernel: usize, stride: usize) -> Conv {
    Conv::new(out_channels, kernel, stride, kernel / 2).unbiased()
}
