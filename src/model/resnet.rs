//! Residual networks (He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", 2016).

use super::{Layer, LayerKind, ModelError, ModelOptions, Network, Start};
use crate::data::Shape;

/// PyTorch's.
const NORM: LayerKind = LayerKind::BatchNorm { eps: 1e-5, momentum: 0.1 };

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

/// For images of 28x28 or 32x32, on few cores: 0.3 million parameters, some 20 MFLOP an image. Each stage
/// halves the image's sides, the first one too.
pub fn small(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    if !matches!((input.height, input.width), (28, 28) | (32, 32)) {
        return Err(ModelError::Shape { model: "resnet-small".into(), shape: input });
    }
    let stages = &[(32, 1, 2), (64, 1, 2), (128, 1, 2)];
    let residual = Residual { stem: (32, 3, 1), pool: false, stages, features: 64 };
    Ok(network("resnet-small", input, options, &residual))
}

/// ResNet-18 down to the mean over its 512 channels, in torchvision's names.
pub fn resnet18(input: Shape, options: &ModelOptions) -> Network {
    let stages = &[(64, 2, 1), (128, 2, 2), (256, 2, 2), (512, 2, 2)];
    network("resnet18", input, options, &Residual { stem: (64, 7, 2), pool: true, stages, features: 0 })
}

/// Stem, stages of blocks, the mean over each channel, and a dense layer to the embedding.
pub fn network(name: &str, input: Shape, options: &ModelOptions, residual: &Residual<'_>) -> Network {
    let activation = LayerKind::Activation(options.activation);
    let (mut channels, kernel, stride) = residual.stem;
    let mut layers = vec![
        Layer::new("conv1", conv(channels, kernel, stride)),
        Layer::new("bn1", NORM),
        Layer::new("act1", activation),
    ];
    if residual.pool {
        let (size, stride, padding) = (3, 2, 1);
        layers.push(Layer::new("pool1", LayerKind::Pool2d { kind: options.pool, size, stride, padding }));
    }
    for (stage, &(out_channels, blocks, stride)) in residual.stages.iter().enumerate() {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let projects = stride != 1 || out_channels != channels;
            let from = layers[layers.len() - 1].name.clone();
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            layers.extend([
                Layer::new(name("conv1"), conv(out_channels, 3, stride)),
                Layer::new(name("bn1"), NORM),
                Layer::new(name("act1"), activation),
                Layer::new(name("conv2"), conv(out_channels, 3, 1)),
                Layer::new(name("bn2"), NORM),
            ]);
            let mut shortcut = from.clone();
            if projects {
                shortcut = name("downsample.1");
                layers.push(Layer::new(name("downsample.0"), conv(out_channels, 1, stride)).of([&from]));
                layers.push(Layer::new(&shortcut, NORM));
            }
            layers.push(Layer::new(name("add"), LayerKind::Add).of([&name("bn2"), &shortcut]));
            layers.push(Layer::new(name("act2"), activation));
            channels = out_channels;
        }
    }
    layers.push(Layer::new("pool", LayerKind::GlobalAveragePool));
    if residual.features > 0 {
        layers.push(Layer::new("fc", LayerKind::Dense { outputs: residual.features }));
    }
    Network { name: name.into(), input, layers, comparison: options.comparison, start: Start::PyTorch }
}

/// Padded so that only the stride changes the image's size.
fn conv(out_channels: usize, kernel: usize, stride: usize) -> LayerKind {
    LayerKind::conv2d(out_channels, kernel, stride, kernel / 2).unbiased()
}
