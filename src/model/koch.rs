//! Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition" (2015), figure 4.

use super::{ModelError, ModelOptions, Network};
use crate::graph::{Conv, Graph, Initialization};
use crate::ops::activation::ActivationKind;
use crate::tensor::Shape;

/// The least height and width of which four valid convolutions and three halvings leave something.
const LEAST: usize = 65;

/// Made for images of 105x105, of which it makes 4,096 features between 0 and 1: with its own comparison, the learned
/// weighted sum of absolute differences, 38,951,745 parameters. Smaller images must leave room for four valid
/// convolutions.
///
/// # Errors
/// [`ModelError::Unsuited`]
pub fn network(input: Shape, options: &ModelOptions) -> Result<Network, ModelError> {
    if input.height.min(input.width) < LEAST {
        let why = "its four convolutions take 65x65 and larger; add --image-size 105, the paper's";
        return Err(ModelError::Unsuited { model: "koch".into(), shape: input, why });
    }
    // Section 3.3.
    let initialization = Initialization::Normal { convolution: 0.01, dense: 0.2, bias: (0.5, 0.01) };
    let build = |graph: &mut Graph, images| {
        let mut x = images;
        for (number, (channels, kernel)) in [(64, 10), (128, 7), (128, 4), (256, 4)].into_iter().enumerate() {
            let number = number + 1;
            x = graph.conv2d(&format!("conv{number}"), x, Conv::new(channels, kernel, 1, 0));
            x = graph.activation(&format!("act{number}"), x, options.activation);
            if number < 4 {
                x = graph.pool(&format!("pool{number}"), x, options.pool, [2, 2, 0]);
            }
        }
        x = graph.dense("fc1", x, 4096);
        graph.activation("act5", x, ActivationKind::Sigmoid)
    };
    Ok(Network::new("koch", input, initialization, Some(options.comparison), build)?)
}
