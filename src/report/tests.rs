//! The page's content, for runs of every kind.

pub(super) mod run;

use super::*;
use crate::data::Shape;
use crate::eval::Roc;
use crate::eval::oneshot::{Answer, OneShot, Task};
use crate::session::AdapterInfo;
use run::{Run, assert_balanced, assert_has, below, count};

/// A classifier's accuracy is no accuracy of pairs, and nowhere called one.
#[test]
fn the_page_of_a_classifier_counts_images() {
    let mut run = Run::new(3).measured(Measure::Classes);
    run.training.clear();
    let summary = &mut run.summary;
    (summary.train_class_accuracy, summary.train_accuracy) = (summary.train_accuracy, None);
    (summary.val_class_accuracy, summary.test_class_accuracy) = (Some(96.5), Some(98.76));
    let page = run.page();
    assert_balanced(&page);
    assert_has(&page, &["98.76\u{a0}%", "Test class accuracy", "% of images"]);
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
    let mut run = Run::new(3).measured(Measure::Tasks);
    let summary = &mut run.summary;
    (summary.val_oneshot_accuracy, summary.test_oneshot_accuracy) = (Some(48.0), Some(50.0));
    (summary.test_oneshot_standard_error, run.tasks) = (Some(12.34), Some(solved()));
    let page = run.page();
    assert_balanced(&page);
    let headline = &page[..page.find("<h2>").unwrap()];
    assert_has(headline, &["Test one-shot accuracy", "50.00\u{a0}%", "of 20\u{a0}tasks right, ± 12.34"]);
    assert!(page.contains("Training pairs") && !page.contains("Test pair"), "pairs train, tasks test");
    let learning = below(&page, "<h2>Learning</h2>");
    for (chart, caption) in [
        ("One-shot accuracy", "Validation from 94.00"),
        ("Training accuracy", "Training from 95.00"),
        ("Loss of tasks", "Validation from 0.2000"),
        ("Training loss", "Training from 0.1000"),
    ] {
        let chart = below(learning, &format!("<h3>{chart} by epoch</h3>"));
        assert_has(chart, &[&format!("<figcaption>{caption}")]);
    }
    assert!(!learning.contains(", validation"), "pairs and tasks share a chart");
    let tasks = below(&page, "<h2>One-shot tasks</h2>");
    // Six of each alphabet: all right; a tied one and five wrong.
    assert_eq!((count(tasks, "<li>"), count(tasks, "<img")), (12, 12 * 4));
    assert_eq!((count(tasks, "✓ right"), count(tasks, "✗ no answer"), count(tasks, "✗ wrong")), (6, 1, 5));
    assert_eq!((count(tasks, "option right\""), count(tasks, "option chosen\"")), (12, 5));
    assert_has(tasks, &["33.33\u{a0}% of the tasks"]);
    let rows =
        ["Runes &amp; &lt;more&gt;</th><td>10</td><td>0.0</td>", "Greek</th><td>10</td><td>100.0</td>"];
    assert_has(below(&page, "<h2>By alphabet</h2>"), &rows);
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
    let figures = ["50.00\u{a0}%", "5.00\u{a0}%", "33.33\u{a0}%"];
    assert_has(&page, &[&["One-shot &lt;tasks&gt;", "Beware", "a &amp; b"], &figures[..]].concat());
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
    let usual = [Run::new(3), Run::new(1), Run::new(100), Run::new(2).interrupted(), Run::empty()];
    for run in usual.into_iter().chain([colour, sizeless, unnamed]) {
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
    run.command = evil.into();
    let page = run.page();
    assert_balanced(&page);
    assert!(!page.contains("<script"), "an element came in");
    assert_eq!(count(&page, "alt=\""), count(&plain, "alt=\""));
    let escaped = "&quot;&gt;&lt;script&gt;alert('&amp;')&lt;/script&gt;";
    assert_has(below(&page, "<h2>The same run again</h2>"), &[escaped]);
}

#[test]
fn the_headline_has_the_figures() {
    let page = Run::new(3).page();
    let figures =
        ["sn-lenet5 on Shapes", "90.00\u{a0}%", "2 of 3", "7.5\u{a0}s", "CPU, 2 threads", "cpu, avx2"];
    assert_has(&page[..page.find("<h2>").unwrap()], &figures);
    assert_has(below(&page, "<h3>What ran where</h3>"), &["<th scope=\"row\">Seed</th><td>7</td>"]);
    let command = below(&page, "<h2>The same run again</h2>");
    assert_has(command, &["gpu-siamese train <span>--seed 7</span>"]);
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
    assert_has(&page, &["The run was interrupted after 20\u{a0}steps"]);
    let untested = "Not measured: the run was interrupted before its test";
    assert_has(below(&page, "<h2>Test pairs</h2>"), &[untested]);
    assert!(!page.contains("Most confident mistakes") && !page.contains("Histogram by class"));
    assert_eq!(count(&page, "<img"), 48, "the training pairs");

    let page = Run::empty().page();
    assert!(!page.contains("-0.00"));
    assert_has(&page, &["no curves", "No training pairs", "No epoch was completed.", "Not measured"]);
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
    assert_has(drawing, &[">disc<", ">ring<"]);
    assert_has(section, &["PCA", "75.00\u{a0}%", "12.50\u{a0}%", "88.00\u{a0}%", "89.00\u{a0}%"]);
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
