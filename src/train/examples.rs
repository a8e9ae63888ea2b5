//! What a run learns from and is measured on: pairs of images, or images with their classes.

use serde::{Deserialize, Serialize};

use super::setup;
use crate::data::{DataError, Dataset, Pair, Split, labelled, pairs};
use crate::eval::{self, Score};
use crate::executor::{Executor, ExecutorError};
use crate::plan::{BatchLayout, Plan};

/// What accuracies count. The two are different measures: one in two pairs is told apart by chance, one in ten
/// digits is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Pairs told apart rightly.
    #[default]
    Pairs,
    /// Images whose class was named rightly.
    Classes,
}

impl Measure {
    pub fn of(batch: BatchLayout) -> Self {
        match batch {
            BatchLayout::Pairs => Measure::Pairs,
            BatchLayout::Labelled => Measure::Classes,
        }
    }

    /// What is counted: pairs, or images.
    pub fn counted(self) -> &'static str {
        match self {
            Measure::Pairs => "pairs",
            Measure::Classes => "images",
        }
    }
}

/// Examples of one kind, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Examples {
    Pairs(Vec<Pair>),
    Images(Vec<u32>),
}

/// What a network makes of examples.
pub struct Answers {
    /// In percent.
    pub accuracy: f64,
    /// Mean.
    pub loss: f64,
    /// One for each pair; a classifier gives none.
    pub scores: Vec<Score>,
}

impl Examples {
    /// Those of a training epoch, in random order.
    ///
    /// # Errors
    /// The set cannot be paired.
    pub fn training(
        dataset: &Dataset,
        split: &Split,
        batch: BatchLayout,
        (seed, epoch): (u64, u64),
    ) -> Result<Self, DataError> {
        Ok(match batch {
            BatchLayout::Pairs => Examples::Pairs(pairs::training(&dataset.labels, split, seed, epoch)?),
            BatchLayout::Labelled => Examples::Images(labelled::training(split, seed, epoch)),
        })
    }

    /// Those of every validation.
    ///
    /// # Errors
    /// The set cannot be paired.
    pub fn validation(
        dataset: &Dataset,
        split: &Split,
        batch: BatchLayout,
        seed: u64,
    ) -> Result<Self, DataError> {
        Ok(match batch {
            BatchLayout::Pairs => Examples::Pairs(pairs::validation(&dataset.labels, split, seed)?),
            BatchLayout::Labelled => Examples::Images(split.validation.clone()),
        })
    }

    /// Those of the test.
    ///
    /// # Errors
    /// The set cannot be paired.
    pub fn test(dataset: &Dataset, split: &Split, batch: BatchLayout, seed: u64) -> Result<Self, DataError> {
        Ok(match batch {
            BatchLayout::Pairs => Examples::Pairs(pairs::test(&dataset.labels, split, seed)?),
            BatchLayout::Labelled => Examples::Images(split.test.clone()),
        })
    }

    /// How many there are in an epoch.
    pub fn of_an_epoch(split: &Split, batch: BatchLayout) -> usize {
        match batch {
            BatchLayout::Pairs => 2 * split.train.len(),
            BatchLayout::Labelled => split.train.len(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Examples::Pairs(pairs) => pairs.len(),
            Examples::Images(images) => images.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The images in the order of the device's list.
    pub fn images(&self) -> Vec<u32> {
        match self {
            Examples::Pairs(pairs) => pairs.iter().flat_map(|pair| [pair.a, pair.b]).collect(),
            Examples::Images(images) => images.clone(),
        }
    }

    /// Brings an epoch's examples onto an executor, whose plan is for such.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn upload(&self, executor: &mut dyn Executor, labels: &[u32]) -> Result<(), ExecutorError> {
        match self {
            Examples::Pairs(pairs) => setup::upload_pairs(executor, pairs),
            Examples::Images(images) => {
                let classes: Vec<u32> = images.iter().map(|&image| labels[image as usize]).collect();
                executor.write_words(Plan::LABELLED[0], images)?;
                executor.write_words(Plan::LABELLED[1], &classes)
            }
        }
    }

    /// What the network on the executor makes of them; `None` where `go_on` answered false.
    ///
    /// # Errors
    /// What the executor reports.
    pub fn measure(
        &self,
        executor: &mut dyn Executor,
        labels: &[u32],
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Option<Answers>, ExecutorError> {
        match self {
            Examples::Pairs(pairs) => {
                let Some(scores) = eval::score_watched(executor, pairs, go_on)? else { return Ok(None) };
                // At one half, as in the paper.
                let metrics = eval::metrics(pairs, &scores, executor.plan().learnt(), 0.5);
                Ok(Some(Answers { accuracy: metrics.accuracy, loss: metrics.loss, scores }))
            }
            Examples::Images(images) => {
                let Some(metrics) = eval::classify_watched(executor, images, labels, go_on)? else {
                    return Ok(None);
                };
                Ok(Some(Answers { accuracy: metrics.accuracy, loss: metrics.loss, scores: Vec::new() }))
            }
        }
    }
}
