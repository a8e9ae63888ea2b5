//! Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition" (2015), figure 4.

use super::{Layer, LayerKind, ModelError, ModelOptions, Network, Start};
use crate::data::Shape;
use crate::ops::activation::ActivationKind;

/// The least height and width of which four valid convolutions and three halvings leave something.
const LEAST: usize = 65;

/// Made for images of 105x105, of which it makes 4,096 features between 0 and 1: with its own comparison, the learned
/// sum of what they differ by, 38,951,745 parameters. Smaller images must leave room for four valid convolutions.
///
/// # Errors
/// [`ModelError::Unsuited`]
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    if input.height.min(input.width) < LEAST {
        let why = "its four convolutions take 65x65 and larger; add --image-size 105, the paper's";
        return Err(ModelError::Unsuited { model: "koch".into(), shape: input, why });
    }
    let conv = |out_channels, kernel| LayerKind::conv2d(out_channels, kernel, 1, 0);
    let activation = LayerKind::Activation(options.activation);
    let pool = LayerKind::Pool2d { kind: options.pool, size: 2, stride: 2, padding: 0 };
    Ok(Network {
        name: "koch".into(),
        input,
        layers: vec![
            Layer::new("conv1", conv(64, 10)),
            Layer::new("act1", activation),
            Layer::new("pool1", pool),
            Layer::new("conv2", conv(128, 7)),
            Layer::new("act2", activation),
            Layer::new("pool2", pool),
            Layer::new("conv3", conv(128, 4)),
            Layer::new("act3", activation),
            Layer::new("pool3", pool),
            Layer::new("conv4", conv(256, 4)),
            Layer::new("act4", activation),
            Layer::new("fc1", LayerKind::Dense { outputs: 4096 }),
            Layer::new("act5", LayerKind::Activation(ActivationKind::Sigmoid)),
        ],
        comparison: options.comparison,
        // Section 3.3.
        start: Start::Normal { convolution: 0.01, dense: 0.2, bias: (0.5, 0.01) },
    })
}
