//! Where a run's examples come from: the same settings give the same ones, whenever a run is resumed.

use super::error::RunError;
use super::examples::{Examples, Measure};
use crate::data::{DataError, Dataset, Pool, Sampling, Split, Steps, Stream, labelled, pairs};
use crate::eval::oneshot::{self, Protocol};
use crate::plan::BatchLayout;

/// What examples to draw, and of what.
#[derive(Clone, Copy, Debug)]
pub struct Sampler<'a> {
    pub dataset: &'a Dataset,
    pub split: &'a Split,
    pub batch: BatchLayout,
    pub batch_size: usize,
    /// What validation and test are measured by.
    pub measure: Measure,
    /// How pairs are drawn.
    pub sampling: Sampling,
    /// Training steps of an epoch; if `None`, as many as two pairs for every training image make, or a classifier's
    /// images each once.
    pub epoch_steps: Option<u64>,
    pub seed: u64,
}

impl Sampler<'_> {
    /// Those of a training epoch, in the order in which they are trained on; epochs count from 1.
    ///
    /// # Errors
    /// The set cannot be paired so.
    pub fn training(&self, epoch: u64) -> Result<Examples, DataError> {
        let Sampler { dataset, split, seed, .. } = *self;
        if self.batch == BatchLayout::Labelled {
            return Ok(Examples::Images(self.images(epoch)));
        }
        // Whole passes over the images: what an epoch is where nothing else is told.
        if self.sampling == Sampling::Balanced && self.epoch_steps.is_none() {
            return Ok(Examples::Pairs(pairs::training(&dataset.labels, split, seed, epoch)?));
        }
        let pool = Pool { labels: &dataset.labels, alphabet_of: &dataset.alphabet_of, members: &split.train };
        let steps = self.of_an_epoch() / self.batch_size;
        let wanted = Steps { seed, epoch: epoch - 1, steps, batch: self.batch_size };
        Ok(Examples::Pairs(self.sampling.draw(pool, wanted)?))
    }

    /// The part of an endless list of passes over the images that an epoch takes; where its steps are not told, the
    /// epoch is the pass.
    fn images(&self, epoch: u64) -> Vec<u32> {
        let Sampler { split, seed, .. } = *self;
        let Some(steps) = self.epoch_steps else { return labelled::training(split, seed, epoch) };
        let wanted = steps.saturating_mul(self.batch_size as u64);
        let all = split.train.len().max(1) as u64;
        let start = (epoch - 1).saturating_mul(wanted);
        let mut images = Vec::new();
        let (mut pass, mut skipped) = (start / all + 1, (start % all) as usize);
        while (images.len() as u64) < wanted && !split.train.is_empty() {
            images.extend(labelled::training(split, seed, pass).into_iter().skip(skipped));
            (pass, skipped) = (pass + 1, 0);
        }
        images.truncate(wanted as usize);
        images
    }

    /// Two pairs for every training image, or every image once.
    fn of_a_pass(&self) -> usize {
        match self.batch {
            BatchLayout::Pairs => 2 * self.split.train.len(),
            BatchLayout::Labelled => self.split.train.len(),
        }
    }

    /// Those of every validation.
    ///
    /// # Errors
    /// The set cannot be paired, or there is nothing to ask.
    pub fn validation(&self) -> Result<Examples, DataError> {
        let Sampler { dataset, split, seed, .. } = *self;
        Ok(match self.measure {
            Measure::Pairs => Examples::Pairs(pairs::validation(&dataset.labels, split, seed)?),
            Measure::Classes => Examples::Images(split.validation.clone()),
            Measure::Tasks => self.tasks(&split.validation, Stream::ValidationTasks)?,
        })
    }

    /// The validation pairs that a threshold is chosen on, where validation is not by pairs itself.
    ///
    /// # Errors
    /// The set cannot be paired.
    pub fn calibration(&self) -> Result<Option<Examples>, DataError> {
        match self.measure {
            Measure::Tasks => {
                let Sampler { dataset, split, seed, .. } = *self;
                Ok(Some(Examples::Pairs(pairs::validation(&dataset.labels, split, seed)?)))
            }
            Measure::Pairs | Measure::Classes => Ok(None),
        }
    }

    /// Those of the test; none where the set has no test images.
    ///
    /// # Errors
    /// As [`Self::validation`].
    pub fn test(&self) -> Result<Option<Examples>, DataError> {
        let Sampler { dataset, split, seed, .. } = *self;
        if split.test.is_empty() {
            return Ok(None);
        }
        Ok(Some(match self.measure {
            Measure::Pairs => Examples::Pairs(pairs::test(&dataset.labels, split, seed)?),
            Measure::Classes => Examples::Images(split.test.clone()),
            Measure::Tasks => self.tasks(&split.test, Stream::TestTasks)?,
        }))
    }

    fn tasks(&self, images: &[u32], stream: Stream) -> Result<Examples, DataError> {
        Ok(Examples::Tasks(oneshot::draw(self.dataset, images, Protocol::default(), self.seed, stream)?))
    }

    /// How many training examples an epoch has.
    pub fn of_an_epoch(&self) -> usize {
        match self.epoch_steps {
            Some(steps) => (steps as usize).saturating_mul(self.batch_size),
            None => self.of_a_pass(),
        }
    }

    /// Whether a run could draw its examples and fill a batch: asked before anything is made for it. Returns how many
    /// images are embedded, and pairs scored, at a time.
    ///
    /// # Errors
    /// What would end the run.
    pub fn check(&self) -> Result<(usize, usize), RunError> {
        let Sampler { batch, batch_size, .. } = *self;
        let found = self.training(1)?.len();
        if found < batch_size {
            return Err(RunError::TooFew { batch, found, batch_size });
        }
        let mut room = (0, 0);
        for examples in [Some(self.validation()?), self.calibration()?, self.test()?].into_iter().flatten() {
            let (images, pairs) = match &examples {
                // A pair and its opposite for each image.
                Examples::Pairs(pairs) => (pairs.len() / 2, pairs.len()),
                Examples::Images(images) => (images.len(), 1),
                Examples::Tasks(tasks) => tasks.room(),
            };
            room = (room.0.max(images), room.1.max(pairs));
        }
        Ok(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, Glyphs, glyphs};

    fn set() -> Dataset {
        glyphs::generate(&Glyphs { train_per_class: 30, test_per_class: 8, ..Glyphs::default() }, 0)
    }

    fn sampler<'a>(dataset: &'a Dataset, split: &'a Split, epoch_steps: Option<u64>) -> Sampler<'a> {
        Sampler {
            dataset,
            split,
            batch: BatchLayout::Pairs,
            batch_size: 6,
            measure: Measure::Pairs,
            sampling: Sampling::Balanced,
            epoch_steps,
            seed: 3,
        }
    }

    /// Epochs of so many steps cut up the same list of images that epochs without cut up by passes.
    #[test]
    fn an_epoch_of_so_many_steps_takes_up_where_the_last_one_ended() {
        let dataset = set();
        let split = data::split(&dataset, 0);
        let classifier = |epoch_steps| Sampler {
            batch: BatchLayout::Labelled,
            measure: Measure::Classes,
            ..sampler(&dataset, &split, epoch_steps)
        };
        let passes = classifier(None);
        assert_eq!(passes.of_an_epoch(), 240);
        let whole: Vec<u32> = (1..=3).flat_map(|epoch| passes.training(epoch).unwrap().images()).collect();
        for steps in [1, 7, 100] {
            let stretches = classifier(Some(steps));
            let epochs = 720 / stretches.of_an_epoch() as u64;
            let cut: Vec<u32> =
                (1..=epochs).flat_map(|epoch| stretches.training(epoch).unwrap().images()).collect();
            assert_eq!(cut, whole[..cut.len()], "{steps} steps an epoch");
            assert!(cut.len() >= 600, "{} images compared", cut.len());
        }
    }

    /// Whatever the sampling, an epoch has its steps, the same ones each time, and the next one has others.
    #[test]
    fn epochs_are_full_and_repeat() {
        let set = glyphs::generate_alphabets(&data::GlyphAlphabets::default(), 0);
        let split = data::split_by(&set, data::SplitBy::Alphabets, data::split::SHARE, 0).unwrap();
        for (sampling, epoch_steps) in [
            (Sampling::Balanced, Some(7)),
            (Sampling::Alphabets, Some(7)),
            (Sampling::Alphabets, None),
            (Sampling::Episodes { way: 3 }, Some(7)),
            (Sampling::Classes { each: 2 }, Some(7)),
        ] {
            let sampler = Sampler { sampling, ..sampler(&set, &split, epoch_steps) };
            let pairs = |epoch| sampler.training(epoch).unwrap().pairs().to_vec();
            let expected = epoch_steps.map_or(2 * split.train.len() / 6 * 6, |steps| 6 * steps as usize);
            assert_eq!((pairs(1).len(), pairs(2).len()), (expected, expected), "{sampling}");
            assert!(pairs(1) == pairs(1) && pairs(1) != pairs(2), "{sampling}");
        }
    }

    #[test]
    fn a_set_without_test_images_has_no_test() {
        let dataset = set();
        let mut split = data::split(&dataset, 0);
        assert_eq!(sampler(&dataset, &split, None).check().unwrap(), (80, 160));
        split.test.clear();
        let sampler = sampler(&dataset, &split, None);
        assert_eq!(sampler.test().unwrap(), None);
        assert_eq!(sampler.check().unwrap(), (60, 120));
    }

    #[test]
    fn tasks_of_validation_and_test_are_others() {
        let dataset = set();
        let mut split = data::split(&dataset, 0);
        // The same images, so that only what is drawn can differ.
        split.validation = split.test.clone();
        let sampler = Sampler { measure: Measure::Tasks, ..sampler(&dataset, &split, None) };
        let (Examples::Tasks(one), Some(Examples::Tasks(other))) =
            (sampler.validation().unwrap(), sampler.test().unwrap())
        else {
            panic!("no tasks");
        };
        assert_eq!((one.list.len(), other.list.len(), one.way()), (40, 40, 10));
        assert_ne!(one, other);
        // Forty tasks of ten pairs.
        assert_eq!(sampler.check().unwrap().1, 400);
    }

    #[test]
    fn a_batch_must_be_filled() {
        let dataset = set();
        let split = data::split(&dataset, 0);
        let sampler = Sampler { batch_size: 481, ..sampler(&dataset, &split, None) };
        assert!(matches!(sampler.check(), Err(RunError::TooFew { found: 480, batch_size: 481, .. })));
    }
}
