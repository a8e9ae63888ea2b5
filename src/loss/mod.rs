//! Losses, distances and heads: functions that build graphs, each in a file of its own, found by name.
//!
//! A loss says which batches it takes, what should compare two embeddings for it, and builds itself from them. A new
//! one is a file here and a line in [`LOSSES`]; outside this crate it is a static [`Definition`], used by
//! [`Loss::of`].

mod batch_hard;
mod classes;
mod contrastive;
mod cross_entropy;
pub mod distance;
mod episodes;
mod hadsell;
mod head;
mod nt_xent;

use std::fmt;

use crate::graph::{Graph, ValueId};

pub use batch_hard::BatchHard;
pub use classes::Classes;
pub use contrastive::Contrastive;
pub use cross_entropy::CrossEntropy;
pub use distance::PairDistance;
pub use episodes::Episodes;
pub use hadsell::Hadsell;
pub use head::{Compared, Comparison, NORM_EPS};
pub use nt_xent::NtXent;

/// All losses, by the names that `--loss` takes.
pub static LOSSES: &[&dyn Definition] =
    &[&Contrastive, &Hadsell, &CrossEntropy, &Episodes, &NtXent, &BatchHard];

/// What a batch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchLayout {
    /// Pairs of images, all first ones before all second ones, and whether each is of one class.
    Pairs,
    /// Images, each with its class.
    Labelled,
}

impl BatchLayout {
    /// Images of an entry.
    pub fn branches(self) -> usize {
        match self {
            BatchLayout::Pairs => 2,
            BatchLayout::Labelled => 1,
        }
    }
}

/// A number that a loss may be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// As a flag and in files.
    pub name: &'static str,
    pub default: f32,
    /// Smallest and largest.
    pub range: (f32, f32),
}

/// Most settings of a loss.
pub const SETTINGS: usize = 4;

/// What a loss can be built from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// `[images, features]`; of classifiers the logits.
    pub embedding: ValueId,
    /// `[entries]`, of pairs.
    pub distance: Option<ValueId>,
    pub similarity: Option<ValueId>,
}

/// What the network says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub distance: f64,
    pub similarity: f64,
}

/// A loss, without its settings.
pub trait Definition: Sync {
    fn name(&self) -> &'static str;

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// What its batches are made of.
    fn batch(&self) -> BatchLayout {
        BatchLayout::Pairs
    }

    /// What compares two embeddings for it, unless a model has a comparison of its own.
    fn comparison(&self, distance: PairDistance) -> Comparison {
        Comparison::Distance { kind: distance, head: false }
    }

    /// Refuses what it cannot be computed on: a comparison, or so many entries to a batch.
    ///
    /// # Errors
    /// Says why.
    fn check(&self, _loss: &Loss, _comparison: Option<Comparison>, _entries: usize) -> Result<(), String> {
        Ok(())
    }

    /// Entries that must stay together where a batch is cut into micro-batches.
    fn unit(&self, _loss: &Loss) -> usize {
        1
    }

    /// Builds it; it ends with an op that writes the step's metrics ([`crate::graph::Op::ends`]).
    fn build(&self, loss: &Loss, graph: &mut Graph, inputs: Inputs);

    /// The similarity that a distance stands for where the network computes none: `2^(-2 d)`, which falls from 1 and
    /// passes one half at one half.
    fn similarity(&self, _loss: &Loss, distance: f32) -> f32 {
        (-2.0 * distance).exp2()
    }

    /// The loss of one pair, for evaluation on the host; of losses that see more than pairs the cross-entropy of the
    /// pair's similarity.
    fn of_pair(&self, loss: &Loss, _comparison: Option<Comparison>, verdict: Verdict, same: bool) -> f64 {
        let probability = f64::from(self.similarity(loss, verdict.distance as f32));
        let wrong = if same { 1.0 - probability } else { probability };
        -(1.0 - wrong).max(f64::MIN_POSITIVE).ln()
    }
}

/// A loss with its settings.
#[derive(Clone, Copy)]
pub struct Loss {
    definition: &'static dyn Definition,
    values: [f32; SETTINGS],
}

impl Loss {
    /// With its settings' defaults.
    pub fn of(definition: &'static dyn Definition) -> Self {
        let mut values = [0.0; SETTINGS];
        for (value, setting) in values.iter_mut().zip(definition.settings()) {
            *value = setting.default;
        }
        Loss { definition, values }
    }

    /// The loss of this name.
    pub fn named(name: &str) -> Option<Self> {
        let definitions = LOSSES.iter().copied().chain([&Classes as &dyn Definition]);
        definitions.into_iter().find(|definition| definition.name() == name).map(Loss::of)
    }

    /// With a setting changed; one that it does not have changes nothing.
    #[must_use]
    pub fn with(mut self, setting: &str, value: f32) -> Self {
        if let Some(position) = self.definition.settings().iter().position(|other| other.name == setting) {
            self.values[position] = value;
        }
        self
    }

    /// A setting by name; 0 where it has no such.
    pub fn get(&self, setting: &str) -> f32 {
        self.settings().find(|(other, _)| other.name == setting).map_or(0.0, |(_, value)| value)
    }

    /// Its settings and what they are.
    pub fn settings(&self) -> impl Iterator<Item = (&'static Setting, f32)> + '_ {
        self.definition.settings().iter().zip(self.values)
    }

    pub fn name(&self) -> &'static str {
        self.definition.name()
    }

    pub fn batch(&self) -> BatchLayout {
        self.definition.batch()
    }

    pub fn comparison(&self, distance: PairDistance) -> Comparison {
        self.definition.comparison(distance)
    }

    /// Refuses settings out of range, and what it cannot be computed on.
    ///
    /// # Errors
    /// Says why.
    pub fn check(&self, comparison: Option<Comparison>, entries: usize) -> Result<(), String> {
        for (Setting { name, range: (low, high), .. }, value) in self.settings() {
            if !(*low..=*high).contains(&value) {
                return Err(format!("--{name} {value}: must be from {low} to {high}"));
            }
        }
        self.definition.check(self, comparison, entries)
    }

    pub fn unit(&self) -> usize {
        self.definition.unit(self)
    }

    pub fn build(&self, graph: &mut Graph, inputs: Inputs) {
        self.definition.build(self, graph, inputs);
    }

    pub fn similarity(&self, distance: f32) -> f32 {
        self.definition.similarity(self, distance)
    }

    pub fn of_pair(
        &self,
        comparison: Option<Comparison>,
        (distance, similarity): (f64, f64),
        same: bool,
    ) -> f64 {
        self.definition.of_pair(self, comparison, Verdict { distance, similarity }, same)
    }
}

impl Default for Loss {
    /// The SN-LeNet-5 paper's.
    fn default() -> Self {
        Loss::of(&Contrastive)
    }
}

impl PartialEq for Loss {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.values == other.values
    }
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        self.settings().try_for_each(|(setting, value)| write!(f, " {}={value}", setting.name))
    }
}
