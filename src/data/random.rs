//! Where everything random comes from: a function of (seed, stream, two coordinates).
//!
//! A library's distributions and shuffles may change between its versions; the words of ChaCha8
//! cannot. So only words are taken from the library, and everything else is made of them here, with
//! integer arithmetic and the floating-point operations that IEEE 754 rounds exactly
//! (+ - * / sqrt): the same bits on every platform, however many threads draw.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// What random numbers are for. Streams of one seed are independent of each other.
///
/// The numbers are part of what a seed means: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Which training images validate.
    Split = 1,
    /// Partners in training pairs; coordinates (epoch, image).
    TrainPairs = 2,
    /// Partners in validation pairs; coordinates (0, image).
    ValidationPairs = 3,
    /// Partners in test pairs; coordinates (0, image).
    TestPairs = 4,
    /// Order of the training pairs; coordinates (epoch, 0).
    PairOrder = 5,
    /// Initial values of parameters.
    Weights = 6,
    /// Distortion of training images; coordinates (epoch, place in its list).
    Augmentation = 7,
    /// Seed words of dropout; coordinates (training step, 0).
    Dropout = 8,
    /// Styles of the built-in set's alphabets; coordinates (alphabet, 0).
    GlyphStyles = 9,
    /// Characters of the built-in set; coordinates (class, attempt).
    Glyphs = 10,
    /// Drawings of those characters; coordinates (class, index within the class).
    GlyphImages = 11,
    /// Inputs of parity cases; coordinates (tensor, 0), the case as seed.
    Parity = 12,
    /// Order of the training images of a classifier; coordinates (epoch, 0).
    ImageOrder = 20,
    /// One-shot tasks of validation; coordinates (alphabet, task).
    ValidationTasks = 40,
    /// One-shot tasks of the test; coordinates (alphabet, task).
    TestTasks = 41,
    /// Which classes or alphabets validate.
    SplitGroups = 30,
    /// Batches of one alphabet; coordinates (epoch, step).
    AlphabetBatches = 31,
    /// Batches of episodes; coordinates (epoch, step).
    EpisodeBatches = 32,
    /// Batches of several images a class; coordinates (epoch, step).
    ClassBatches = 33,
    /// First directions of a projection; coordinates (0, 0), always the same seed.
    Projection = 50,
}

/// A generator of random words and what is made of them.
#[derive(Clone, Debug)]
pub struct Random {
    words: ChaCha8Rng,
    spare: Option<f32>,
}

impl Random {
    /// The generator of one place in one stream; `epoch` and `index` are any two coordinates.
    ///
    /// The ChaCha key is the four numbers as little-endian u64 (seed, stream, epoch, index), the
    /// nonce is 0, so no two places share a sequence.
    #[must_use]
    pub fn new(seed: u64, stream: Stream, epoch: u64, index: u64) -> Self {
        Self::keyed([seed, stream as u64, epoch, index])
    }

    fn keyed(numbers: [u64; 4]) -> Self {
        let mut key = [0; 32];
        for (bytes, number) in key.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Self { words: ChaCha8Rng::from_seed(key), spare: None }
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        self.words.next_u32()
    }

    /// Uniform in 0..n; 0 for n = 0.
    ///
    /// Two words, the first one high, make a 64-bit fraction, which is multiplied by n. Always two
    /// words, no rejection; each value's chance is off by less than n / 2^64.
    pub fn below(&mut self, n: u32) -> u32 {
        let fraction = (u64::from(self.word()) << 32) | u64::from(self.word());
        ((u128::from(fraction) * u128::from(n)) >> 64) as u32
    }

    /// Uniform in [0, 1), a multiple of 2^-24: the upper 24 bits of one word.
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 8) as f32 / 16_777_216.0
    }

    /// `low + (high - low) * uniform()`: uniform from `low` to `high`, where rounding may reach `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Normal with mean 0 and standard deviation 1, by Marsaglia's polar method in f64.
    ///
    /// Source: G. Marsaglia and T. A. Bray, "A convenient method for generating normal variables"
    /// (1964).
    pub fn normal(&mut self) -> f32 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        loop {
            let (x, y) = (self.symmetric(), self.symmetric());
            let square = x * x + y * y;
            if square < 1.0 {
                let scale = (-2.0 * ln(square) / square).sqrt();
                self.spare = Some((y * scale) as f32);
                return (x * scale) as f32;
            }
        }
    }

    /// Uniform in (-1, 1), never 0: an odd multiple of 2^-32.
    fn symmetric(&mut self) -> f64 {
        (f64::from(self.word() as i32) + 0.5) / 2_147_483_648.0
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates, from the last item down).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // Nothing here has 2^32 items: images are counted by u32.
            let other = self.below(u32::try_from(last + 1).unwrap_or(u32::MAX));
            items.swap(last, other as usize);
        }
    }
}

/// Cosine and sine of an angle in radians, at most a few turns, to about 1e-15.
///
/// Of the platform's library the last bit may differ. Here the angle is halved until a series of few terms
/// holds it, and doubled again.
#[must_use]
pub fn cosine_sine(angle: f64) -> [f64; 2] {
    const DOUBLINGS: i32 = 4;
    let small = angle / f64::from(1 << DOUBLINGS);
    let square = small * small;
    // 1 - cos keeps the digits that cos would lose beside 1. With |small| < 1 nothing is left after 20 powers.
    let series = |first: u32| {
        let terms = (first..first + 18).step_by(2).rev();
        terms.fold(0.0, |rest, n| (1.0 - rest) * square / f64::from((n + 1) * (n + 2)))
    };
    let (mut lack, mut sine) = (series(0), small * (1.0 - series(1)));
    for _ in 0..DOUBLINGS {
        (lack, sine) = (2.0 * sine * sine, 2.0 * sine * (1.0 - lack));
    }
    [1.0 - lack, sine]
}

