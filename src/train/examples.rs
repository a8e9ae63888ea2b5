//! What a run learns from and is measured on: pairs of images, images with their classes, or one-shot tasks.

use serde::{Deserialize, Serialize};

use super::setup;
use crate::data::Pair;
use crate::eval::collapse::Answered;
use crate::eval::oneshot::{self, Solved, Tasks};
use crate::eval::{self, Score};
use crate::plan::{BatchLayout, Plan};
use crate::session::{Session, SessionError};

/// What accuracies of validation and test count. They are different measures: by chance one in two pairs is told
/// apart, one in ten digits is named, one in twenty tasks is solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Pairs told apart rightly.
    #[default]
    Pairs,
    /// Images whose class was named rightly.
    Classes,
    /// One-shot tasks answered rightly.
    Tasks,
}

impl Measure {
    /// What a plan counts while it trains.
    pub fn of(batch: BatchLayout) -> Self {
        match batch {
            BatchLayout::Pairs => Measure::Pairs,
            BatchLayout::Labelled => Measure::Classes,
        }
    }

    /// What a measure of validation says of training, whose steps count pairs or images.
    pub fn of_training(self) -> Self {
        match self {
            Measure::Pairs | Measure::Tasks => Measure::Pairs,
            Measure::Classes => Measure::Classes,
        }
    }

    /// What is counted.
    pub fn counted(self) -> &'static str {
        match self {
            Measure::Pairs => "pairs",
            Measure::Classes => "images",
            Measure::Tasks => "tasks",
        }
    }

    /// What accuracies are of.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Pairs => "pairs",
            Measure::Classes => "classes",
            Measure::Tasks => "one-shot tasks",
        }
    }
}

/// Examples of one kind, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Examples {
    Pairs(Vec<Pair>),
    Images(Vec<u32>),
    /// Only to measure on.
    Tasks(Tasks),
}

/// What a network makes of examples.
pub struct Answers {
    /// In percent.
    pub accuracy: f64,
    /// Mean.
    pub loss: f64,
    /// One for each pair; of others there are none.
    pub scores: Vec<Score>,
    pub solved: Option<Solved>,
    /// What they show of the network.
    pub answered: Answered,
}

impl Examples {
    pub fn len(&self) -> usize {
        match self {
            Examples::Pairs(pairs) => pairs.len(),
            Examples::Images(images) => images.len(),
            Examples::Tasks(tasks) => tasks.list.len(),
        }
    }

    /// What they are, as [`Measure::counted`] has it.
    pub fn measure_name(&self) -> &'static str {
        match self {
            Examples::Pairs(_) => Measure::Pairs,
            Examples::Images(_) => Measure::Classes,
            Examples::Tasks(_) => Measure::Tasks,
        }
        .counted()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images in the order of the device's list.
    pub fn images(&self) -> Vec<u32> {
        match self {
            Examples::Pairs(pairs) => pairs.iter().flat_map(|pair| [pair.a, pair.b]).collect(),
            Examples::Images(images) => images.clone(),
            Examples::Tasks(tasks) => tasks.images(),
        }
    }

    /// The pairs, if they are such.
    pub fn pairs(&self) -> &[Pair] {
        match self {
            Examples::Pairs(pairs) => pairs,
            Examples::Images(_) | Examples::Tasks(_) => &[],
        }
    }

    /// Brings an epoch's examples onto an executor, whose plan is for such.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn upload(&self, executor: &mut dyn Session, labels: &[u32]) -> Result<(), SessionError> {
        match self {
            Examples::Pairs(pairs) => setup::upload_pairs(executor, pairs),
            Examples::Images(images) => {
                let classes: Vec<u32> = images.iter().map(|&image| labels[image as usize]).collect();
                executor.write_words(Plan::LABELLED[0], images)?;
                executor.write_words(Plan::LABELLED[1], &classes)
            }
            // Nobody trains on them.
            Examples::Tasks(_) => Ok(()),
        }
    }

    /// What the network on the executor makes of them; `None` where `go_on` answered false.
    ///
    /// # Errors
    /// What the executor reports.
    pub async fn measure(
        &self,
        executor: &mut dyn Session,
        labels: &[u32],
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Option<Answers>, SessionError> {
        let (accuracy, loss, scores, solved, answered) = match self {
            Examples::Pairs(pairs) => {
                let Some(scores) = eval::score_watched(executor, pairs, go_on).await? else {
                    return Ok(None);
                };
                // At one half, as in the paper.
                let metrics = eval::metrics(pairs, &scores, executor.plan().learnt(), 0.5);
                let answered = Answered::of_pairs(pairs, &scores, executor.plan().features);
                (metrics.accuracy, metrics.loss, scores, None, answered)
            }
            Examples::Images(images) => {
                let Some(metrics) = eval::classify_watched(executor, images, labels, go_on).await? else {
                    return Ok(None);
                };
                (metrics.accuracy, metrics.loss, Vec::new(), None, Answered::of_classes(&metrics))
            }
            Examples::Tasks(tasks) => {
                let Some(solved) = oneshot::solve(executor, tasks, go_on).await? else { return Ok(None) };
                let answered = Answered::of_tasks(&solved.figures, tasks.way());
                (solved.figures.accuracy, solved.figures.loss, Vec::new(), Some(solved), answered)
            }
        };
        Ok(Some(Answers { accuracy, loss, scores, solved, answered }))
    }
}
