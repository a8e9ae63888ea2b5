//! The page's content, for runs of every kind.

use super::*;
use crate::data::Shape;
use crate::eval::Roc;
use crate::eval::oneshot::{Answer, OneShot, Task};
use crate::eval::roc::ByFar;
use crate::executor::AdapterInfo;
use crate::train::Measure;

/// A run, made up.
struct Run {
    summary: Summary,
    epochs: Vec<EpochMetrics>,
    dataset: Dataset,
    training: Vec<Pair>,
    test: Vec<Pair>,
    scores: Vec<Score>,
    tasks: Option<(Tasks, Solved)>,
    augment: Option<Augmentation>,
    images: Vec<u32>,
    projection: Projection,
}

impl Run {
    /// `epochs` epochs, the second of which was the best, and 40 test pairs, of which four are told
    /// apart wrongly: the same pairs 0 (0.02) and 30 (0.4), the different pairs 3 (0.7) and 35 (0.97).
    fn new(epochs: u64) -> Self {
        let metrics = |epoch| EpochMetrics {
            epoch,
            step: 10 * epoch,
            train_loss: 0.1 / epoch as f64,
            train_accuracy: 100.0 - 5.0 / epoch as f64,
            val_loss: 0.2 / epoch as f64,
            val_accuracy: 99.0 - 5.0 / epoch as f64,
            train_seconds: 7.5,
            val_seconds: 0.1,
            pairs_per_second: 12_000.0,
            measure: Measure::Pairs,
        };
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
            epochs: (1..=epochs).map(metrics).collect(),
            dataset: Dataset {
                name: "shapes".into(),
                title: "Shapes".into(),
                shape: Shape { channels: 1, height: 2, width: 3 },
                images: (0..48).collect(),
                labels: vec![0, 1, 0, 1, 0, 1, 0, 1],
                classes: vec!["set/disc".into(), "set/ring".into()],
                alphabets: Vec::new(),
                alphabet_of: Vec::new(),
                train_images: 4,
                warnings: Vec::new(),
            },
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
        }
    }

    fn interrupted(mut self) -> Self {
        self.summary.interrupted = true;
        self.summary.test_accuracy = None;
        self.scores.clear();
        self
    }

    /// Nothing but a data set and the adapter.
    fn empty() -> Self {
        let mut run = Run::new(0).interrupted();
        (run.summary.train_accuracy, run.summary.val_accuracy) = (None, None);
        run.training.clear();
        run.test.clear();
        run
    }

    fn page(&self) -> String {
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
            command: "gpu-siamese train --seed 7".into(),
        })
    }
}

/// What stands between a heading and the next one of its rank or a higher one.
fn below<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(heading).unwrap_or_else(|| panic!("no {heading}"));
    let rest = &page[start + heading.len()..];
    let ends: &[&str] = if heading.starts_with("<h3>") { &["<h3>", "<h2>"] } else { &["<h2>"] };
    let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    &rest[..end]
}

fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

