//! What tables and drawings say.

use super::figures::{Curves, Group};
use super::*;
use crate::data::Pair;
use crate::report::tests::run::{dataset, epoch as epoch_of};
use crate::train::{EpochMetrics, Measure};

fn epoch(number: u64, loss: f64) -> EpochMetrics {
    epoch_of(number, Measure::Pairs, loss)
}

fn results() -> Results {
    let cell = |paper, ours: &[f64]| Cell { paper, ours: ours.to_vec() };
    Results {
        title: "A <table>".into(),
        about: String::new(),
        notes: vec!["Budget 0.1".into()],
        tables: vec![Table {
            title: "Table 9".into(),
            metrics: vec![Metric::TestAccuracy, Metric::ClassAccuracyKnn],
            rows: vec![
                Row {
                    label: "a|b".into(),
                    epochs: cell(Some(50.0), &[5.0, 5.0, 5.0]),
                    cells: vec![cell(Some(99.11), &[98.0, 98.5, 99.0]), cell(None, &[97.25])],
                    awaited: 0,
                },
                Row {
                    label: "theirs".into(),
                    epochs: Cell::default(),
                    cells: vec![cell(Some(12.34), &[]), Cell::default()],
                    awaited: 2,
                },
            ],
        }],
        drawings: vec![Drawing {
            file: "figure1".into(),
            title: "Figure 1".into(),
            picture: figures::nothing("Nothing yet & more"),
        }],
        runs: vec![RunLine {
            folder: "a-seed0".into(),
            epochs: Some(5.0),
            whole_epochs: 50,
            best_epoch: Some(4.0),
            seconds: Some(12.5),
            test_accuracy: Some(98.5),
        }],
    }
}

#[test]
fn spread_by_hand() {
    let spread = Spread::of(&[1.0, 2.0, 6.0]).unwrap();
    assert_eq!((spread.mean, spread.low, spread.high), (3.0, 1.0, 6.0));
    // Squares 4, 1 and 9 over n - 1 = 2.
    assert_eq!(spread.deviation, Some(7.0_f64.sqrt()));
    assert_eq!(Spread::of(&[4.0]), Some(Spread { mean: 4.0, low: 4.0, high: 4.0, deviation: None }));
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn the_paper_stands_beside_us() {
    let markdown = markdown(&results());
    let row = r"| a\|b | 50 | 5 | 99.11 | 98.50 (98.00 to 99.00, sd 0.50, n = 3) | 97.25 |";
    assert!(markdown.contains(row), "{markdown}");
    assert!(markdown.contains("| theirs (2 runs to come) |  |  | 12.34 |  |  |"), "{markdown}");
    // Pairs and classes have columns of their own, and of classes the paper says nothing.
    assert!(markdown.contains(
        "| Test pairs, %: paper | Test pairs, %: ours | Test classes, 5 nearest neighbours, %: ours |"
    ));
    assert!(markdown.contains("- Budget 0.1") && markdown.contains("![Figure 1](figure1.svg)"));
    assert!(markdown.contains("| a-seed0 | 5 of 50 | 4 | 12.5 | 98.50 |"), "{markdown}");
    let text = text(&results());
    assert!(text.contains("paper    99.11   ours    98.50   (98.00 to 99.00, sd 0.50, n = 3)"), "{text}");
    assert!(text.contains("paper    12.34   ours     none"), "{text}");
}

#[test]
fn the_page_has_it_all_and_needs_nothing_from_elsewhere() {
    let page = html(&results());
    for part in [
        "<h1>A &lt;table&gt;</h1>",
        "99.11",
        "98.50",
        "98.00 to 99.00, sd 0.50, n = 3",
        "Nothing yet &amp; more",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for link in ["<script", "<link", "@import", "http:", "https:"] {
        assert!(!page.contains(link), "{link}");
    }
}

#[test]
fn curves_are_means_with_bands() {
    let seeds = vec![vec![epoch(1, 0.5), epoch(2, 0.3)], vec![epoch(1, 0.7), epoch(2, 0.1)]];
    let both = figures::curves(&[Curves { label: "ours".into(), seeds: seeds.clone() }]).file();
    assert!(both.contains("ours, mean of 2 seeds") && both.contains("training, epoch 2: 0.2000"), "{both}");
    assert_eq!(both.matches("class=\"band ").count(), 4, "two charts, training and validation");
    // One seed has no band; an epoch that the other seed lacks is left out.
    let one = figures::curves(&[Curves { label: "ours".into(), seeds: vec![seeds[0].clone()] }]).file();
    assert!(!one.contains("class=\"band ") && one.contains("training, epoch 2: 0.3000"));
    let uneven = vec![seeds[0].clone(), seeds[1][..1].to_vec()];
    let uneven = figures::curves(&[Curves { label: "ours".into(), seeds: uneven }]).file();
    assert!(uneven.contains("epoch 1: 0.6000") && !uneven.contains("epoch 2: 0."), "{uneven}");
}

#[test]
fn curves_of_pairs_and_of_tasks_share_no_axes() {
    let of = |measure| {
        let epochs = [epoch(1, 0.5), epoch(2, 0.3)].map(|epoch| EpochMetrics { measure, ..epoch });
        figures::curves(&[Curves { label: "ours".into(), seeds: vec![epochs.into()] }]).file()
    };
    // Training pairs at 85.00, validation tasks at 84.00, by epoch 2.
    let tasks = of(Measure::Tasks);
    assert!(tasks.contains("% of tasks") && !tasks.contains("% of pairs"), "{tasks}");
    assert!(tasks.contains("epoch 2: 84.00") && !tasks.contains("epoch 2: 85.00"), "{tasks}");
    let pairs = of(Measure::Pairs);
    assert!(pairs.contains("epoch 2: 84.00") && pairs.contains("epoch 2: 85.00"), "{pairs}");
    assert!(pairs.contains("% of pairs") && of(Measure::Classes).contains("% of images"));
}

#[test]
fn sensitivity_has_a_point_for_each_seed() {
    let groups = [
        Group { label: "1e-4".into(), ours: vec![98.0, 99.0], paper: Some(99.75) },
        Group { label: "1e-3".into(), ours: vec![], paper: None },
    ];
    let drawing = figures::sensitivity(Metric::TestAccuracy, &groups).file();
    assert!(drawing.contains("1e-4: 98.00") && drawing.contains("1e-4, the paper: 99.75"));
    // One of each stands in the legend.
    let count = |class: &str| drawing.matches(&format!("class=\"{class}\"")).count();
    assert_eq!((count("seed"), count("mean"), count("theirs")), (3, 2, 2));
    assert!(!drawing.contains("NaN"));
    assert!(!figures::sensitivity(Metric::TestAccuracy, &[]).file().contains("NaN"));
}

#[test]
fn pairs_have_their_words_and_mistakes_a_frame() {
    let dataset = dataset(2);
    let pair = Pair { a: 0, b: 1, same: false };
    let shown = [(pair, "0.900".to_string()), (pair, "0.100".to_string())];
    let drawing = figures::pairs(&dataset, &shown, Some(&[false, true])).file();
    assert_eq!((drawing.matches("<image").count(), drawing.matches("class=\"frame\"").count()), (4, 1));
    assert!(drawing.contains("0.900 ✗") && drawing.contains(">0.100<"));
    assert!(!figures::pairs(&dataset, &shown, None).file().contains("class=\"frame\""));
}
