//! The pairs of an epoch: for every image one partner of its class and one image of another class.

use super::{DataError, Random, Split, Stream};

/// Two images and whether they show the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Index of the image for branch A: the one that the pair was drawn for.
    pub a: u32,
    /// Index of the image for branch B: its partner.
    pub b: u32,
    /// Whether both are of one class.
    pub same: bool,
}

/// Draws 2 x `members.len()` pairs: for each member, in order, a positive and then a negative one. Where a member is
/// the only one of its class, a positive pair of two others, drawn uniformly, stands for its own.
///
/// `labels` has the class of every image of the data set, `members` are the images to pair, each
/// named once. The positive partner is uniform among the other members of the class; for the
/// negative one, first a class is drawn uniformly among the other classes present, then an image
/// uniformly among its members. A member's partners depend on (`seed`, `stream`, `epoch`, member)
/// and on `members`, whose order also counts.
///
/// # Errors
///
/// No class with two members, fewer than two classes, or a member without a label.
pub fn draw(
    labels: &[u32],
    members: &[u32],
    seed: u64,
    stream: Stream,
    epoch: u64,
) -> Result<Vec<Pair>, DataError> {
    draw_numbered(labels, members, |_, image| u64::from(image), seed, stream, epoch)
}

/// As [`draw`], but a member's partners depend on the number that `number` has for its place and image.
pub(super) fn draw_numbered(
    labels: &[u32],
    members: &[u32],
    number: impl Fn(usize, u32) -> u64,
    seed: u64,
    stream: Stream,
    epoch: u64,
) -> Result<Vec<Pair>, DataError> {
    let groups = Groups::of(labels, members)?;
    let mut pairs = Vec::with_capacity(2 * members.len());
    for (position, (&a, &(group, place))) in members.iter().zip(&groups.places).enumerate() {
        let mut random = Random::new(seed, stream, epoch, number(position, a));
        let (mut first, mut partners, mut place) = (a, &groups.images[group], place);
        if partners.len() == 1 {
            let (group, other) =
                groups.places[groups.paired[random.below(groups.paired.len() as u32) as usize]];
            (first, partners, place) = (groups.images[group][other], &groups.images[group], other);
        }
        let b = partners[pick_except(&mut random, partners.len(), place)];
        pairs.push(Pair { a: first, b, same: true });
        let others = &groups.images[pick_except(&mut random, groups.images.len(), group)];
        let b = others[random.below(others.len() as u32) as usize];
        pairs.push(Pair { a, b, same: false });
    }
    Ok(pairs)
}

/// The same pairs in a random order that depends on `seed` and `epoch`.
#[must_use]
pub fn shuffled(mut pairs: Vec<Pair>, seed: u64, epoch: u64) -> Vec<Pair> {
    Random::new(seed, Stream::PairOrder, epoch, 0).shuffle(&mut pairs);
    pairs
}

/// The training pairs of one epoch, drawn anew for each epoch, in random order.
///
/// # Errors
///
/// As [`draw`].
pub fn training(labels: &[u32], split: &Split, seed: u64, epoch: u64) -> Result<Vec<Pair>, DataError> {
    // Images behind the test set are numbered as if there were none: it must not change what is learnt.
    let tested = split.test.len() as u64;
    let number = |_, image: u32| match split.test.last() {
        Some(&last) if image > last => u64::from(image).saturating_sub(tested),
        _ => u64::from(image),
    };
    let pairs = draw_numbered(labels, &split.train, number, seed, Stream::TrainPairs, epoch)?;
    Ok(shuffled(pairs, seed, epoch))
}

/// The validation pairs: the same in every epoch, in the order of the split.
///
/// # Errors
///
/// As [`draw`].
pub fn validation(labels: &[u32], split: &Split, seed: u64) -> Result<Vec<Pair>, DataError> {
    draw(labels, &split.validation, seed, Stream::ValidationPairs, 0)
}

/// The test pairs, in the order of the test set.
///
/// # Errors
///
/// As [`draw`].
pub fn test(labels: &[u32], split: &Split, seed: u64) -> Result<Vec<Pair>, DataError> {
    draw(labels, &split.test, seed, Stream::TestPairs, 0)
}

