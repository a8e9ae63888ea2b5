//! The pairs of an epoch that has so many training steps: what a batch is made of.
//!
//! All drawings are from the members, which are grouped by class, and classes by alphabet. A step's pairs follow from
//! (seed, epoch, step) and the members alone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::pairs::{self, Groups, Pair, pick_except};
use super::{DataError, Random, Stream};
use crate::text::stands_as_text;

/// How a training step gets its pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Sampling {
    /// Each member's positive and negative pair ([`pairs::draw`]), round after round, each in an order of its own.
    Balanced,
    /// A batch from one alphabet, alphabets in turn. Its characters are drawn with repetition, half as many as
    /// pairs; each gives a positive pair, and a negative one of a third drawing and another character of the
    /// alphabet.
    Alphabets,
    /// A batch of episodes: `way` positive pairs of as many classes of one alphabet, an alphabet's chance being its
    /// share of the classes. What an alphabet lacks, another gives. Without alphabets, all classes are as of one.
    Episodes { way: usize },
    /// A batch of `each` images of every class in it (classes in random order, from the start again where there are
    /// too few): in turn an image and the next of its class, and that one and an image of another class.
    Classes { each: usize },
}

/// What pairs are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// The class of every image of the data set.
    pub labels: &'a [u32],
    /// The alphabet of every class; empty where there are none.
    pub alphabet_of: &'a [u32],
    /// The images to draw, each named once.
    pub members: &'a [u32],
}

/// How many to draw.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    pub seed: u64,
    pub epoch: u64,
    /// Training steps of each epoch.
    pub steps: usize,
    /// Pairs of a step.
    pub batch: usize,
}

impl Sampling {
    /// Draws `steps * batch` pairs, step by step.
    ///
    /// # Errors
    /// The pool has too few classes or too few images of one, or a batch does not hold whole parts.
    pub fn draw(self, pool: Pool<'_>, wanted: Steps) -> Result<Vec<Pair>, DataError> {
        let Steps { seed, epoch, steps, batch } = wanted;
        if self == Sampling::Balanced {
            return balanced(pool, wanted);
        }
        let mut groups = Groups::of(pool.labels, pool.members)?;
        // Classes with too few images are left out, then alphabets with too few classes.
        groups.images.retain(|images| images.len() >= self.images());
        let mut alphabets = alphabets(pool, &groups);
        if self == Sampling::Alphabets {
            alphabets.retain(|classes| classes.len() > 1);
        }
        self.check(pool, &groups, &alphabets, batch)?;
        let mut drawn = Vec::with_capacity(steps * batch);
        for step in 0..steps as u64 {
            let random = &mut Random::new(seed, self.stream(), epoch, step);
            match self {
                Sampling::Balanced => {}
                Sampling::Alphabets => {
                    let turn = epoch.wrapping_mul(steps as u64).wrapping_add(step) % alphabets.len() as u64;
                    of_alphabet(&groups, &alphabets[turn as usize], batch, random, &mut drawn);
                }
                Sampling::Episodes { way } => {
                    (0..batch / way).for_each(|_| episode(&groups, &alphabets, way, random, &mut drawn));
                }
                Sampling::Classes { each } => of_classes(&groups, batch, each, random, &mut drawn),
            }
        }
        Ok(drawn)
    }

    /// Fewest images of a class that pairs are drawn from; smaller classes are left out, by all but `balanced`.
    #[must_use]
    pub fn images(self) -> usize {
        match self {
            Sampling::Balanced | Sampling::Episodes { .. } => 2,
            Sampling::Alphabets => 3,
            Sampling::Classes { each } => each,
        }
    }

    fn stream(self) -> Stream {
        match self {
            Sampling::Balanced => Stream::TrainPairs,
            Sampling::Alphabets => Stream::AlphabetBatches,
            Sampling::Episodes { .. } => Stream::EpisodeBatches,
            Sampling::Classes { .. } => Stream::ClassBatches,
        }
    }

