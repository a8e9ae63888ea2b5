//! Four convolutions: the usual small network of one-shot learning (Vinyals and others, "Matching Networks for One
//! Shot Learning", 2016, section 4.1).

use super::{Layer, LayerKind, ModelError, ModelOptions, Network, Start};
use crate::data::Shape;

const FILTERS: usize = 64;
/// PyTorch's.
const NORM: LayerKind = LayerKind::BatchNorm { eps: 1e-5, momentum: 0.1 };

/// Four times a convolution of 3x3, a norm, an activation and a pool of 2x2; what is left is the embedding: 64
/// values of images of 28x28.
///
/// # Errors
/// Images so small that nothing would be left.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    if input.height < 28 || input.width < 28 {
        let why = "it takes 28x28 and larger, of which it halves each side four times";
        return Err(ModelError::Unsuited { model: "conv4".into(), shape: input, why });
    }
    let pool = LayerKind::Pool2d { kind: options.pool, size: 2, stride: 2, padding: 0 };
    let block = |number| {
        [
            Layer::new(format!("conv{number}"), LayerKind::conv2d(FILTERS, 3, 1, 1)),
            Layer::new(format!("bn{number}"), NORM),
            Layer::new(format!("act{number}"), LayerKind::Activation(options.activation)),
            Layer::new(format!("pool{number}"), pool),
        ]
    };
    let layers = (1..=4).flat_map(block).collect();
    Ok(Network { name: "conv4".into(), input, layers, comparison: options.comparison, start: Start::PyTorch })
}
