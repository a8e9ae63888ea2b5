//! What answers to tasks are worth.

use serde::Serialize;

use super::{Answer, Task, Tasks};
use crate::eval::rounding::{equal, rounding};

/// What a network's answers to many tasks are worth.
#[derive(Clone, Debug, PartialEq)]
pub struct OneShot {
    pub tasks: usize,
    /// Mean over the alphabets of the share of their tasks that were answered rightly, in percent.
    pub accuracy: f64,
    /// Standard error of that mean, in percent points: from the spread of the alphabets, or, of only one, from
    /// the number of its tasks.
    pub standard_error: f64,
    /// Share of all tasks that were answered rightly, in percent; another figure than `accuracy` only where
    /// alphabets differ in their tasks.
    pub accuracy_of_tasks: f64,
    /// Tasks without an answer, since several classes were at the least distance or one was no number, in percent:
    /// all of them count as wrong.
    pub ties: f64,
    /// Mean cross-entropy of the classes' shares, the softmax of minus the distances; finite where distances are.
    pub loss: f64,
    /// Whether in more than half of the tasks all distances are equal, but for rounding: the network makes the same
    /// of every image.
    pub collapsed: bool,
    pub alphabets: Vec<AlphabetFigures>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlphabetFigures {
    pub name: String,
    pub tasks: usize,
    /// Tasks answered rightly, in percent.
    pub accuracy: f64,
}

impl OneShot {
    /// Of a task at a time, in the order of the list. `features` are the values of an embedding.
    pub fn of(tasks: &Tasks, answers: &[Answer], features: usize) -> Self {
        let mut counts = vec![(0usize, 0usize); tasks.alphabets.len()];
        let (mut right, mut ties, mut equal, mut loss) = (0usize, 0usize, 0usize, 0.0);
        let bound = rounding(features);
        for (task, answer) in tasks.list.iter().zip(answers) {
            let (of_alphabet, right_of_alphabet) = &mut counts[task.alphabet as usize];
            *of_alphabet += 1;
            *right_of_alphabet += usize::from(answer.is_right(task));
            right += usize::from(answer.is_right(task));
            ties += usize::from(answer.choice.is_none());
            equal += usize::from(tells_nothing(&answer.distances, bound));
            loss += cross_entropy(task, &answer.distances);
        }
        let count = tasks.list.len();
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        let alphabets: Vec<AlphabetFigures> = tasks
            .alphabets
            .iter()
            .zip(counts)
            .map(|(name, (tasks, right))| AlphabetFigures {
                name: name.clone(),
                tasks,
                accuracy: percent(right, tasks),
            })
            .collect();
        let accuracies: Vec<f64> = alphabets.iter().map(|alphabet| alphabet.accuracy).collect();
        let (accuracy, standard_error) = mean(&accuracies, count);
        OneShot {
            tasks: count,
            accuracy,
            standard_error,
            accuracy_of_tasks: percent(right, count),
            ties: percent(ties, count),
            loss: loss / count.max(1) as f64,
            collapsed: 2 * equal > count,
            alphabets,
        }
    }
}

/// Mean of percentages and its standard error.
fn mean(values: &[f64], tasks: usize) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count.max(1.0);
    let variance = match values.len() {
        0 => 0.0,
        1 => mean * (100.0 - mean) / tasks.max(1) as f64,
        _ => values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0) / count,
    };
    (mean, variance.sqrt())
}

/// Whether all distances are the same within `bound` times the largest; so are those of which one is no number.
fn tells_nothing(distances: &[f64], bound: f64) -> bool {
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let most = distances.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    equal(most, least, bound) || distances.iter().any(|distance| distance.is_nan())
}

fn cross_entropy(task: &Task, distances: &[f64]) -> f64 {
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let sum: f64 = distances.iter().map(|distance| (least - distance).exp()).sum();
    distances.get(task.right as usize).map_or(f64::NAN, |right| right - least + sum.ln())
}
