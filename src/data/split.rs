//! Which images train, which validate and which test.

use std::collections::HashMap;
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

/// The share of training images, classes or alphabets that validates, unless told otherwise.
pub const SHARE: f64 = 0.2;

/// Fewest images of a class on each side, so that both have positive pairs of it.
const LEAST: usize = 2;

/// Splits `dataset`: of each class's training images, after a shuffle from `seed`, one fifth validates and the rest
/// trains; its test images test. [`split_by`] tells how.
///
/// MNIST and Fashion-MNIST: 48,000, 12,000 and 10,000 images; CIFAR-10: 40,000, 10,000 and 10,000; as in
/// the SN-LeNet-5 paper.
#[must_use]
pub fn split(dataset: &Dataset, seed: u64) -> Split {
    by_images(dataset, SHARE, seed)
}

/// Splits the training images class by class: each gives its share, rounded down, and what is lacking of the whole
/// share, rounded down, comes from the classes whose share was rounded most. A class of four or more images leaves two
/// or more on each side, a smaller one trains.
fn by_images(dataset: &Dataset, share: f64, seed: u64) -> Split {
    let (images, test) = shuffled(dataset, seed);
    let label = |image: &u32| dataset.labels[*image as usize];
    // In the order in which the shuffle shows them, so that chance decides between equals.
    let mut classes: Vec<(u32, usize)> = Vec::new();
    let mut place = HashMap::new();
    for image in &images {
        let at = *place.entry(label(image)).or_insert_with(|| {
            classes.push((label(image), 0));
            classes.len() - 1
        });
        classes[at].1 += 1;
    }
    let mut wanted: HashMap<u32, usize> =
        classes.iter().map(|&(class, count)| (class, part(count, share))).collect();
    let lacking = part(images.len(), share).saturating_sub(wanted.values().sum());
    let rounded = |&(_, count): &(u32, usize)| count as f64 * share - part(count, share) as f64;
    let mut by_loss = classes.clone();
    by_loss.sort_by(|a, b| rounded(b).total_cmp(&rounded(a)));
    for (class, _) in by_loss.iter().take(lacking) {
        *wanted.entry(*class).or_default() += 1;
    }
    for (class, count) in classes {
        let most = if count < 2 * LEAST { 0 } else { count - LEAST };
        let wanted = wanted.entry(class).or_default();
        *wanted = (*wanted).clamp(LEAST.min(most), most);
    }
    // The last of each class, as the shuffle has them.
    let mut validation = Vec::new();
    let mut train = Vec::new();
    for image in images.into_iter().rev() {
        let left = wanted.entry(dataset.labels[image as usize]).or_default();
        if *left > 0 {
            *left -= 1;
            validation.push(image);
        } else {
            train.push(image);
        }
    }
    train.reverse();
    validation.reverse();
    Split { train, validation, test }
}

/// A share of a count, rounded down; that 0.29 times 100 falls short of 29 in binary does not count.
fn part(count: usize, share: f64) -> usize {
    (count as f64 * share + 1e-9) as usize
}

/// Splits `dataset` by images, as [`split`], or so that a share (rounded down) of the classes or alphabets of its
/// training images validate, drawn from `seed`, and the others train. Of Omniglot's 30 alphabets, a fifth is 6.
///
/// # Errors
/// Classes belong to no alphabet, or the share leaves no class or alphabet on one side.
pub fn split_by(dataset: &Dataset, by: SplitBy, share: f64, seed: u64) -> Result<Split, DataError> {
    let label = |image: u32| dataset.labels[image as usize];
    let group = |image: u32| match by {
        SplitBy::Alphabets => dataset.alphabet_of[label(image) as usize],
        SplitBy::Classes | SplitBy::Images => label(image),
    };
    if by == SplitBy::Images {
        return Ok(by_images(dataset, share, seed));
    }
    if by == SplitBy::Alphabets && dataset.alphabets.is_empty() {
        return Err(DataError::NoAlphabets { wanted: "--split alphabets" });
    }
    let (images, test) = shuffled(dataset, seed);
    let mut groups: Vec<u32> = images.iter().map(|&image| group(image)).collect();
    groups.sort_unstable();
    groups.dedup();
    let held = part(groups.len(), share);
    if held == 0 || held == groups.len() {
        return Err(DataError::TooFewGroups { by: by.name(), found: groups.len(), share });
    }
    Random::new(seed, Stream::SplitGroups, 0, 0).shuffle(&mut groups);
    let chosen = &groups[groups.len() - held..];
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
            prop_assert_eq!(split.validation.len(), if train < 4 { 0 } else { (train / 5).max(2) });
            prop_assert!(split.test.iter().all(|&image| image as usize >= train));
            prop_assert!(split.train.iter().chain(&split.validation).all(|&image| (image as usize) < train));
            let mut all: Vec<u32> = [split.train, split.validation, split.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..(train + test) as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_class_gives_its_share() {
        // Ten classes of 10, one of 7, of 5, of 3, of 1; and half of them instead of a fifth.
        let mut set = dataset(116, 0);
        set.labels = [[10; 10].as_slice(), &[7, 5, 3, 1]]
            .concat()
            .iter()
            .zip(0..)
            .flat_map(|(&n, c)| vec![c; n])
            .collect();
        for (share, wanted) in [(0.2, [2, 2, 2, 0, 0]), (0.5, [5, 4, 3, 0, 0]), (0.9, [8, 5, 3, 0, 0])] {
            let split = split_by(&set, SplitBy::Images, share, 7).unwrap();
            let of = |part: &[u32], class| {
                part.iter().filter(|&&image| set.labels[image as usize] == class).count()
            };
            for class in 0..14 {
                let expected = wanted[(class as usize).saturating_sub(9)];
                let found = of(&split.validation, class);
                // Of 7 a half is 3.5, of 5 it is 2.5: chance gives one of them the last image.
                assert!(
                    found.abs_diff(expected) <= usize::from(share == 0.5 && class > 9),
                    "{share}, {class}: {found}"
                );
                assert_eq!(
                    found + of(&split.train, class),
                    [10, 7, 5, 3, 1][(class as usize).saturating_sub(9)]
                );
            }
        }
        assert_eq!((part(100, 0.29), part(60_000, 0.2), part(4, 0.2)), (29, 12_000, 0));
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
        let split = split_by(&set, SplitBy::usual(&set), SHARE, 3).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (24 * 21, 6 * 21, 42));
        let chosen = |seed| {
            let mut chosen: Vec<u32> = split_by(&set, SplitBy::Alphabets, SHARE, seed).unwrap().validation;
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
        let message = |set: &Dataset, by| split_by(set, by, SHARE, 0).unwrap_err().to_string();
        assert!(message(&plain, SplitBy::Alphabets).contains("glyph-alphabets"));
        assert!(message(&plain, SplitBy::Classes).contains("1 classes"));
        assert!(message(&alphabets(6, 3, 2), SplitBy::Alphabets).contains("4 alphabets"));
        assert_eq!(split_by(&plain, SplitBy::usual(&plain), SHARE, 4).unwrap(), split(&plain, 4));
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
                let Split { train, validation, test } = split_by(&set, by, SHARE, seed).unwrap();
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
