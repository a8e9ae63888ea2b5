//! What the settings make of a data set: its images, its parts, and how pairs are drawn.

use std::collections::BTreeMap;

use super::super::Failure;
use super::{Config, Loss};
use crate::data::{self, Dataset, Sampling, Split, SplitBy};
use crate::loss::Episodes;
use crate::plan::BatchLayout;
use crate::train::Measure;

/// Most classes that a message names.
const NAMED: usize = 5;

impl Config {
    /// The data set, with its images at the size asked for and turned copies of those to learn from, and its parts.
    ///
    /// # Errors
    /// What is wrong with the set, or that it cannot be had so.
    pub fn load(&self) -> Result<(Dataset, Split), Failure> {
        self.load_at(self.image_size.map(|size| (size, size)))
    }

    /// The same at some (height, width), whatever the settings say.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_at(&self, size: Option<(usize, usize)>) -> Result<(Dataset, Split), Failure> {
        let mut dataset = data::load(&self.dataset, self.data_dir.as_deref(), self.seed)?;
        if let Some(size) = size {
            dataset = data::resize::dataset(dataset, size, self.fit)?;
        }
        let mut split = data::split_by(&dataset, self.split_by(&dataset), self.val_share, self.seed)?;
        let few = self.few_images(&dataset, &split);
        dataset.warnings.extend(few);
        if self.rotations {
            data::rotations::add(&mut dataset, &mut split)?;
        }
        Ok((dataset, split))
    }

    /// Unit of the validation split.
    fn split_by(&self, dataset: &Dataset) -> SplitBy {
        self.split.unwrap_or(SplitBy::usual(dataset))
    }

    /// These settings with those that follow from the data set.
    pub fn settled(mut self, dataset: &Dataset, split: &Split) -> Self {
        if self.loss() == Loss::Episodes && self.way.is_none() {
            let mut classes: Vec<u32> =
                split.train.iter().map(|&image| dataset.labels[image as usize]).collect();
            classes.sort_unstable();
            classes.dedup();
            self.way = Some(self.usual_way(classes.len()));
        }
        self
    }

    /// What tells how good the network is: of classes that it does not learn, one-shot tasks.
    pub fn measure(&self, dataset: &Dataset) -> Measure {
        match (self.batch(), self.split_by(dataset)) {
            (BatchLayout::Pairs, SplitBy::Classes | SplitBy::Alphabets) => Measure::Tasks,
            (batch, _) => Measure::of(batch),
        }
    }

    /// How training pairs are drawn.
    ///
    /// # Errors
    /// The network, or the loss, wants others.
    pub fn sampling(&self, dataset: &Dataset) -> Result<Sampling, Failure> {
        let refused = |hint: &str| Err(Failure::Usage(format!("--sampling: {hint}")));
        let given = self.sampling;
        if self.batch() == BatchLayout::Labelled {
            return match given {
                Some(_) => refused("a classifier learns from images, not from pairs; leave it out"),
                None => Ok(Sampling::Balanced),
            };
        }
        let way = Episodes::way(&self.pair_loss());
        match (self.loss() == Loss::Episodes, given) {
            (true, None) => Ok(Sampling::Episodes { way }),
            (true, Some(given)) if given != (Sampling::Episodes { way }) => {
                refused(&format!("--loss episodes learns from episodes={way}; leave it out, or change --way"))
            }
            (true, Some(given)) => Ok(given),
            (_, Some(Sampling::Episodes { .. })) => refused(
                "all pairs of episodes are of one class; add --loss episodes, or name another sampling",
            ),
            (_, Some(given)) => Ok(given),
            (_, None) if self.split_by(dataset) == SplitBy::Alphabets => Ok(Sampling::Alphabets),
            (_, None) => Ok(Sampling::Balanced),
        }
    }

    /// What is to be said of classes that cannot make positive pairs.
    fn few_images(&self, dataset: &Dataset, split: &Split) -> Vec<String> {
        let (sampling, measure) =
            (self.sampling(dataset).unwrap_or(Sampling::Balanced), self.measure(dataset));
        let alone = (2, "serve in negative pairs alone".to_owned());
        let training = match sampling {
            Sampling::Balanced => alone.clone(),
            other => (other.images(), format!("are left out by --sampling {other}")),
        };
        let parts = [
            ("training", &split.train, self.batch() == BatchLayout::Pairs, training),
            ("validation", &split.validation, measure == Measure::Pairs, alone.clone()),
            ("test", &split.test, measure == Measure::Pairs, alone),
        ];
        let paired = parts.into_iter().filter(|(_, _, paired, _)| *paired);
        let said = paired.filter_map(|(part, images, _, (needed, fate))| {
            let mut counts = BTreeMap::<u32, usize>::new();
            images.iter().for_each(|&image| *counts.entry(dataset.labels[image as usize]).or_default() += 1);
            let few: Vec<&str> = (counts.iter().filter(|(_, count)| **count < needed))
                .filter_map(|(class, _)| dataset.classes.get(*class as usize).map(String::as_str))
                .collect();
            let more = few
                .len()
                .checked_sub(NAMED + 1)
                .map_or(String::new(), |more| format!(" and {} more", more + 1));
            let named = few[..few.len().min(NAMED)].join(", ");
            (!few.is_empty())
                .then(|| format!("classes with fewer than {needed} {part} images {fate}: {named}{more}"))
        });
        said.collect()
    }
}