/// The members by class, for the classes that have any.
pub(super) struct Groups {
    /// Images of each class present, in the order of `members`; classes by rising label.
    pub(super) images: Vec<Vec<u32>>,
    /// For each member, its group and its place in that group.
    places: Vec<(usize, usize)>,
    /// Positions of the members that are not alone in their class.
    paired: Vec<usize>,
}

impl Groups {
    pub(super) fn of(labels: &[u32], members: &[u32]) -> Result<Self, DataError> {
        let mut classes = Vec::with_capacity(members.len());
        for (position, &image) in members.iter().enumerate() {
            classes.push(*labels.get(image as usize).ok_or(DataError::NoSuchImage {
                position,
                image,
                labels: labels.len(),
            })?);
        }
        // Not an array by label: labels may be any numbers, even huge ones.
        let mut present = classes.clone();
        present.sort_unstable();
        present.dedup();
        if present.len() < 2 {
            return Err(DataError::TooFewClasses { members: members.len(), classes: present.len() });
        }
        let mut images = vec![Vec::new(); present.len()];
        let mut places = Vec::with_capacity(members.len());
        for (&image, class) in members.iter().zip(&classes) {
            let group = present.partition_point(|other| other < class);
            places.push((group, images[group].len()));
            images[group].push(image);
        }
        let paired: Vec<usize> = (0..members.len()).filter(|&at| images[places[at].0].len() > 1).collect();
        if paired.is_empty() {
            return Err(DataError::NoPositive { members: members.len() });
        }
        Ok(Self { images, places, paired })
    }
}

