use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;

const ALL: [Sampling; 4] =
    [Sampling::Balanced, Sampling::Alphabets, Sampling::Episodes { way: 4 }, Sampling::Classes { each: 4 }];

/// Alphabets of so many classes, each class of `images` images, every other one a member.
struct Set {
    labels: Vec<u32>,
    alphabet_of: Vec<u32>,
    members: Vec<u32>,
}

impl Set {
    fn of(classes: &[usize], images: usize) -> Self {
        let alphabet_of: Vec<u32> = classes
            .iter()
            .enumerate()
            .flat_map(|(alphabet, &count)| std::iter::repeat_n(alphabet as u32, count))
            .collect();
        let labels: Vec<u32> =
            (0..alphabet_of.len() as u32).flat_map(|class| std::iter::repeat_n(class, 2 * images)).collect();
        let members = (0..labels.len() as u32).filter(|image| image % 2 == 1).collect();
        Set { labels, alphabet_of, members }
    }

    fn pool(&self) -> Pool<'_> {
        Pool { labels: &self.labels, alphabet_of: &self.alphabet_of, members: &self.members }
    }

    fn class(&self, image: u32) -> u32 {
        self.labels[image as usize]
    }

    fn alphabet(&self, image: u32) -> u32 {
        self.alphabet_of[self.class(image) as usize]
    }
}

fn steps(epoch: u64, steps: usize, batch: usize) -> Steps {
    Steps { seed: 5, epoch, steps, batch }
}

proptest! {
    #[test]
    fn pairs_are_true_and_of_two_members(
        classes in prop::collection::vec(2usize..9, 2..6), images in 4usize..8,
        seed: u64, epoch in 0u64..1 << 40, count in 1usize..5,
    ) {
        let set = Set::of(&classes, images);
        let wanted = Steps { seed, epoch, steps: count, batch: 16 };
        for sampling in ALL {
            let pairs = sampling.draw(set.pool(), wanted).unwrap();
            prop_assert_eq!(pairs.len(), 16 * count);
            prop_assert_eq!(&pairs, &sampling.draw(set.pool(), wanted).unwrap());
            for pair in &pairs {
                prop_assert!(pair.a % 2 == 1 && pair.b % 2 == 1, "only members");
                prop_assert_ne!(pair.a, pair.b);
                prop_assert_eq!(pair.same, set.class(pair.a) == set.class(pair.b));
                if !matches!(sampling, Sampling::Balanced | Sampling::Classes { .. }) {
                    prop_assert_eq!(set.alphabet(pair.a), set.alphabet(pair.b));
                }
            }
            // A step depends on its number, not on how many follow.
            if sampling != Sampling::Alphabets && sampling != Sampling::Balanced {
                let first = sampling.draw(set.pool(), Steps { steps: 1, ..wanted }).unwrap();
                prop_assert_eq!(&pairs[..16], &first[..]);
            }
        }
    }

    #[test]
    fn batches_have_their_structure(
        classes in prop::collection::vec(2usize..9, 2..6), images in 4usize..8, seed: u64, epoch in 0u64..100,
    ) {
        let set = Set::of(&classes, images);
        let wanted = Steps { seed, epoch, steps: 6, batch: 16 };
        let draw = |sampling: Sampling| sampling.draw(set.pool(), wanted).unwrap();
        for (step, batch) in draw(Sampling::Alphabets).chunks(16).enumerate() {
            let turn = ((6 * epoch as usize + step) % classes.len()) as u32;
            prop_assert!(batch.iter().all(|pair| set.alphabet(pair.a) == turn));
            for two in batch.chunks(2) {
                prop_assert!(two[0].same && !two[1].same);
                prop_assert_eq!(set.class(two[0].a), set.class(two[1].a));
                prop_assert!(two[1].a != two[0].a && two[1].a != two[0].b, "a third drawing");
            }
        }
        for episode in draw(Sampling::Episodes { way: 4 }).chunks(4) {
            let shown: BTreeSet<u32> = episode.iter().map(|pair| set.class(pair.a)).collect();
            prop_assert_eq!(shown.len(), 4);
            prop_assert!(episode.iter().all(|pair| pair.same));
            // An alphabet is left only when all its classes are in.
            let alphabets: Vec<u32> = episode.iter().map(|pair| set.alphabet(pair.a)).collect();
            for at in 1..4 {
                if alphabets[at] != alphabets[at - 1] {
                    let whole = alphabets.iter().filter(|&&other| other == alphabets[at - 1]).count();
                    prop_assert_eq!(whole, classes[alphabets[at - 1] as usize]);
                }
            }
        }
        for batch in draw(Sampling::Classes { each: 4 }).chunks(16) {
            prop_assert_eq!(batch.iter().filter(|pair| pair.same).count(), 8);
            let shown: HashSet<u32> = batch.iter().flat_map(|pair| [pair.a, pair.b]).collect();
            let present: HashSet<u32> = shown.iter().map(|&image| set.class(image)).collect();
            let all: usize = classes.iter().sum();
            prop_assert_eq!(present.len(), all.min(4));
            if all >= 4 {
                prop_assert_eq!(shown.len(), 16, "four images of each of four classes");
            }
        }
    }

    #[test]
    fn distinct_numbers_are_distinct(count in 1usize..40, seed: u64) {
        let wanted = count.div_ceil(2);
        let drawn = distinct(&mut Random::new(seed, Stream::ClassBatches, 0, 0), count, wanted);
        prop_assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), wanted);
        prop_assert!(drawn.iter().all(|&number| number < count));
    }
}

