//! The images of an epoch for a classifier: each training image once.

use super::{Random, Split, Stream};

/// The training images of one epoch, in an order that depends on `seed` and `epoch`.
#[must_use]
pub fn training(split: &Split, seed: u64, epoch: u64) -> Vec<u32> {
    let mut images = split.train.clone();
    Random::new(seed, Stream::ImageOrder, epoch, 0).shuffle(&mut images);
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_image_in_an_order_of_its_own() {
        let split = Split { train: (0..300).rev().collect(), validation: vec![300], test: vec![301] };
        let first = training(&split, 1, 1);
        assert_eq!(first, training(&split, 1, 1));
        assert!(first != training(&split, 1, 2) && first != training(&split, 2, 1));
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..300).collect::<Vec<_>>());
    }
}