    fn check(
        self,
        pool: Pool<'_>,
        groups: &Groups,
        alphabets: &[Vec<usize>],
        batch: usize,
    ) -> Result<(), DataError> {
        let refused = |message: String| Err(DataError::Sampling { sampling: self.to_string(), message });
        let (part, what) = match self {
            Sampling::Balanced => (1, ""),
            Sampling::Alphabets => (2, "a positive and a negative pair each"),
            Sampling::Episodes { way } => (way, "whole episodes"),
            Sampling::Classes { each } => (each, "whole classes"),
        };
        if !batch.is_multiple_of(part) || batch < part {
            return refused(format!(
                "a batch of {batch} does not hold {what}; choose a --batch-size that is a multiple of {part}"
            ));
        }
        if groups.images.len() < 2 {
            return refused(format!(
                "fewer than two classes have {} images to draw; use more images of each class, or a smaller --val-share",
                self.images()
            ));
        }
        match self {
            Sampling::Alphabets if pool.alphabet_of.is_empty() => {
                Err(DataError::NoAlphabets { wanted: "--sampling alphabets" })
            }
            Sampling::Alphabets if alphabets.is_empty() => {
                refused("no alphabet has two characters; use a set with more in each".into())
            }
            Sampling::Episodes { way } if groups.images.len() < way => refused(format!(
                "an episode needs {way} classes, and there are {}; choose --sampling episodes={} or fewer",
                groups.images.len(),
                groups.images.len()
            )),
            Sampling::Classes { each } if batch / each < 2 => refused(format!(
                "a batch of {batch} holds one class, and a negative pair needs two; choose a --batch-size of {} or more",
                2 * each
            )),
            _ => Ok(()),
        }
    }
}

/// The classes of each alphabet that has any, by rising alphabet: places in `groups.images`.
fn alphabets(pool: Pool<'_>, groups: &Groups) -> Vec<Vec<usize>> {
    let mut by_alphabet: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, images) in groups.images.iter().enumerate() {
        let class = pool.labels[images[0] as usize] as usize;
        let alphabet = pool.alphabet_of.get(class).copied().unwrap_or(0);
        by_alphabet.entry(alphabet).or_default().push(place);
    }
    by_alphabet.into_values().collect()
}

/// The epoch's part of the endless sequence of rounds.
fn balanced(pool: Pool<'_>, wanted: Steps) -> Result<Vec<Pair>, DataError> {
    let Steps { seed, epoch, steps, batch } = wanted;
    let count = steps * batch;
    let round = 2 * pool.members.len() as u64;
    let start = u128::from(epoch) * count as u128;
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count {
        let place = start + drawn.len() as u128;
        // No members, no round: the drawing says so.
        let number = (place / u128::from(round.max(1))) as u64;
        // By place: an image's number may depend on how many test images stand before it.
        let by_place = |place, _| place as u64;
        let all =
            pairs::draw_numbered(pool.labels, pool.members, by_place, seed, Stream::TrainPairs, number)?;
        let all = pairs::shuffled(all, seed, number);
        let first = (place % u128::from(round.max(1))) as usize;
        drawn.extend(all.into_iter().skip(first).take(count - drawn.len()));
    }
    Ok(drawn)
}

/// A batch from the classes of one alphabet.
fn of_alphabet(groups: &Groups, classes: &[usize], batch: usize, random: &mut Random, drawn: &mut Vec<Pair>) {
    for _ in 0..batch / 2 {
        let place = below(random, classes.len());
        let images = &groups.images[classes[place]];
        let three = distinct(random, images.len(), 3);
        drawn.push(Pair { a: images[three[0]], b: images[three[1]], same: true });
        let others = &groups.images[classes[pick_except(random, classes.len(), place)]];
        drawn.push(Pair { a: images[three[2]], b: others[below(random, others.len())], same: false });
    }
}

