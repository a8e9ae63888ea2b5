//! What came of a run, and what its summary says.

use super::error::RunError;
use super::examples::{Examples, Measure};
use super::position::Position;
use super::sampler::Sampler;
use super::summary::{EpochMetrics, Speed, Summary};
use super::watch::Watch;
use crate::data::{Pair, Split};
use crate::eval::oneshot::{Solved, Tasks};
use crate::eval::{self, ClassMetrics, Projection, Roc, Score, classes, embeddings, pca};
use crate::session::Session;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub interrupted: bool,
    /// It ended before its last epoch, because validation did not get better any more.
    pub stopped_early: bool,
    /// Whether some validation was better than chance, or the run is too young to be judged.
    pub learned: bool,
    pub position: Position,
    /// Every epoch so far.
    pub epochs: Vec<EpochMetrics>,
    /// With the best weights.
    pub test: Option<Test>,
}

/// How the best weights did on the test set.
#[derive(Clone, Debug)]
pub struct Test {
    pub examples: Examples,
    /// One for each pair; of others there are none.
    pub scores: Vec<Score>,
    /// Of one-shot tasks.
    pub solved: Option<Solved>,
    /// In percent, of what [`Summary::measure`] says.
    pub accuracy: f64,
    pub loss: f64,
    pub seconds: f64,
    /// What the test images' embeddings tell of their classes; not in `seconds`.
    pub classes: Option<ClassMetrics>,
    /// The test images' embeddings, in the set's order.
    pub projection: Option<Projection>,
}

impl Test {
    /// The pairs with scores; classifiers and one-shot tasks have none.
    pub fn pairs(&self) -> &[Pair] {
        self.examples.pairs()
    }

    /// The one-shot tasks with what the network made of them, if it was measured by such.
    pub fn tasks(&self) -> Option<(&Tasks, &Solved)> {
        match (&self.examples, &self.solved) {
            (Examples::Tasks(tasks), Some(solved)) => Some((tasks, solved)),
            _ => None,
        }
    }
}

impl Outcome {
    /// Adds what the embeddings of training and test images tell of classes, with the best weights, which the executor
    /// holds. A classifier's logits are no embeddings, and classes that tasks are made of have no training images.
    ///
    /// # Errors
    /// What the executor reports.
    pub async fn embed(
        &mut self,
        executor: &mut dyn Session,
        sampler: &Sampler<'_>,
        watch: &mut dyn Watch,
    ) -> Result<(), RunError> {
        let Some(of_test) = self.test.as_mut().filter(|_| sampler.measure == Measure::Pairs) else {
            return Ok(());
        };
        let Sampler { dataset, split: Split { train, test, .. }, .. } = sampler;
        let mut embed = async |images: &[u32], what| {
            let mut go_on = |share| {
                watch.scoring(what, share);
                !watch.interrupted()
            };
            embeddings::embeddings(executor, images, &mut go_on).await
        };
        let trained = embed(train, "embeddings of training images").await?;
        let tested = embed(test, "embeddings of test images").await?;
        if let (Some(trained), Some(tested)) = (trained, tested) {
            let labels = |images: &[u32]| -> Vec<u32> {
                images.iter().filter_map(|&image| dataset.labels.get(image as usize).copied()).collect()
            };
            let test_labels = labels(test);
            let go_on = &mut |share| {
                watch.scoring("classes by embeddings", share);
                !watch.interrupted()
            };
            of_test.classes = classes::metrics((&trained, &labels(train)), (&tested, &test_labels), go_on);
            of_test.projection = pca::project(&tested, &test_labels, go_on);
        }
        self.interrupted = watch.interrupted();
        Ok(())
    }

    /// What the run's `summary.json` says.
    pub fn summary(&self, executor: &dyn Session, sampler: &Sampler) -> Summary {
        let Sampler { dataset, measure, seed, .. } = *sampler;
        let plan = executor.plan();
        let best_epoch = self.position.best.map_or(0, |best| best.epoch);
        let best = self.epochs.iter().find(|metrics| metrics.epoch == best_epoch);
        let speed = Speed::of(&self.epochs, plan);
        let seconds: Vec<f64> = self
            .epochs
            .iter()
            .map(|metrics| metrics.train_seconds)
            .filter(|&seconds| seconds > 0.0)
            .collect();
        let test = self.test.as_ref();
        let accuracies = [
            best.map(|best| best.train_accuracy),
            best.map(|best| best.val_accuracy),
            test.map(|test| test.accuracy),
        ];
        let of = |wanted: Measure| accuracies.map(|accuracy| accuracy.filter(|_| measure == wanted));
        let [mut train_accuracy, val_accuracy, test_accuracy] = of(Measure::Pairs);
        let [train_class_accuracy, val_class_accuracy, test_class_accuracy] = of(Measure::Classes);
        let [train_of_pairs, val_oneshot_accuracy, test_oneshot_accuracy] = of(Measure::Tasks);
        train_accuracy = train_accuracy.or(train_of_pairs);
        let oneshot = test.and_then(|test| test.solved.as_ref()).map(|solved| &solved.figures);
        let threshold = self.position.best.map_or(0.5, |best| best.threshold);
        let at_threshold =
            |test: &Test| eval::metrics(test.pairs(), &test.scores, plan.learnt(), threshold).accuracy;
        let compared = test.filter(|_| measure == Measure::Pairs);
        let roc = compared.and_then(|test| Roc::of(test.pairs(), &test.scores)).map(|roc| roc.figures());
        let classes = test.and_then(|test| test.classes);
        Summary {
            model: plan.model.clone(),
            dataset: dataset.name.clone(),
            dataset_title: dataset.title.clone(),
            dataset_notes: dataset.warnings.clone(),
            trainable: plan.trainable(),
            state: plan.state(),
            parameters: plan.trainable() + plan.state(),
            seed,
            adapter: executor.adapter().clone(),
            plan: plan.options.kind.name().into(),
            launches_per_step: plan.train.len(),
            train_launches: self.position.train_launches,
            batch_size: plan.options.batch_size,
            epochs: self.position.epochs,
            steps: self.position.steps,
            best_epoch,
            train_accuracy,
            val_accuracy,
            test_accuracy,
            train_class_accuracy,
            val_class_accuracy,
            test_class_accuracy,
            val_oneshot_accuracy,
            test_oneshot_accuracy,
            test_oneshot_standard_error: oneshot.map(|figures| figures.standard_error),
            test_oneshot_ties: oneshot.map(|figures| figures.ties),
            measure,
            test_accuracy_at_threshold: compared.map(at_threshold),
            roc_auc: roc.map(|roc| roc.roc_auc),
            eer: roc.map(|roc| roc.eer),
            tar_at_far: roc.map(|roc| roc.tar_at_far),
            threshold_at_far: roc.map(|roc| roc.threshold_at_far),
            class_accuracy_centroid: classes.map(|classes| classes.centroid),
            class_accuracy_knn: classes.map(|classes| classes.knn),
            threshold,
            seconds_per_epoch: seconds.iter().sum::<f64>() / seconds.len().max(1) as f64,
            seconds_per_step: speed.seconds_per_step,
            gflops: speed.gflops,
            test_seconds: self.test.as_ref().map_or(0.0, |test| test.seconds),
            interrupted: self.interrupted,
            stopped_early: self.stopped_early,
        }
    }
}
