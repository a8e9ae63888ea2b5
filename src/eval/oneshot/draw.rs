//! Drawing tasks from a seed.

use std::collections::BTreeMap;

use super::{Task, Tasks};
use crate::data::{DataError, Dataset, Random, Stream};

/// What tasks to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Classes of a task, where the alphabet has so many.
    pub way: usize,
    /// Drawings of each in the support set.
    pub shots: usize,
    /// Tasks of each alphabet.
    pub tasks: usize,
}

impl Default for Protocol {
    /// 40 tasks an alphabet, each to tell 20 characters by one drawing.
    fn default() -> Self {
        Protocol { way: 20, shots: 1, tasks: 40 }
    }
}

/// Draws tasks from some images of a set: for each alphabet so many, each on `way` of its classes, or all of
/// them where it has fewer. The classes, their drawings and the right one are uniform; no drawing is in a task
/// twice. A set without alphabets is one.
///
/// Classes with no more than `shots` drawings are left out, then alphabets with fewer than two classes, where
/// there is nothing to tell. A task depends on (`seed`, `stream`, alphabet, its number) and on the images of the
/// alphabet, not on their order.
///
/// # Errors
/// No alphabet is left, or an image without a label.
pub fn draw(
    dataset: &Dataset,
    members: &[u32],
    protocol: Protocol,
    seed: u64,
    stream: Stream,
) -> Result<Tasks, DataError> {
    let mut alphabets: BTreeMap<u32, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
    for (position, &image) in members.iter().enumerate() {
        let labels = dataset.labels.len();
        let no_label = DataError::NoSuchImage { position, image, labels };
        let class = *dataset.labels.get(image as usize).ok_or(no_label)?;
        let alphabet = dataset.alphabet_of.get(class as usize).copied().unwrap_or(0);
        alphabets.entry(alphabet).or_default().entry(class).or_default().push(image);
    }
    let mut drawn = Tasks { shots: protocol.shots, ..Tasks::default() };
    for (number, classes) in alphabets {
        let mut classes: Vec<Vec<u32>> =
            classes.into_values().filter(|images| images.len() > protocol.shots).collect();
        if classes.len() < 2 || protocol.way < 2 {
            continue;
        }
        classes.iter_mut().for_each(|images| images.sort_unstable());
        let alphabet = drawn.alphabets.len() as u32;
        let name = dataset.alphabets.get(number as usize);
        drawn.alphabets.push(name.cloned().unwrap_or_else(|| "all classes".into()));
        drawn.list.extend((0..protocol.tasks as u64).map(|task| {
            let mut random = Random::new(seed, stream, u64::from(number), task);
            one(&mut random, &classes, protocol, alphabet)
        }));
    }
    if drawn.is_empty() {
        let (images, drawings) = (members.len(), protocol.shots + 1);
        return Err(DataError::NoTasks { images, drawings });
    }
    Ok(drawn)
}

/// A task on some of the classes, each with more than `shots` images.
fn one(random: &mut Random, classes: &[Vec<u32>], protocol: Protocol, alphabet: u32) -> Task {
    let mut chosen: Vec<&Vec<u32>> = classes.iter().collect();
    random.shuffle(&mut chosen);
    chosen.truncate(protocol.way);
    let right = random.below(chosen.len() as u32);
    let (mut query, mut support) = (0, Vec::with_capacity(chosen.len() * protocol.shots));
    for (class, images) in (0..).zip(chosen) {
        let mut images = images.clone();
        random.shuffle(&mut images);
        support.extend(&images[..protocol.shots]);
        if class == right {
            query = images[protocol.shots];
        }
    }
    Task { query, support, right, alphabet }
}