/// Counts are within five standard deviations of what is expected.
fn uniform(what: &str, counts: &[u32], share: impl Fn(usize) -> f64) {
    let total = f64::from(counts.iter().sum::<u32>());
    for (place, &count) in counts.iter().enumerate() {
        let wanted = total * share(place);
        assert!((f64::from(count) - wanted).abs() < 5.0 * wanted.sqrt(), "{what} {place}: {count}, {wanted}");
    }
}

#[test]
fn drawings_and_characters_are_uniform() {
    let classes = [3, 5, 4];
    let set = Set::of(&classes, 6);
    for sampling in [Sampling::Alphabets, Sampling::Episodes { way: 3 }, Sampling::Classes { each: 2 }] {
        let pairs = sampling.draw(set.pool(), steps(1, 3000, 12)).unwrap();
        let (mut first, mut second, mut by_class) = ([0; 6], [0; 6], [0; 12]);
        for pair in &pairs {
            // Members are the odd ones, six to a class.
            first[pair.a as usize % 12 / 2] += 1;
            second[pair.b as usize % 12 / 2] += 1;
            // A negative pair is of the same class as the positive one before it.
            by_class[set.class(pair.a) as usize] += u32::from(pair.same);
        }
        // Pairs of a step are not independent draws, but each place of a class is as likely as any other.
        uniform(&format!("{sampling} a"), &first, |_| 1.0 / 6.0);
        uniform(&format!("{sampling} b"), &second, |_| 1.0 / 6.0);
        let share = |class: usize| match sampling {
            // Alphabets have equal turns, whatever their size.
            Sampling::Alphabets => 1.0 / (3 * classes[set.alphabet_of[class] as usize]) as f64,
            // Chance by size makes all classes equal.
            _ => 1.0 / 12.0,
        };
        uniform(&format!("{sampling} class"), &by_class, share);
    }
}

#[test]
fn epochs_steps_and_seeds_differ() {
    let set = Set::of(&[6, 6], 6);
    for sampling in ALL {
        let draw =
            |seed, epoch| sampling.draw(set.pool(), Steps { seed, epoch, steps: 2, batch: 16 }).unwrap();
        assert_ne!(draw(1, 1), draw(1, 2), "{sampling}");
        assert_ne!(draw(1, 1), draw(2, 1), "{sampling}");
        let both = draw(1, 1);
        assert_ne!(both[..16], both[16..], "{sampling}");
    }
}

