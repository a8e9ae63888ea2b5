//! How the parameters of convolutions and dense layers start.

/// Which values they are drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Start {
    /// Weights and biases uniform within `1 / sqrt(inputs of an output)`.
    #[default]
    PyTorch,
    /// Weights uniform within `sqrt(6 / (fan in + fan out))` (Glorot and Bengio, "Understanding the difficulty of
    /// training deep feedforward neural networks", 2010, equation 16), biases 0, as in Keras.
    Glorot,
    /// Normal weights around 0, by their standard deviations; biases by mean and standard deviation.
    Normal { convolution: f32, dense: f32, bias: (f32, f32) },
}
