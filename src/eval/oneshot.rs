//! One-shot classification: of which of several classes is an image, told by a drawing or a few of each?
//!
//! A [`Task`] has a query and the support set: so many drawings of each of several characters of one
//! alphabet. The network answers with the class at the least distance; with several drawings of a class, at
//! the least mean distance. The classes are such as it never learned.
//!
//! Source: B. Lake, R. Salakhutdinov and J. Tenenbaum, "Human-level concept learning through probabilistic
//! program induction" (2015); G. Koch, R. Zemel and R. Salakhutdinov, "Siamese neural networks for one-shot
//! image recognition" (2015). `docs/oneshot.md` has the protocols.

mod draw;
mod figures;

pub use draw::{Protocol, draw};
pub use figures::{AlphabetFigures, OneShot};

use std::collections::HashSet;

use super::score_watched;
use crate::data::Pair;
use crate::session::{Session, SessionError};

/// A query and the drawings to find its class among.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Number of an image.
    pub query: u32,
    /// Numbers of images, so many of each class, class by class; never the query.
    pub support: Vec<u32>,
    /// Which of the classes the query is of, counted as they stand in `support`.
    pub right: u32,
    /// Which of the alphabets all of it is from.
    pub alphabet: u32,
}

/// Tasks, alphabet by alphabet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    pub list: Vec<Task>,
    /// Drawings of each class in a support set.
    pub shots: usize,
    /// Names of the alphabets, or of what else tasks come in.
    pub alphabets: Vec<String>,
}

/// What a network makes of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Of the query to each class: the mean over the drawings of the class.
    pub distances: Vec<f64>,
    /// The class at the least distance; none where several share it or one is not a number: a network that
    /// gives the same distance everywhere must not be called right.
    pub choice: Option<u32>,
}

impl Tasks {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Most classes of a task.
    pub fn way(&self) -> usize {
        self.list.iter().map(|task| task.support.len()).max().unwrap_or(0) / self.shots.max(1)
    }

    /// Every image, each once, in rising order.
    pub fn images(&self) -> Vec<u32> {
        images(&self.list)
    }

    /// Most images, and most pairs, of an alphabet: with room for these every image is embedded once.
    pub fn room(&self) -> (usize, usize) {
        self.by_alphabet().fold((0, 0), |(most_images, most_pairs), tasks| {
            let pairs = tasks.iter().map(|task| task.support.len()).sum();
            (most_images.max(images(tasks).len()), most_pairs.max(pairs))
        })
    }

    fn by_alphabet(&self) -> impl Iterator<Item = &[Task]> {
        self.list.chunk_by(|one, next| one.alphabet == next.alphabet)
    }
}

/// What a network makes of tasks, and what that is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Solved {
    pub answers: Vec<Answer>,
    pub figures: OneShot,
}

/// Answers tasks with the network on the session, which holds the images; `None` where `go_on` answered false.
///
/// # Errors
/// What the session reports.
pub async fn solve(
    session: &mut dyn Session,
    tasks: &Tasks,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Solved>, SessionError> {
    let Some(answers) = answers(session, tasks, go_on).await? else { return Ok(None) };
    let figures = OneShot::of(tasks, &answers, session.plan().features);
    Ok(Some(Solved { answers, figures }))
}

fn images(tasks: &[Task]) -> Vec<u32> {
    let all = tasks.iter().flat_map(|task| std::iter::once(&task.query).chain(&task.support));
    let mut images: Vec<u32> = all.copied().collect::<HashSet<u32>>().into_iter().collect();
    images.sort_unstable();
    images
}

impl Answer {
    /// The answer that follows from the distances to each drawing of a support set.
    pub fn of(distances: &[f32], shots: usize) -> Self {
        let mean = |class: &[f32]| class.iter().map(|&d| f64::from(d)).sum::<f64>() / class.len() as f64;
        let distances: Vec<f64> = distances.chunks(shots.max(1)).map(mean).collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let mut at_least = (0..).zip(&distances).filter(|(_, distance)| **distance == least);
        let choice = match (at_least.next(), at_least.next()) {
            (Some((class, _)), None) if !distances.iter().any(|distance| distance.is_nan()) => Some(class),
            _ => None,
        };
        Answer { distances, choice }
    }

    pub fn is_right(&self, task: &Task) -> bool {
        self.choice == Some(task.right)
    }
}

/// What the network on the session, which holds the images, makes of tasks, in order; `None` where `go_on`
/// answered false. It is asked now and then, with the share of the work that is done.
///
/// # Errors
/// What the session reports.
pub async fn answers(
    session: &mut dyn Session,
    tasks: &Tasks,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Vec<Answer>>, SessionError> {
    let mut answers = Vec::with_capacity(tasks.list.len());
    for part in tasks.by_alphabet() {
        let pairs: Vec<Pair> = part.iter().flat_map(pairs).collect();
        let done = |share: f64| (answers.len() as f64 + share * part.len() as f64) / tasks.list.len() as f64;
        let scored = score_watched(session, &pairs, &mut |share| go_on(done(share))).await?;
        let Some(scores) = scored else { return Ok(None) };
        let distances: Vec<f32> = scores.iter().map(|score| score.distance).collect();
        let mut rest = &distances[..];
        for task in part {
            let (own, others) = rest.split_at(task.support.len());
            answers.push(Answer::of(own, tasks.shots));
            rest = others;
        }
    }
    Ok(Some(answers))
}

/// A task's query with each drawing of its support set.
fn pairs(task: &Task) -> impl Iterator<Item = Pair> {
    let shots = task.support.len();
    let query = task.query;
    (0..shots).map(move |at| Pair { a: query, b: task.support[at], same: false })
}

#[cfg(test)]
mod tests;
