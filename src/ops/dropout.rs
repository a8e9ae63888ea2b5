//! Dropout: Srivastava and others, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014, with
//! what stays scaled up in training, so that embedding needs nothing.

use super::{Cost, Step, View, attributes, step};

attributes! {
    /// `y = x scale` where `hash(seed, layer, element) >= threshold`, else 0.
    ///
    /// The seed is the slot's, so every training step has masks of its own; an element's number is that of its
    /// place in the whole batch, so masks depend on no device, layout or cut of the batch.
    pub struct Dropout {
        /// Images of this launch, all first ones before all second ones.
        pub images: u32,
        /// Values of an image.
        pub values: u32,
        /// Images that stand together in a list entry: 2 for pairs, 1 for plain lists.
        pub branches: u32,
        /// First list entry of this launch, behind the slot's.
        pub first: u32,
        /// Number of the layer: each has masks of its own.
        pub layer: u32,
        /// The rate in units of 2^-32.
        pub threshold: u32,
        /// 1 / (1 - rate)
        pub scale: f32,
        /// Add to what the result holds instead of overwriting it.
        pub accumulate: bool,
    }
}

impl Dropout {
    /// Threshold and scale of a rate of at least 0 and below 1.
    pub fn of_rate(rate: f32) -> (u32, f32) {
        let rate = f64::from(rate);
        ((rate * 2f64.powi(32)) as u32, (1.0 / (1.0 - rate)) as f32)
    }

    /// `x` -> `y`, both [images, values].
    pub fn forward(&self, x: View, y: View) -> Step {
        self.masked("forward", ("x", x), ("y", y))
    }

    /// `dy` -> `dx`, through the mask that [`Dropout::forward`] had in the same slot.
    pub fn backward(&self, dy: View, dx: View) -> Step {
        self.masked("backward", ("dy", dy), ("dx", dx))
    }

    fn masked(&self, entry: &'static str, from: (&'static str, View), to: (&'static str, View)) -> Step {
        let count = (self.images * self.values) as usize;
        step(("dropout", entry), self.constants(), &[from], &[to], Cost::each(count, 0, count))
    }
}

/// A number for each combination of these, as good as drawn: rounds of Wellons' 32-bit mixer ("lowbias32").
pub fn hash([seed_low, seed_high]: [u32; 2], layer: u32, element: u32) -> u32 {
    let key = mix(seed_low ^ layer.wrapping_mul(0x9e37_79b9));
    mix(mix(element ^ key).wrapping_add(seed_high))
}

fn mix(mut bits: u32) -> u32 {
    bits = (bits ^ bits >> 16).wrapping_mul(0x7feb_352d);
    bits = (bits ^ bits >> 15).wrapping_mul(0x846c_a68b);
    bits ^ bits >> 16
}
