//! Four convolutions: the usual small network of one-shot learning (Vinyals and others, "Matching Networks for One
//! Shot Learning", 2016, section 4.1).

use super::{ModelError, ModelOptions, Network};
use crate::graph::{Conv, Graph, Initialization};
use crate::tensor::Shape;

const FILTERS: usize = 64;

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
    let build = |graph: &mut Graph, images| {
        (1..=4).fold(images, |x, number| {
            let x = graph.conv2d(&format!("conv{number}"), x, Conv::new(FILTERS, 3, 1, 1));
            let x = graph.batch_norm(&format!("bn{number}"), x, 1e-5, 0.1);
            let x = graph.activation(&format!("act{number}"), x, options.activation);
            graph.pool(&format!("pool{number}"), x, options.pool, [2, 2, 0])
        })
    };
    Ok(Network::new("conv4", input, Initialization::PyTorch, Some(options.comparison), build)?)
}
