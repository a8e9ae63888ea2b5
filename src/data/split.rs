//! Which images train, which validate and which test.

use super::{Dataset, Random, Stream};

/// Image indices into the whole data set, training images before test images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Images to learn from, in random order.
    pub train: Vec<u32>,
    /// Images to choose the best epoch by, in random order.
    pub validation: Vec<u32>,
    /// Images that are never trained on or chosen by, in the set's order.
    pub test: Vec<u32>,
}

/// Splits `dataset`: of its training images, after a shuffle from `seed`, one fifth (rounded down)
/// validates and the rest trains; its test images test.
///
/// MNIST and Fashion-MNIST: 48,000, 12,000 and 10,000 images; CIFAR-10: 40,000, 10,000 and 10,000; as in
/// the SN-LeNet-5 paper.
#[must_use]
pub fn split(dataset: &Dataset, seed: u64) -> Split {
    // Images are counted by u32 everywhere; loaders hold far fewer.
    let end = u32::try_from(dataset.len()).unwrap_or(u32::MAX);
    let first_test = u32::try_from(dataset.train_images).unwrap_or(u32::MAX).min(end);
    let mut train: Vec<u32> = (0..first_test).collect();
    Random::new(seed, Stream::Split, 0, 0).shuffle(&mut train);
    let validation = train.split_off(train.len() - train.len() / 5);
    Split { train, validation, test: (first_test..end).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use proptest::prelude::*;

    fn dataset(train_images: usize, test_images: usize) -> Dataset {
        let images = train_images + test_images;
        Dataset {
            name: "counted".into(),
            title: "Counted".into(),
            shape: Shape { channels: 1, height: 1, width: 1 },
            images: vec![0; images],
            labels: vec![0; images],
            classes: vec!["only".into()],
            alphabets: Vec::new(),
            alphabet_of: Vec::new(),
            train_images,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn mnist_splits_as_in_the_paper() {
        let split = split(&dataset(60_000, 10_000), 0);
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (48_000, 12_000, 10_000));
    }

    #[test]
    fn cifar10_splits_as_in_the_paper() {
        let split = split(&dataset(50_000, 10_000), 0);
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (40_000, 10_000, 10_000));
    }

    #[test]
    fn the_seed_decides() {
        let set = dataset(1000, 10);
        assert_eq!(split(&set, 5), split(&set, 5));
        assert_ne!(split(&set, 5).validation, split(&set, 6).validation);
    }

    #[test]
    fn validation_images_come_from_everywhere() {
        let split = split(&dataset(10_000, 0), 1);
        let early = split.validation.iter().filter(|&&image| image < 5000).count();
        assert!((900..1100).contains(&early), "{early} of 2000 are from the first half");
    }

    proptest! {
        #[test]
        fn every_image_is_in_exactly_one_part(train in 0usize..200, test in 0usize..50, seed: u64) {
            let split = split(&dataset(train, test), seed);
            prop_assert_eq!(split.validation.len(), train / 5);
            prop_assert!(split.test.iter().all(|&image| image as usize >= train));
            prop_assert!(split.train.iter().chain(&split.validation).all(|&image| (image as usize) < train));
            let mut all: Vec<u32> = [split.train, split.validation, split.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..(train + test) as u32).collect::<Vec<_>>());
        }
    }
}
