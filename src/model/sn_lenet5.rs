//! SN-LeNet-5, from "Advancements in Image Recognition: A Siamese Network Approach", section 3.

use super::{ModelError, ModelOptions, Network};
use crate::graph::{Conv, Graph, Initialization, ValueId};
use crate::tensor::Shape;

/// LeNet-5 down to its 84 features. Images of 28x28 are padded to the 32x32 that LeNet-5 was made for; ReLU and
/// maximum pooling unless the options say otherwise.
///
/// # Errors
/// Images of other sizes.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let padding = padding("sn-lenet5", input)?;
    let comparison = Some(options.comparison);
    let build = |graph: &mut Graph, images| backbone(graph, images, padding, options);
    Ok(Network::new("sn-lenet5", input, Initialization::PyTorch, comparison, build)?)
}

pub(super) fn padding(model: &str, input: Shape) -> Result<usize, ModelError> {
    match (input.height, input.width) {
        (28, 28) => Ok(2),
        (32, 32) => Ok(0),
        _ => Err(ModelError::Shape { model: model.into(), shape: input }),
    }
}

pub(super) fn backbone(
    graph: &mut Graph,
    images: ValueId,
    padding: usize,
    options: &ModelOptions,
) -> ValueId {
    let mut x = images;
    for (number, conv) in [(1, Conv::new(6, 5, 1, padding)), (2, Conv::new(16, 5, 1, 0))] {
        x = graph.conv2d(&format!("conv{number}"), x, conv);
        x = graph.activation(&format!("act{number}"), x, options.activation);
        x = graph.pool(&format!("pool{number}"), x, options.pool, [2, 2, 0]);
    }
    for (number, outputs) in [(1, 120), (2, 84)] {
        x = graph.dense(&format!("fc{number}"), x, outputs);
        x = graph.activation(&format!("act{}", number + 2), x, options.activation);
    }
    x
}