/// Natural logarithm of a positive, normal `x`, to about 1e-16 of max(1, |ln x|).
///
/// `f64::ln` comes from the platform's library and may differ in the last bit. Here
/// x = m * 2^e with m in [sqrt(1/2), sqrt(2)), and ln m = 2 artanh((m - 1) / (m + 1)) as a series.
fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits((bits & MANTISSA) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1;
    }
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    // |z| < 0.172: after z^23 / 23 nothing is left that f64 could hold.
    let series = (0..12).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Random {
        Random::new(42, Stream::Split, 3, 7)
    }

    #[test]
    fn words_are_those_of_chacha8() {
        // The published key stream of ChaCha8 for an all-zero 256-bit key and nonce.
        let mut random = Random::keyed([0; 4]);
        let bytes: Vec<u8> = (0..8).flat_map(|_| random.word().to_le_bytes()).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e");
    }
    // The values pinned below were computed by an independent ChaCha8 from the same key.

    #[test]
    fn first_words_are_pinned() {
        let mut random = example();
        let words: Vec<u32> = (0..100).map(|_| random.word()).collect();
        assert_eq!(words[..4], [0x5a5e_3520, 0x8427_be20, 0xdf65_1aed, 0x5670_18a6]);
        assert_eq!(words[99], 0xcab8_be48);
    }

    #[test]
    fn first_values_are_pinned() {
        let mut random = example();
        assert_eq!([0; 6].map(|_| random.below(1000)), [352, 872, 693, 653, 466, 758]);
        let mut random = example();
        assert_eq!(
            [0; 4].map(|_| random.uniform() * 16_777_216.0),
            [5_922_357.0, 8_660_926.0, 14_640_410.0, 5_664_792.0]
        );
        let mut random = example();
        assert_eq!(
            [0; 6].map(|_| random.normal()),
            [-0.403_080_04, 1.068_588_3, -0.222_935_5, -0.273_736_3, -0.382_044_37, 0.586_303_35]
        );
        let mut random = example();
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        random.shuffle(&mut items);
        assert_eq!(items, [8, 1, 0, 6, 9, 2, 4, 5, 7, 3]);
    }

    #[test]
    fn every_coordinate_changes_the_sequence() {
        let places = [
            example(),
            Random::new(43, Stream::Split, 3, 7),
            Random::new(42, Stream::TrainPairs, 3, 7),
            Random::new(42, Stream::Split, 4, 7),
            Random::new(42, Stream::Split, 3, 8),
            Random::new(42, Stream::Split, 7, 3),
            Random::new(42, Stream::Split, 3 + (1 << 32), 7),
            Random::new(42, Stream::Split, 3, 7 + (1 << 32)),
        ]
        .map(|mut random| random.word());
        for (i, word) in places.iter().enumerate() {
            assert!(!places[..i].contains(word), "{places:x?}");
        }
    }

    #[test]
    fn below_is_even() {
        let mut random = example();
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[random.below(7) as usize] += 1);
        assert!(counts.iter().all(|&count| (9500..10_500).contains(&count)), "{counts:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }

    #[test]
    fn normal_has_its_moments() {
        let mut random = example();
        let values: Vec<f64> = (0..100_000).map(|_| f64::from(random.normal())).collect();
        let moment = |power| values.iter().map(|x| x.powi(power)).sum::<f64>() / 100_000.0;
        let moments = [moment(1), moment(2), moment(3), moment(4)];
        for (found, (wanted, off)) in
            moments.into_iter().zip([(0.0, 0.015), (1.0, 0.02), (0.0, 0.05), (3.0, 0.15)])
        {
            assert!((found - wanted).abs() < off, "{moments:?}");
        }
    }

    #[test]
    fn shuffles_reach_every_order_alike() {
        let mut counts = std::collections::HashMap::new();
        for index in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            Random::new(1, Stream::Split, 0, index).shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| (840..1160).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn cosine_and_sine_are_right(angle in -7.0f64..7.0) {
            let [cosine, sine] = cosine_sine(angle);
            prop_assert!((cosine - angle.cos()).abs() < 4e-15, "cos {angle}: {cosine}");
            prop_assert!((sine - angle.sin()).abs() < 4e-15, "sin {angle}: {sine}");
        }

        #[test]
        fn values_stay_in_range(seed: u64, index: u64, n in 1u32..) {
            let mut random = Random::new(seed, Stream::Weights, 0, index);
            prop_assert!(random.below(n) < n);
            let x = random.uniform();
            prop_assert!((0.0..1.0).contains(&x));
            prop_assert!((-2.0..=3.0).contains(&random.between(-2.0, 3.0)));
            prop_assert!(random.normal().is_finite());
        }

        #[test]
        fn a_shuffle_loses_nothing(seed: u64, length in 0usize..300) {
            let mut items: Vec<usize> = (0..length).collect();
            Random::new(seed, Stream::Split, 0, 0).shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..length).collect::<Vec<_>>());
        }

        #[test]
        fn the_logarithm_is_right(mantissa in 1.0f64..2.0, exponent in -70i32..70) {
            let x = mantissa * 2f64.powi(exponent);
            prop_assert!((ln(x) - x.ln()).abs() <= 4.0 * f64::EPSILON * x.ln().abs().max(1.0));
        }
    }
}