#[test]
fn balanced_epochs_are_one_sequence_of_rounds() {
    let set = Set::of(&[3, 4], 3);
    let draw = |epoch, count, batch| Sampling::Balanced.draw(set.pool(), steps(epoch, count, batch)).unwrap();
    let long = draw(0, 10, 42);
    let short: Vec<Pair> = (0..30).flat_map(|epoch| draw(epoch, 2, 7)).collect();
    assert_eq!(long, short);
    // A round has every member's two pairs.
    let mut round: Vec<(u32, bool)> = long[..42].iter().map(|pair| (pair.a, pair.same)).collect();
    round.sort_unstable();
    assert_eq!(round, set.members.iter().flat_map(|&a| [(a, false), (a, true)]).collect::<Vec<_>>());
}

#[test]
fn without_alphabets_all_classes_are_as_of_one() {
    let set = Set::of(&[2, 3], 4);
    let pool = Pool { alphabet_of: &[], ..set.pool() };
    let pairs = Sampling::Episodes { way: 2 }.draw(pool, steps(0, 200, 2)).unwrap();
    assert!(pairs.chunks(2).any(|episode| set.alphabet(episode[0].a) != set.alphabet(episode[1].a)));
}

#[test]
fn what_the_set_cannot_give_is_refused() {
    let set = Set::of(&[3, 4], 2);
    let message = |sampling: Sampling, pool: Pool<'_>, batch| {
        let error = sampling.draw(pool, steps(0, 1, batch)).unwrap_err().to_string();
        assert!(error.contains(&sampling.to_string()), "{error}");
        error
    };
    let pool = set.pool();
    assert!(message(Sampling::Alphabets, pool, 15).contains("multiple of 2"));
    assert!(message(Sampling::Alphabets, pool, 16).contains("two classes have 3 images"));
    assert!(message(Sampling::Episodes { way: 5 }, pool, 16).contains("multiple of 5"));
    assert!(message(Sampling::Episodes { way: 8 }, pool, 16).contains("there are 7"));
    assert!(message(Sampling::Classes { each: 4 }, pool, 16).contains("two classes have 4 images"));
    assert!(message(Sampling::Classes { each: 2 }, pool, 2).contains("--batch-size of 4"));
    let more = Set::of(&[1, 1], 4);
    assert!(message(Sampling::Alphabets, more.pool(), 4).contains("no alphabet has two characters"));
    let none = Pool { alphabet_of: &[], ..more.pool() };
    assert!(message(Sampling::Alphabets, none, 4).contains("no alphabet"));
    for sampling in ALL {
        let empty = Pool { members: &[], ..pool };
        assert!(matches!(sampling.draw(empty, steps(0, 1, 16)), Err(DataError::TooFewClasses { .. })));
    }
}

#[test]
fn classes_with_too_few_images_are_left_out() {
    // Four alphabets of two; the first class has one image, the third two.
    let mut set = Set::of(&[2, 2, 2, 2], 4);
    let labels = set.labels.clone();
    set.members.retain(|&image| match labels[image as usize] {
        0 => image == 1,
        2 => image < 2 * 4 * 2 + 4,
        _ => true,
    });
    for sampling in ALL.into_iter().skip(1) {
        let shown: BTreeSet<u32> = (sampling.draw(set.pool(), steps(0, 40, 16)).unwrap().iter())
            .flat_map(|pair| [set.class(pair.a), set.class(pair.b)])
            .collect();
        let left: BTreeSet<u32> = match sampling {
            Sampling::Alphabets => [4, 5, 6, 7].into(),
            Sampling::Episodes { .. } => [1, 2, 3, 4, 5, 6, 7].into(),
            _ => [1, 3, 4, 5, 6, 7].into(),
        };
        assert_eq!(shown, left, "{sampling}");
    }
}

#[test]
fn samplings_stand_as_text() {
    for sampling in ALL {
        assert_eq!(sampling.to_string().parse(), Ok(sampling));
    }
    assert_eq!("episodes".parse(), Ok(Sampling::Episodes { way: 20 }));
    assert_eq!("classes".parse(), Ok(Sampling::Classes { each: 4 }));
    for wrong in
        ["", "pairs", "episodes=1", "episodes=", "classes=3", "classes=0", "balanced=2", "episodes=1e9"]
    {
        assert!(wrong.parse::<Sampling>().is_err(), "{wrong}");
    }
}
