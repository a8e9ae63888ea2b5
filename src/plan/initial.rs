//! How a layer's parameters start.

use super::Initial;
use crate::model::Start;

/// Of a weight of this shape, outputs first, and of the bias beside it.
pub(super) fn initial(start: Start, weight: &[usize]) -> [Initial; 2] {
    let of_each_output: usize = weight[1..].iter().product();
    match start {
        Start::PyTorch => [Initial::Uniform { bound: 1.0 / (of_each_output as f32).sqrt() }; 2],
        Start::Glorot => {
            let window: usize = weight[2..].iter().product();
            let fans = of_each_output + weight[0] * window;
            [Initial::Uniform { bound: (6.0 / fans as f32).sqrt() }, Initial::Constant(0.0)]
        }
        Start::Normal { convolution, dense, bias: (mean, deviation) } => {
            let of_weight = if weight.len() == 4 { convolution } else { dense };
            [Initial::Normal { mean: 0.0, deviation: of_weight }, Initial::Normal { mean, deviation }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras 3: the fans of Conv2D(7, (3, 5)) on 4 channels are 60 and 105, those of Dense(2) on 10 values 10 and 2.
    #[test]
    fn glorots_bound_counts_what_meets_a_weight_on_either_side() {
        for (shape, fans) in [(&[7, 4, 3, 5][..], 165.0_f32), (&[2, 10], 12.0)] {
            let [weight, bias] = initial(Start::Glorot, shape);
            assert_eq!(weight, Initial::Uniform { bound: (6.0 / fans).sqrt() });
            assert_eq!(bias, Initial::Constant(0.0));
        }
    }
}
