//! LeNet-5 as a classifier: the baseline of tables 3 and 4 of the SN-LeNet-5 paper.

use super::{Comparison, Layer, LayerKind, ModelError, ModelOptions, Network, sn_lenet5};
use crate::data::Shape;

/// SN-LeNet-5's subnet with a logit for each class behind its 84 features.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let trunk = sn_lenet5::network(input, options)
        .map_err(|_| ModelError::Shape { model: "lenet5".into(), shape: input })?;
    let mut layers = trunk.layers;
    layers.push(Layer::new("fc3", LayerKind::Dense { outputs: options.classes }));
    // Nothing is compared: what a head would see is missing.
    let comparison = Comparison { head: false, ..options.comparison };
    Ok(Network { name: "lenet5".into(), layers, comparison, ..trunk })
}
