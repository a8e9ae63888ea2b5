//! Which images train, which validate and which test.

use std::fmt;
use std::str::FromStr;

use super::{DataError, Dataset, Random, Stream};
use crate::text::stands_as_text;

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

/// What stays together where training and validation part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum SplitBy {
    /// Nothing: of every class some images train and some validate.
    Images,
    /// The images of a class: validation is on classes that are not learnt.
    Classes,
    /// The classes of an alphabet: validation is on alphabets that are not learnt.
    Alphabets,
}

impl SplitBy {
    pub const ALL: [SplitBy; 3] = [SplitBy::Images, SplitBy::Classes, SplitBy::Alphabets];

    /// By alphabets where there are any, else by images.
    #[must_use]
    pub fn usual(dataset: &Dataset) -> Self {
        if dataset.alphabets.is_empty() { SplitBy::Images } else { SplitBy::Alphabets }
    }

    fn name(self) -> &'static str {
        match self {
            SplitBy::Images => "images",
            SplitBy::Classes => "classes",
            SplitBy::Alphabets => "alphabets",
        }
    }
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SplitBy {
    type Err = String;

    /// # Errors
    /// The text is none of the three words.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = SplitBy::ALL.into_iter().find(|by| by.name() == text);
        found.ok_or_else(|| "must be images, classes or alphabets".into())
    }
}

stands_as_text!(SplitBy);

/// Splits `dataset`: of its training images, after a shuffle from `seed`, one fifth (rounded down)
/// validates and the rest trains; its test images test.
///
/// MNIST and Fashion-MNIST: 48,000, 12,000 and 10,000 images; CIFAR-10: 40,000, 10,000 and 10,000; as in
/// the SN-LeNet-5 paper.
#[must_use]
pub fn split(dataset: &Dataset, seed: u64) -> Split {
    let (mut train, test) = shuffled(dataset, seed);
    let validation = train.split_off(train.len() - train.len() / 5);
    Split { train, validation, test }
}

/// Splits `dataset` by images, as [`split`], or so that one fifth (rounded down) of the classes or alphabets of its
/// training images validate, drawn from `seed`, and the others train. Of Omniglot's 30 alphabets, 6 validate.
///
/// # Errors
/// Classes belong to no alphabet, or there are fewer than five classes or alphabets.
pub fn split_by(dataset: &Dataset, by: SplitBy, seed: u64) -> Result<Split, DataError> {
    let label = |image: u32| dataset.labels[image as usize];
    let group = |image: u32| match by {
        SplitBy::Alphabets => dataset.alphabet_of[label(image) as usize],
        SplitBy::Classes | SplitBy::Images => label(image),
    };
    if by == SplitBy::Images {
        return Ok(split(dataset, seed));
    }
    if by == SplitBy::Alphabets && dataset.alphabets.is_empty() {
        return Err(DataError::NoAlphabets { wanted: "--split alphabets" });
    }
    let (images, test) = shuffled(dataset, seed);
    let mut groups: Vec<u32> = images.iter().map(|&image| group(image)).collect();
    groups.sort_unstable();
    groups.dedup();
    if groups.len() < 5 {
        return Err(DataError::TooFewGroups { by: by.name(), found: groups.len() });
    }
    Random::new(seed, Stream::SplitGroups, 0, 0).shuffle(&mut groups);
    let chosen = &groups[groups.len() - groups.len() / 5..];
    let (validation, train) = images.into_iter().partition(|&image| chosen.contains(&group(image)));
    Ok(Split { train, validation, test })
}

/// The training images in random order, and the test images.
fn shuffled(dataset: &Dataset, seed: u64) -> (Vec<u32>, Vec<u32>) {
    // Images are counted by u32 everywhere; loaders hold far fewer.
    let end = u32::try_from(dataset.len()).unwrap_or(u32::MAX);
    let first_test = u32::try_from(dataset.train_images).unwrap_or(u32::MAX).min(end);
    let mut train: Vec<u32> = (0..first_test).collect();
    Random::new(seed, Stream::Split, 0, 0).shuffle(&mut train);
    (train, (first_test..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;
    use proptest::prelude::*;
    use std::collections::HashSet;

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

    /// Classes of so many images each, `of` of them to an alphabet, the last two alphabets for the test.
    fn alphabets(alphabets: u32, of: u32, images: u32) -> Dataset {
        let classes = alphabets * of;
        let train = (alphabets - 2) * of * images;
        Dataset {
            labels: (0..classes * images).map(|image| image / images).collect(),
            classes: (0..classes).map(|class| class.to_string()).collect(),
            alphabets: (0..alphabets).map(|alphabet| alphabet.to_string()).collect(),
            alphabet_of: (0..classes).map(|class| class / of).collect(),
            ..dataset(train as usize, (2 * of * images) as usize)
        }
    }

    #[test]
    fn whole_alphabets_validate() {
        let set = alphabets(32, 7, 3);
        let split = split_by(&set, SplitBy::usual(&set), 3).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (24 * 21, 6 * 21, 42));
        let chosen = |seed| {
            let mut chosen: Vec<u32> = split_by(&set, SplitBy::Alphabets, seed).unwrap().validation;
            chosen.iter_mut().for_each(|image| *image /= 21);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 6);
            chosen
        };
        assert_eq!(chosen(3), chosen(3));
        // Every alphabet has its turn: of 30, 6 in each of 100 draws.
        let mut counts = [0; 32];
        (0..100).flat_map(chosen).for_each(|alphabet| counts[alphabet as usize] += 1);
        assert!(counts[..30].iter().all(|count| (5..=40).contains(count)), "{counts:?}");
        assert_eq!(counts[30..], [0, 0]);
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let plain = dataset(100, 10);
        let message = |set: &Dataset, by| split_by(set, by, 0).unwrap_err().to_string();
        assert!(message(&plain, SplitBy::Alphabets).contains("glyph-alphabets"));
        assert!(message(&plain, SplitBy::Classes).contains("1 classes"));
        assert!(message(&alphabets(6, 3, 2), SplitBy::Alphabets).contains("4 alphabets"));
        assert_eq!(split_by(&plain, SplitBy::usual(&plain), 4).unwrap(), split(&plain, 4));
        assert!("characters".parse::<SplitBy>().is_err());
        assert!(SplitBy::ALL.iter().all(|by| by.to_string().parse() == Ok(*by)));
    }

    proptest! {
        #[test]
        fn groups_never_mix(count in 7u32..20, of in 1u32..6, images in 1u32..5, seed: u64) {
            let set = alphabets(count, of, images);
            for (by, size, groups) in
                [(SplitBy::Classes, images, (count - 2) * of), (SplitBy::Alphabets, of * images, count - 2)]
            {
                let Split { train, validation, test } = split_by(&set, by, seed).unwrap();
                let groups_of = |part: &[u32]| -> HashSet<u32> { part.iter().map(|image| image / size).collect() };
                prop_assert!(groups_of(&train).is_disjoint(&groups_of(&validation)));
                prop_assert_eq!(groups_of(&validation).len() as u32, groups / 5);
                prop_assert_eq!(groups_of(&train).len() as u32, groups - groups / 5);
                let mut all = [train, validation, test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..count * of * images).collect::<Vec<_>>());
            }
        }
    }
}
