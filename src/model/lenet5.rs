//! LeNet-5 as a classifier: the baseline of tables 3 and 4 of the SN-LeNet-5 paper.

use super::{ModelError, ModelOptions, Network, sn_lenet5};
use crate::data::Shape;

/// SN-LeNet-5's subnet with a logit for each class behind its 84 features.
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    let subnet = sn_lenet5::network(input, options)
        .map_err(|_| ModelError::Shape { model: "lenet5".into(), shape: input })?;
    Ok(subnet.classifier("lenet5", "fc3", options))
}
