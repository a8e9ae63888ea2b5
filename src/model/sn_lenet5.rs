//! SN-LeNet-5, from "Advancements in Image Recognition: A Siamese Network Approach", section 3.

use super::{Layer, LayerKind, ModelError, ModelOptions, Network, Start};
use crate::data::Shape;

/// LeNet-5 down to its 84 features. Images of 28x28 are padded to the 32x32 that LeNet-5 was made
/// for; ReLU and maximum pooling unless the options say otherwise.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let padding = match (input.height, input.width) {
        (28, 28) => 2,
        (32, 32) => 0,
        _ => return Err(ModelError::Shape { model: "sn-lenet5".into(), shape: input }),
    };
    let conv = |out_channels, padding| LayerKind::conv2d(out_channels, 5, 1, padding);
    let activation = LayerKind::Activation(options.activation);
    let pool = LayerKind::Pool2d { kind: options.pool, size: 2, stride: 2, padding: 0 };
    Ok(Network {
        name: "sn-lenet5".into(),
        input,
        layers: vec![
            Layer::new("conv1", conv(6, padding)),
            Layer::new("act1", activation),
            Layer::new("pool1", pool),
            Layer::new("conv2", conv(16, 0)),
            Layer::new("act2", activation),
            Layer::new("pool2", pool),
            Layer::new("fc1", LayerKind::Dense { outputs: 120 }),
            Layer::new("act3", activation),
            Layer::new("fc2", LayerKind::Dense { outputs: 84 }),
            Layer::new("act4", activation),
        ],
        comparison: options.comparison,
        start: Start::PyTorch,
    })
}