/// Uniform in 0..count without `except`; `count` is at least 2.
pub(super) fn pick_except(random: &mut Random, count: usize, except: usize) -> usize {
    // Counts are of u32 images, so they fit.
    let pick = random.below(count as u32 - 1) as usize;
    if pick < except { pick } else { pick + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn cycled(images: u32, classes: u32) -> (Vec<u32>, Vec<u32>) {
        ((0..images).map(|image| image % classes).collect(), (0..images).collect())
    }

    #[test]
    fn pairs_of_a_seed_stay_what_they_are() {
        let (labels, members) = cycled(12, 3);
        let pairs = draw(&labels, &members, 1, Stream::TestPairs, 0).unwrap();
        let partners: Vec<u32> = pairs.iter().map(|pair| pair.b).collect();
        assert_eq!(partners, [3, 7, 4, 0, 11, 6, 0, 4, 7, 5, 2, 4, 9, 7, 1, 5, 11, 10, 6, 7, 7, 3, 5, 4]);
    }

    #[test]
    fn partners_are_uniform() {
        // Class 0 has 4 images, class 1 has 2, class 2 has 8: the negative class is drawn first.
        let labels = [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2];
        let members: Vec<u32> = (0..14).collect();
        let mut partner = [0u32; 14];
        let epochs = 12_000;
        for epoch in 0..epochs {
            let pairs = draw(&labels, &members, 9, Stream::TrainPairs, epoch).unwrap();
            partner[pairs[0].b as usize] += 1;
            partner[pairs[1].b as usize] += 1;
        }
        let expect = |range: std::ops::Range<usize>, share: f64| {
            for image in range {
                let (found, wanted) = (f64::from(partner[image]), epochs as f64 * share);
                assert!((found - wanted).abs() < 5.0 * wanted.sqrt(), "{image}: {found}, {wanted}");
            }
        };
        expect(1..4, 1.0 / 3.0);
        expect(4..6, 1.0 / 4.0);
        expect(6..14, 1.0 / 16.0);
        assert_eq!(partner[0], 0);
    }

    #[test]
    fn training_pairs_change_with_the_epoch_and_the_others_do_not_mix() {
        let (labels, members) = cycled(100, 5);
        let split = Split { train: members.clone(), validation: members.clone(), test: members.clone() };
        let first = training(&labels, &split, 3, 0).unwrap();
        assert_eq!(first, training(&labels, &split, 3, 0).unwrap());
        let sets = [
            first.clone(),
            training(&labels, &split, 3, 1).unwrap(),
            training(&labels, &split, 4, 0).unwrap(),
            validation(&labels, &split, 3).unwrap(),
            test(&labels, &split, 3).unwrap(),
        ]
        .map(|pairs| pairs.iter().map(|pair| (pair.a, pair.b)).collect::<HashSet<_>>());
        for (i, set) in sets.iter().enumerate() {
            for other in &sets[..i] {
                assert_ne!(set, other);
            }
        }
    }

    #[test]
    fn training_pairs_are_shuffled_and_all_there() {
        let (labels, members) = cycled(300, 3);
        let split = Split { train: members.clone(), validation: vec![], test: vec![] };
        let drawn = draw(&labels, &members, 3, Stream::TrainPairs, 2).unwrap();
        let mut pairs = training(&labels, &split, 3, 2).unwrap();
        let in_place = pairs.iter().zip(&drawn).filter(|(a, b)| a == b).count();
        assert!(in_place < 20, "{in_place} of 600 pairs kept their place");
        // The first half must not be mostly one kind: a batch would not be balanced.
        let same = pairs[..300].iter().filter(|pair| pair.same).count();
        assert!((110..190).contains(&same), "{same} of 300");
        pairs.sort_by_key(|pair| (pair.a, !pair.same));
        assert_eq!(pairs, drawn);
    }

    #[test]
    fn lone_images_are_in_negative_pairs_and_others_stand_for_them_in_positive_ones() {
        let (labels, members) = ([0, 0, 1, 2, 2, 2, 3], [0, 1, 2, 3, 4, 5, 6]);
        let mut stood = HashSet::new();
        for epoch in 0..200 {
            let pairs = draw(&labels, &members, 9, Stream::TrainPairs, epoch).unwrap();
            assert_eq!(pairs.len(), 14);
            for (at, pair) in pairs.iter().enumerate() {
                let (a, b) = (labels[pair.a as usize], labels[pair.b as usize]);
                assert!(pair.a != pair.b && pair.same == (at % 2 == 0) && pair.same == (a == b), "{pair:?}");
                assert!(pair.a == members[at / 2] || (pair.same && [2, 6].contains(&members[at / 2])));
            }
            stood.insert((pairs[4].a, pairs[4].b));
        }
        assert_eq!(stood.len(), 2 + 6, "each ordered pair of two others stands in");
    }

    #[test]
    fn sets_that_cannot_be_paired_are_refused() {
        let draw =
            |labels: &[u32], members: &[u32]| draw(labels, members, 0, Stream::TestPairs, 0).unwrap_err();
        assert!(matches!(draw(&[4, 5, 7], &[0, 1, 2]), DataError::NoPositive { members: 3 }));
        assert!(matches!(draw(&[4, 4], &[0, 1]), DataError::TooFewClasses { classes: 1, .. }));
        assert!(matches!(draw(&[4, 5], &[]), DataError::TooFewClasses { classes: 0, .. }));
        assert!(matches!(
            draw(&[4, 4, 5, 5], &[0, 1, 9]),
            DataError::NoSuchImage { position: 2, image: 9, labels: 4 }
        ));
    }

    proptest! {
        #[test]
        fn pairs_are_balanced_true_and_never_with_itself(
            counts in prop::collection::vec(2u32..9, 2..6),
            stride in 1u32..1_000_000_000,
            seed: u64,
            epoch: u64,
        ) {
            // Labels that are neither dense nor in order; every other image is no member.
            let mut labels = Vec::new();
            for (class, &count) in counts.iter().enumerate().rev() {
                labels.extend(std::iter::repeat_n(class as u32 * stride, 2 * count as usize));
            }
            let members: Vec<u32> = (0..labels.len() as u32).filter(|image| image % 2 == 1).collect();
            let pairs = draw(&labels, &members, seed, Stream::TrainPairs, epoch).unwrap();
            prop_assert_eq!(pairs.len(), 2 * members.len());
            prop_assert_eq!(pairs.iter().filter(|pair| pair.same).count(), members.len());
            for (position, pair) in pairs.iter().enumerate() {
                prop_assert_eq!(pair.a, members[position / 2]);
                prop_assert_eq!(pair.same, position % 2 == 0);
                prop_assert_eq!(pair.same, labels[pair.a as usize] == labels[pair.b as usize]);
                prop_assert_ne!(pair.a, pair.b);
                prop_assert!(pair.b % 2 == 1);
            }
        }
    }
}
