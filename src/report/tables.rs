//! Every figure of the run, every epoch, where it ran and how to repeat it.

use maud::{Markup, html};

use super::{Report, THRESHOLD, number};
use crate::train::{EpochMetrics, Measure, Summary};

/// A command of which no flag is broken at its hyphens.
fn command(text: &str) -> Markup {
    let mut parts = text.split(" --");
    html! {
        @if let Some(program) = parts.next() { (program) }
        @for flag in parts { " " span { "--" (flag) } }
    }
}

/// More epochs than these are folded away.
const UNFOLDED: usize = 12;

pub fn section(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Figures" }
            div.columns {
                div { h3 { "Results" } (list(&results(report))) }
                div { h3 { "What ran where" } (list(&circumstances(report))) }
            }
            h3 { "Epochs" }
            @match report.epochs.len() {
                0 => p { "No epoch was completed." },
                1..=UNFOLDED => (epochs(report)),
                many => details { summary { "All " (many) " epochs" } (epochs(report)) },
            }
        }
        section {
            h2 { "The same run again" }
            pre { code { (command(&report.command)) } }
            p.caption {
                "On the same adapter, driver and build of the program it gives the same bits. The run folder "
                "holds the settings (config.toml), the weights (best.safetensors, last.safetensors) and the "
                "figures (metrics.jsonl, summary.json)."
            }
        }
    }
}

pub(super) type Row = (&'static str, String);

fn results(report: &Report) -> Vec<Row> {
    let summary = report.summary;
    let accuracy = |value: Option<f64>| value.map_or("none".into(), number::percent);
    let loss = |value: fn(&EpochMetrics) -> f64| match report.best() {
        Some(best) => format!("{:.4}", value(best)),
        None => "none".into(),
    };
    let time = |seconds: f64| if summary.epochs > 0 { number::seconds(seconds) } else { "none".into() };
    let [train, val, test] = summary.accuracies();
    let trained: f64 = report.epochs.iter().map(|metrics| metrics.train_seconds).sum();
    let mut rows = vec![
        (report.test_name(), accuracy(test)),
        ("Threshold of validation: test pair accuracy", accuracy(summary.test_accuracy_at_threshold)),
        ("Validation accuracy, best epoch", accuracy(val)),
        ("Training accuracy, best epoch", accuracy(train)),
        ("Validation loss, best epoch", loss(|best| best.val_loss)),
        ("Training loss, best epoch", loss(|best| best.train_loss)),
        ("Threshold of the accuracies", THRESHOLD.to_string()),
        ("Threshold best for validation", format!("{:.3}", summary.threshold)),
        ("Best epoch", if summary.best_epoch == 0 { "none".into() } else { summary.best_epoch.to_string() }),
        ("Epochs completed", number::grouped(summary.epochs)),
        ("Training steps", number::grouped(summary.steps)),
        ("Training time per epoch", time(summary.seconds_per_epoch)),
        ("Training time, all epochs", time(trained)),
        ("Training time per step", format!("{:.2}\u{a0}ms", 1e3 * summary.seconds_per_step)),
        ("Arithmetic, as the plan counts it", format!("{:.1}\u{a0}GFLOP/s", summary.gflops)),
        ("Test time", if test.is_some() { number::seconds(summary.test_seconds) } else { "none".into() }),
        ("Ended", ended(summary).into()),
    ];
    if summary.measure != Measure::Pairs {
        rows.retain(|(name, _)| !name.starts_with("Threshold"));
    }
    rows
}

fn ended(summary: &Summary) -> &'static str {
    match (summary.interrupted, summary.stopped_early) {
        (true, _) => "interrupted",
        (_, true) => "early: validation did not get better any more",
        _ => "complete",
    }
}

fn circumstances(report: &Report) -> Vec<Row> {
    let summary = report.summary;
    let adapter = &summary.adapter;
    let kind = match (adapter.software, adapter.backend.as_str()) {
        (true, _) => "software adapter",
        (false, "cpu") => "CPU",
        (false, _) => "GPU",
    };
    let grouped = |number: usize| number::grouped(number as u64);
    vec![
        ("Adapter", adapter.name.clone()),
        ("Kind", kind.into()),
        ("Backend", adapter.backend.clone()),
        ("Driver", adapter.driver.clone()),
        ("Plan", summary.plan.clone()),
        ("Launches per training step", grouped(summary.launches_per_step)),
        ("Launches counted", number::grouped(summary.train_launches)),
        (if report.compares() { "Pairs per step" } else { "Images per step" }, grouped(summary.batch_size)),
        ("Seed", summary.seed.to_string()),
        ("Program", concat!("gpu-siamese ", env!("CARGO_PKG_VERSION")).into()),
        ("Model", summary.model.clone()),
        ("Parameters", format!("{} + {} running", grouped(summary.trainable), grouped(summary.state))),
        ("Data set", summary.dataset_title.clone()),
    ]
}

/// Names and what they stand for.
pub(super) fn list(rows: &[Row]) -> Markup {
    html! {
        table.list { tbody { @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } } } }
    }
}

/// Accuracies in percent, times in seconds.
const COLUMNS: [&str; 6] = [
    "Train loss",
    "Val. loss",
    "Train acc.,\u{a0}%",
    "Val. acc.,\u{a0}%",
    "Train time,\u{a0}s",
    "Val. time,\u{a0}s",
];

/// Steps and speed follow from the rest, so narrow screens go without (class `wide`).
fn epochs(report: &Report) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Epochs" { table.figures {
            thead {
                tr {
                    th scope="col" { "Epoch" }
                    th.wide scope="col" { "Step" }
                    @for name in COLUMNS { th scope="col" { (name) } }
                    th.wide scope="col" { @if report.compares() { "Pairs/s" } @else { "Images/s" } }
                }
            }
            tbody {
                @for metrics in report.epochs { (epoch(metrics, metrics.epoch == report.summary.best_epoch)) }
            }
        } }
        @if report.best().is_some() { p.caption { "★ the best epoch" } }
    }
}

fn epoch(metrics: &EpochMetrics, best: bool) -> Markup {
    html! {
        tr.best[best] {
            th scope="row" { (metrics.epoch) @if best { span title="best epoch" { " ★" } } }
            td.wide { (number::grouped(metrics.step)) }
            td { (format!("{:.4}", metrics.train_loss)) }
            td { (format!("{:.4}", metrics.val_loss)) }
            td { (format!("{:.2}", metrics.train_accuracy)) }
            td { (format!("{:.2}", metrics.val_accuracy)) }
            td { (format!("{:.1}", metrics.train_seconds)) }
            td { (format!("{:.1}", metrics.val_seconds)) }
            td.wide { (number::grouped(metrics.pairs_per_second as u64)) }
        }
    }
}