/// `way` positive pairs of different classes.
fn episode(
    groups: &Groups,
    alphabets: &[Vec<usize>],
    way: usize,
    random: &mut Random,
    drawn: &mut Vec<Pair>,
) {
    let mut open: Vec<&Vec<usize>> = alphabets.iter().collect();
    let mut chosen = Vec::with_capacity(way);
    while chosen.len() < way {
        let mut ticket = below(random, open.iter().map(|classes| classes.len()).sum());
        let mut at = 0;
        while ticket >= open[at].len() {
            ticket -= open[at].len();
            at += 1;
        }
        let classes = open.remove(at);
        let lacking = (way - chosen.len()).min(classes.len());
        chosen.extend(distinct(random, classes.len(), lacking).into_iter().map(|place| classes[place]));
    }
    for class in chosen {
        let images = &groups.images[class];
        let two = distinct(random, images.len(), 2);
        drawn.push(Pair { a: images[two[0]], b: images[two[1]], same: true });
    }
}

/// A batch of `each` images of every class in it.
fn of_classes(groups: &Groups, batch: usize, each: usize, random: &mut Random, drawn: &mut Vec<Pair>) {
    let mut order: Vec<usize> = (0..groups.images.len()).collect();
    random.shuffle(&mut order);
    let shown: Vec<(usize, Vec<u32>)> = (0..batch / each)
        .map(|place| {
            let class = order[place % order.len()];
            let images = &groups.images[class];
            (class, distinct(random, images.len(), each).into_iter().map(|place| images[place]).collect())
        })
        .collect();
    for (class, images) in &shown {
        let others: Vec<&Vec<u32>> =
            shown.iter().filter(|(other, _)| other != class).map(|(_, images)| images).collect();
        for two in images.chunks_exact(2) {
            drawn.push(Pair { a: two[0], b: two[1], same: true });
            let other = others[below(random, others.len())];
            drawn.push(Pair { a: two[1], b: other[below(random, each)], same: false });
        }
    }
}

/// `wanted` different numbers below `count`, in random order; every selection is equally likely.
fn distinct(random: &mut Random, count: usize, wanted: usize) -> Vec<usize> {
    let (mut drawn, mut sorted) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted));
    for taken in 0..wanted {
        // The place among those that are left, then counted past those that are not.
        let mut number = below(random, count - taken);
        let mut at = 0;
        while at < taken && sorted[at] <= number {
            number += 1;
            at += 1;
        }
        sorted.insert(at, number);
        drawn.push(number);
    }
    drawn
}

/// Uniform; images and classes are counted by u32.
fn below(random: &mut Random, count: usize) -> usize {
    random.below(count as u32) as usize
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sampling::Balanced => f.write_str("balanced"),
            Sampling::Alphabets => f.write_str("alphabets"),
            Sampling::Episodes { way } => write!(f, "episodes={way}"),
            Sampling::Classes { each } => write!(f, "classes={each}"),
        }
    }
}

impl FromStr for Sampling {
    type Err = String;

    /// # Errors
    /// Another word, or a number that cannot be.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => (name, Some(number.parse::<usize>().ok())),
            None => (text, None),
        };
        match (name, number) {
            ("balanced", None) => Ok(Sampling::Balanced),
            ("alphabets", None) => Ok(Sampling::Alphabets),
            ("episodes", None) => Ok(Sampling::Episodes { way: 20 }),
            ("episodes", Some(Some(way))) if (2..=1 << 16).contains(&way) => Ok(Sampling::Episodes { way }),
            ("classes", None) => Ok(Sampling::Classes { each: 4 }),
            ("classes", Some(Some(each))) if each % 2 == 0 && (2..=1 << 16).contains(&each) => {
                Ok(Sampling::Classes { each })
            }
            _ => Err(
                "must be balanced, alphabets, episodes=WAY (2 or more; 20 unless said) or classes=IMAGES \
                      (of each class, an even number; 4 unless said)"
                    .into(),
            ),
        }
    }
}

stands_as_text!(Sampling);
