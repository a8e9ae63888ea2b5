//! LeNet-5 as a classifier: the baseline of tables 3 and 4 of the SN-LeNet-5 paper.

use super::{ModelError, ModelOptions, Network, sn_lenet5};
use crate::graph::{Graph, Initialization};
use crate::tensor::Shape;

/// SN-LeNet-5's backbone with a logit for each class behind its 84 features.
///
/// # Errors
/// Images of other sizes than 28x28 and 32x32.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let padding = sn_lenet5::padding("lenet5", input)?;
    let build = |graph: &mut Graph, images| {
        let features = sn_lenet5::backbone(graph, images, padding, options);
        graph.dense("fc3", features, options.classes)
    };
    Ok(Network::new("lenet5", input, Initialization::PyTorch, None, build)?)
}
