//! A run, made up, its page, and what is looked for in it.

use crate::data::{Augmentation, Dataset, Pair, Shape};
use crate::eval::oneshot::{Solved, Tasks};
use crate::eval::roc::ByFar;
use crate::eval::{Projection, Score};
use crate::report::{Report, html};
use crate::session::AdapterInfo;
use crate::train::{EpochMetrics, Measure, Summary};

/// A run, made up.
pub struct Run {
    pub summary: Summary,
    pub epochs: Vec<EpochMetrics>,
    pub dataset: Dataset,
    pub training: Vec<Pair>,
    pub test: Vec<Pair>,
    pub scores: Vec<Score>,
    pub tasks: Option<(Tasks, Solved)>,
    pub augment: Option<Augmentation>,
    pub images: Vec<u32>,
    pub projection: Projection,
    pub command: String,
}

/// An epoch, made up: the later, the better.
pub fn epoch(epoch: u64, measure: Measure, loss: f64) -> EpochMetrics {
    EpochMetrics {
        epoch,
        step: 10 * epoch,
        train_loss: loss,
        train_accuracy: 100.0 - 50.0 * loss,
        val_loss: 2.0 * loss,
        val_accuracy: 99.0 - 50.0 * loss,
        train_seconds: 7.5,
        val_seconds: 0.1,
        pairs_per_second: 12_000.0,
        measure,
    }
}

/// Images of three by two pixels in two classes by turns, all bytes different.
pub fn dataset(images: u8) -> Dataset {
    Dataset {
        name: "shapes".into(),
        title: "Shapes".into(),
        shape: Shape { channels: 1, height: 2, width: 3 },
        images: (0..6 * images).collect(),
        labels: (0..u32::from(images)).map(|image| image % 2).collect(),
        classes: vec!["set/disc".into(), "set/ring".into()],
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images: usize::from(images / 2),
        warnings: Vec::new(),
    }
}

impl Run {
    /// `epochs` epochs, the second of which was the best, and 40 test pairs, of which four are told
    /// apart wrongly: the same pairs 0 (0.02) and 30 (0.4), the different pairs 3 (0.7) and 35 (0.97).
    pub fn new(epochs: u64) -> Self {
        let pair = |index: u32| {
            let same = index.is_multiple_of(2);
            Pair { a: index % 8, b: (index + if same { 2 } else { 1 }) % 8, same }
        };
        let similarity = |index: u32| match index {
            0 => 0.02,
            30 => 0.4,
            3 => 0.7,
            35 => 0.97,
            _ => (pair(index).same as u32) as f32 * 0.9 + 0.05,
        };
        Self {
            summary: Summary {
                model: "sn-lenet5".into(),
                dataset: "shapes".into(),
                dataset_title: "Shapes".into(),
                dataset_notes: Vec::new(),
                trainable: 60_860,
                state: 2,
                parameters: 60_862,
                seed: 7,
                adapter: AdapterInfo {
                    name: "CPU, 2 threads".into(),
                    backend: "cpu".into(),
                    driver: "avx2".into(),
                    software: false,
                },
                plan: "unfused".into(),
                launches_per_step: 41,
                train_launches: 410 * epochs,
                batch_size: 64,
                epochs,
                steps: 10 * epochs,
                best_epoch: epochs.min(2),
                train_accuracy: Some(97.5),
                val_accuracy: Some(96.5),
                test_accuracy: Some(90.0),
                train_class_accuracy: None,
                val_class_accuracy: None,
                test_class_accuracy: None,
                val_oneshot_accuracy: None,
                test_oneshot_accuracy: None,
                test_oneshot_standard_error: None,
                test_oneshot_ties: None,
                measure: Measure::Pairs,
                test_accuracy_at_threshold: Some(90.0),
                roc_auc: Some(0.93),
                eer: Some(7.5),
                threshold_at_far: None,
                tar_at_far: Some(ByFar { tenth: 95.0, hundredth: 90.0, thousandth: 85.0 }),
                class_accuracy_centroid: Some(88.0),
                class_accuracy_knn: Some(89.0),
                threshold: 0.5,
                seconds_per_epoch: 7.5,
                seconds_per_step: 0.75,
                gflops: 12.5,
                test_seconds: 0.03,
                interrupted: false,
                stopped_early: false,
            },
            epochs: (1..=epochs).map(|n| epoch(n, Measure::Pairs, 0.1 / n as f64)).collect(),
            dataset: dataset(8),
            training: (0..50).map(pair).collect(),
            test: (0..40).map(pair).collect(),
            scores: (0..40).map(|i| Score { distance: 1.0, similarity: similarity(i) }).collect(),
            tasks: None,
            augment: None,
            images: (0..8).collect(),
            projection: Projection {
                points: vec![[0.0, 1.0], [2.0, -1.0], [4.0, 0.5], [-3.0, 0.0]],
                labels: vec![0, 1, 0, 1],
                shares: [0.75, 0.125],
            },
            command: "gpu-siamese train --seed 7".into(),
        }
    }

    pub fn interrupted(mut self) -> Self {
        self.summary.interrupted = true;
        self.summary.test_accuracy = None;
        self.scores.clear();
        self
    }

    /// Nothing but a data set and the adapter.
    pub fn empty() -> Self {
        let mut run = Run::new(0).interrupted();
        (run.summary.train_accuracy, run.summary.val_accuracy) = (None, None);
        run.training.clear();
        run.test.clear();
        run
    }

    pub fn page(&self) -> String {
        html(&Report {
            summary: &self.summary,
            epochs: &self.epochs,
            dataset: &self.dataset,
            training_pairs: &self.training,
            test_pairs: &self.test,
            test_scores: &self.scores,
            tasks: self.tasks.as_ref().map(|(tasks, solved)| (tasks, solved)),
            augment: self.augment,
            images: &self.images,
            projection: (!self.scores.is_empty()).then_some(&self.projection),
            command: self.command.clone(),
        })
    }

    /// Measured by something else than pairs, and not tested on any.
    pub fn measured(mut self, measure: Measure) -> Self {
        self.summary.measure = measure;
        (self.test, self.scores) = (vec![], vec![]);
        (self.summary.val_accuracy, self.summary.test_accuracy) = (None, None);
        self.epochs.iter_mut().for_each(|metrics| metrics.measure = measure);
        self
    }
}

/// What stands between a heading and the next one of its rank or a higher one.
pub fn below<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(heading).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &page[start + heading.len()..];
    let ends: &[&str] = if heading.starts_with("<h3>") { &["<h3>", "<h2>"] } else { &["<h2>"] };
    let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    &rest[..end]
}

pub fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

pub fn assert_has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "no {text} in {page}");
    }
}

/// Every element that is opened is closed, in order.
pub fn assert_balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    // Attributes and texts are escaped, so that each of these opens or ends a tag.
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "in {open:?}");
        } else if !["!DOCTYPE", "meta", "img"].contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