/// Every element that is opened is closed, in order.
fn assert_balanced(page: &str) {
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

/// A classifier's accuracy is no accuracy of pairs, and nowhere called one.
#[test]
fn the_page_of_a_classifier_counts_images() {
    let mut run = Run::new(3);
    let summary = &mut run.summary;
    summary.measure = Measure::Classes;
    (summary.train_class_accuracy, summary.train_accuracy) = (summary.train_accuracy, None);
    (summary.val_class_accuracy, summary.val_accuracy) = (summary.val_accuracy, None);
    (summary.test_class_accuracy, summary.test_accuracy) = (Some(98.76), None);
    (run.training, run.test, run.scores) = (vec![], vec![], vec![]);
    run.epochs.iter_mut().for_each(|metrics| metrics.measure = Measure::Classes);
    let page = run.page();
    assert_balanced(&page);
    assert!(page.contains("98.76\u{a0}%") && page.contains("Test class accuracy"));
    let lower = page[page.find("<body>").unwrap()..].to_lowercase();
    assert!(!lower.contains("pair") && !lower.contains("siamese network"), "{lower}");
}

/// Twenty tasks of two alphabets: of the first all are right, of the second one is tied and the others are wrong.
fn solved() -> (Tasks, Solved) {
    let task =
        |number: u32| Task { query: 7, support: vec![0, 1, 2], right: number % 3, alphabet: number / 10 };
    let tasks = Tasks {
        list: (0..20).map(task).collect(),
        shots: 1,
        alphabets: vec!["Greek".into(), "Runes & <more>".into()],
    };
    let answer = |(number, task): (usize, &Task)| {
        let mut distances = [2.0f32; 3];
        match number {
            0..10 => distances[task.right as usize] = 1.0,
            10 => {}
            _ => distances[(task.right as usize + 1) % 3] = 1.0,
        }
        Answer::of(&distances, 1)
    };
    let answers: Vec<Answer> = tasks.list.iter().enumerate().map(answer).collect();
    let figures = OneShot::of(&tasks, &answers, 64);
    (tasks, Solved { answers, figures })
}

#[test]
fn a_run_that_is_measured_by_tasks_shows_them() {
    let mut run = Run::new(3);
    let summary = &mut run.summary;
    summary.measure = Measure::Tasks;
    (summary.val_oneshot_accuracy, summary.val_accuracy) = (Some(48.0), None);
    (summary.test_oneshot_accuracy, summary.test_accuracy) = (Some(50.0), None);
    summary.test_oneshot_standard_error = Some(12.34);
    (run.test, run.scores, run.tasks) = (vec![], vec![], Some(solved()));
    run.epochs.iter_mut().for_each(|metrics| metrics.measure = Measure::Tasks);
    let page = run.page();
    assert_balanced(&page);
    let headline = &page[..page.find("<h2>").unwrap()];
    assert!(headline.contains("Test one-shot accuracy") && headline.contains("50.00\u{a0}%"), "{headline}");
    assert!(headline.contains("of 20\u{a0}tasks right, ± 12.34"), "{headline}");
    assert!(page.contains("Training pairs") && !page.contains("Test pair"), "pairs train, tasks test");
    let learning = below(&page, "<h2>Learning</h2>");
    for chart in ["One-shot accuracy", "Training accuracy", "Loss of tasks", "Training loss"] {
        assert!(learning.contains(&format!("<h3>{chart} by epoch</h3>")), "{chart}");
    }
    assert_eq!(
        (count(learning, "<figcaption>Training "), count(learning, "<figcaption>Validation ")),
        (2, 2)
    );
    assert!(!learning.contains(", validation"), "pairs and tasks share a chart");
    let tasks = below(&page, "<h2>One-shot tasks</h2>");
    // Six of each alphabet: all right; a tied one and five wrong.
    assert_eq!((count(tasks, "<li>"), count(tasks, "<img")), (12, 12 * 4));
    assert_eq!((count(tasks, "✓ right"), count(tasks, "✗ no answer"), count(tasks, "✗ wrong")), (6, 1, 5));
    assert_eq!((count(tasks, "option right\""), count(tasks, "option chosen\"")), (12, 5));
    assert!(tasks.contains("33.33\u{a0}% of the tasks"), "{tasks}");
    let alphabets = below(&page, "<h2>By alphabet</h2>");
    assert!(alphabets.contains("Runes &amp; &lt;more&gt;</th><td>10</td><td>0.0</td>"), "{alphabets}");
    assert!(alphabets.contains("Greek</th><td>10</td><td>100.0</td>"), "{alphabets}");
}

#[test]
fn tasks_have_a_page_of_their_own() {
    let (run, (tasks, solved)) = (Run::new(1), solved());
    let page = oneshot_html(&OneShotPage {
        title: "One-shot <tasks>".into(),
        lede: "Which?".into(),
        notes: vec!["Beware".into()],
        facts: vec![("Model", "a & b".into())],
        dataset: &run.dataset,
        tasks: &tasks,
        solved: &solved,
    });
    assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script"));
    assert_balanced(&page);
    for text in
        ["One-shot &lt;tasks&gt;", "50.00\u{a0}%", "Beware", "a &amp; b", "5.00\u{a0}%", "33.33\u{a0}%"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(count(&page, "src="), count(&page, "src=\"data:image/png;base64,"));
}

#[test]
fn augmented_images_stand_beside_the_stored_ones() {
    let mut run = Run::new(3);
    assert!(!run.page().contains("Augmented images"));
    run.augment = "flip,shift=1".parse().ok();
    let page = run.page();
    let section = below(&page, "Augmented images");
    assert!(section.contains("<code>shift=1,flip</code>"), "{section}");
    assert_eq!(section.matches("<img").count(), 16);
    let pictures: Vec<&str> =
        section.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(pictures.chunks(2).any(|pair| pair[0] != pair[1]), "nothing was changed");
}

#[test]
fn every_kind_of_run_gives_a_whole_page() {
    let mut colour = Run::new(3);
    colour.dataset.shape = Shape { channels: 3, height: 1, width: 2 };
    let mut sizeless = Run::new(3);
    sizeless.dataset.shape = Shape { channels: 1, height: 0, width: 0 };
    let mut unnamed = Run::new(3);
    unnamed.dataset.classes.clear();
    let runs = [
        Run::new(3),
        Run::new(1),
        Run::new(100),
        Run::new(2).interrupted(),
        Run::empty(),
        colour,
        sizeless,
        unnamed,
    ];
    for run in runs {
        let page = run.page();
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
        assert_balanced(&page);
        assert!(!page.contains("NaN") && !page.contains("inf\""), "a position that is no number");
        assert_eq!(page, run.page(), "the same report, other bytes");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = Run::new(3).page();
    assert_eq!(count(&page, "src="), count(&page, "src=\"data:image/png;base64,"));
    assert_eq!(count(&page, "url("), count(&page, "url(#hatch)"));
    for link in ["://", "<script", "<link", "@import", "href"] {
        assert!(!page.contains(link), "{link}");
    }
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let evil = "\"><script>alert('&')</script>";
    let mut run = Run::new(3);
    let plain = run.page();
    run.summary.model = evil.into();
    run.summary.dataset = evil.into();
    run.summary.dataset_title = evil.into();
    run.summary.plan = evil.into();
    run.summary.adapter =
        AdapterInfo { name: evil.into(), backend: evil.into(), driver: evil.into(), software: true };
    run.dataset.classes = vec![evil.into(), evil.into()];
    run.dataset.warnings = vec![evil.into()];
    let page = html(&Report {
        summary: &run.summary,
        epochs: &run.epochs,
        dataset: &run.dataset,
        training_pairs: &run.training,
        test_pairs: &run.test,
        test_scores: &run.scores,
        tasks: None,
        augment: None,
        images: &[],
        projection: Some(&run.projection),
        command: evil.into(),
    });
    assert_balanced(&page);
    assert!(!page.contains("<script"), "an element came in");
    assert_eq!(count(&page, "alt=\""), count(&plain, "alt=\""));
    let escaped = "&quot;&gt;&lt;script&gt;alert('&amp;')&lt;/script&gt;";
    assert!(below(&page, "<h2>The same run again</h2>").contains(escaped));
}

#[test]
fn the_headline_has_the_figures() {
    let page = Run::new(3).page();
    let headline = &page[..page.find("<h2>").unwrap()];
    for figure in
        ["sn-lenet5 on Shapes", "90.00\u{a0}%", "2 of 3", "7.5\u{a0}s", "CPU, 2 threads", "cpu, avx2"]
    {
        assert!(headline.contains(figure), "{figure}");
    }
    assert!(below(&page, "<h3>What ran where</h3>").contains("<th scope=\"row\">Seed</th><td>7</td>"));
    let command = below(&page, "<h2>The same run again</h2>");
    assert!(command.contains("gpu-siamese train <span>--seed 7</span>"), "{command}");
}

#[test]
fn a_software_adapter_is_named_as_one() {
    let mut run = Run::new(3);
    assert!(!run.page().contains("software adapter"));
    run.summary.adapter.software = true;
    let page = run.page();
    assert_eq!(count(&page[..page.find("<h2>").unwrap()], "software"), 2, "a note, and beside its name");
    assert!(below(&page, "<h3>What ran where</h3>").contains("software adapter"));
}

#[test]
fn pairs_are_shown_with_their_label() {
    let page = Run::new(3).page();
    let training = below(&page, "<h2>Training pairs</h2>");
    assert_eq!((count(training, "<li>"), count(training, "<img")), (24, 48));
    assert_eq!((count(training, ">POS<"), count(training, ">NEG<")), (12, 12));
    // The folder that all classes share is left out.
    assert!(training.contains("alt=\"disc, image 0\"") && training.contains("ring and disc"));
    assert_eq!((count(training, "width=\"63\""), count(training, "height=\"42\"")), (48, 48));
}

#[test]
fn test_pairs_are_judged() {
    let page = Run::new(3).page();
    let tested = below(&page, "<h2>Test pairs</h2>");
    assert_eq!(count(tested, "<img"), 48);
    // Of the first 24: pairs 0 and 3.
    assert_eq!((count(tested, "✓ right"), count(tested, "✗ wrong")), (22, 2));
    let first = tested.split("<li>").nth(1).unwrap();
    assert!(first.contains("0.020") && first.contains("✗ wrong"), "{first}");
}

#[test]
fn the_chosen_threshold_is_told_and_the_accuracies_stay_at_one_half() {
    let mut run = Run::new(3);
    let at_half = run.page();
    assert!(!at_half.contains("class=\"chosen\"") && at_half.contains("there, 90.00\u{a0}%"));
    // At 0.96 only pair 35 is called the same, wrongly: of 40 pairs, 19 are right.
    run.summary.threshold = 0.96;
    let page = run.page();
    assert!(page.contains("class=\"chosen\"") && page.contains("best at 0.960; there, 47.50\u{a0}%"));
    for part in ["<h2>Test pairs</h2>", "<h2>Most confident mistakes</h2>"] {
        assert_eq!(below(&page, part), below(&at_half, part));
    }
}

#[test]
fn mistakes_come_with_the_surest_first() {
    let mut run = Run::new(3);
    let positions = |text: &str, figures: &[&str]| {
        let found: Vec<usize> = figures.iter().map(|figure| text.find(figure).expect(figure)).collect();
        assert!(found.is_sorted(), "{figures:?} at {found:?}");
    };
    let page = run.page();
    let false_same = below(&page, "<h3>Called the same, but different</h3>");
    let false_different = below(&page, "<h3>Called different, but the same</h3>");
    assert_eq!((count(false_same, "<li>"), count(false_different, "<li>")), (2, 2));
    positions(false_same, &["0.970", "0.700"]);
    positions(false_different, &["0.020", "0.400"]);
    assert!(below(&page, "<h3>What the threshold makes of it</h3>").contains("<td>10.00\u{a0}%</td>"));

    // Of mistakes that are equally sure, the earlier ones: pairs 1, 3, 5, ..., 23.
    run.scores.iter_mut().for_each(|score| score.similarity = 0.9);
    let page = run.page();
    let false_same = below(&page, "<h3>Called the same, but different</h3>");
    assert_eq!(count(false_same, "<li>"), 12);
    let images: Vec<String> =
        run.test.iter().skip(1).step_by(2).map(|pair| format!("image {}\"", pair.a)).collect();
    for (card, image) in false_same.split("<li>").skip(1).zip(&images) {
        assert!(card.contains(image.as_str()), "{image}");
    }
    assert!(below(&page, "<h3>Called different, but the same</h3>").contains("0 of 20\u{a0}same pairs."));
}

#[test]
fn curves_follow_the_epochs() {
    let chart = |run: &Run| below(&run.page(), "<h3>Loss by epoch</h3>").to_string();
    let three = chart(&Run::new(3));
    assert_eq!((count(&three, "<path"), count(&three, "<circle"), count(&three, "epoch 3: ")), (2, 4, 2));
    assert!(three.contains("best epoch 2") && three.contains("Training from 0.1000 to 0.0333"));
    let one = chart(&Run::new(1));
    assert_eq!((count(&one, "<path"), count(&one, "<circle")), (0, 2), "a point, and one in the legend");
    let many = chart(&Run::new(100));
    assert_eq!((count(&many, "<path"), count(&many, "<circle")), (2, 1));
    let path = many.split("<path").nth(1).and_then(|rest| rest.split('>').next()).unwrap();
    assert_eq!(count(path, "L"), 99);
    // A validation loss twice the training loss lies higher up, and both stay within the frame.
    let heights = |class: &str| -> Vec<f64> {
        let path = three.split(&format!("<path class=\"{class}\" d=\"M")).nth(1).unwrap();
        let points = path.split('"').next().unwrap().split('L');
        points.map(|point| point.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    };
    for (training, validation) in heights("training").into_iter().zip(heights("validation")) {
        assert!(48.0 <= validation && validation < training && training <= 228.0, "{validation} {training}");
    }
}

#[test]
fn a_value_that_is_no_number_is_not_drawn() {
    let mut run = Run::new(3);
    run.epochs[1].val_loss = f64::NAN;
    let page = run.page();
    let chart = below(&page, "<h3>Loss by epoch</h3>");
    assert_eq!((count(chart, "NaN"), count(chart, "validation, epoch ")), (0, 2));
}

#[test]
fn long_tables_are_folded() {
    assert!(!Run::new(12).page().contains("<details"));
    let page = Run::new(100).page();
    let epochs = below(&page, "<h3>Epochs</h3>");
    assert!(epochs.contains("<summary>All 100 epochs</summary>"));
    assert_eq!(count(epochs, "<tr"), 101);
    assert_eq!(count(epochs, "★</span>"), 1);
}

#[test]
fn what_is_missing_is_said() {
    let page = Run::new(2).interrupted().page();
    assert!(page.contains("The run was interrupted after 20\u{a0}steps"));
    assert!(
        below(&page, "<h2>Test pairs</h2>").contains("Not measured: the run was interrupted before its test")
    );
    assert!(!page.contains("Most confident mistakes") && !page.contains("Histogram by class"));
    assert_eq!(count(&page, "<img"), 48, "the training pairs");

    let page = Run::empty().page();
    assert!(!page.contains("-0.00"));
    for words in ["no curves", "No training pairs", "No epoch was completed.", "Not measured"] {
        assert!(page.contains(words), "{words}");
    }
    assert_eq!(count(&page, "<img") + count(&page, "<svg"), 0);
}

#[test]
fn an_image_that_is_not_there_is_no_panic() {
    let mut run = Run::new(1);
    run.training = vec![Pair { a: 0, b: 99, same: false }];
    let page = run.page();
    let training = below(&page, "<h2>Training pairs</h2>");
    assert_eq!(count(training, "<img"), 1);
    assert!(training.contains("no image 99") && training.contains("disc and unknown"));
}

#[test]
fn the_embedding_is_drawn_by_class() {
    let page = Run::new(3).page();
    let section = below(&page, "<h2>Embedding of the test images</h2>");
    let drawing = &section[..section.find("</svg>").unwrap()];
    // A path of two dots for each class, and its name over them.
    assert_eq!((count(drawing, "<path"), count(drawing, "h0")), (2, 4));
    assert!(drawing.contains(">disc<") && drawing.contains(">ring<"));
    assert!(section.contains("PCA") && section.contains("75.00\u{a0}%") && section.contains("12.50\u{a0}%"));
    assert!(section.contains("88.00\u{a0}%") && section.contains("89.00\u{a0}%"));
    assert!(!Run::new(2).interrupted().page().contains("Embedding of the test images"));
}

#[test]
fn the_roc_curve_has_its_figures() {
    // Of 40 pairs the same ones 0 and 30 and the different ones 3 and 35 are out of order: the curve's
    // own figures are told, whatever the summary says.
    let run = Run::new(3);
    let roc = Roc::of(&run.test, &run.scores).unwrap();
    let page = run.page();
    let section = below(&page, "<h3>ROC curve</h3>");
    assert!(section.contains(&format!("Area under the curve {:.5}", roc.auc())), "{section}");
    assert!(roc.auc() < 1.0 && section.contains(&number::percent(roc.eer())));
    // One class of pairs alone has no curve.
    let mut run = Run::new(3);
    run.test.iter_mut().for_each(|pair| pair.same = true);
    assert!(!run.page().contains("ROC curve"));
}
