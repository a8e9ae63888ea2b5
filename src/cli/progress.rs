//! Shows a run's progress: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::train::epoch::Totals;
use crate::train::{EpochMetrics, Measure, Watch};

/// Set by Ctrl-C and by a request to terminate.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets the first Ctrl-C, or request to terminate, ask for an orderly end; whoever asks again does not
/// want to wait for it.
pub fn watch_for_interrupts() {
    // A second handler cannot be set, and one is enough for several runs in one process.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(super::fail::INTERRUPTED.into());
        }
    });
}

/// Time between plain lines within an epoch.
const PAUSE: Duration = Duration::from_secs(10);

/// Writes to stderr.
pub struct Progress {
    epochs: u64,
    /// What accuracies are of.
    what: &'static str,
    /// What is counted by the second.
    counted: &'static str,
    steps: usize,
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    pub fn new(epochs: u64, measure: Measure) -> Self {
        let what = match measure {
            Measure::Pairs => "pairs",
            Measure::Classes => "classes",
        };
        Progress { epochs, what, counted: measure.counted(), steps: 0, bar: None, last_line: Instant::now() }
    }
}

impl Watch for Progress {
    fn epoch_begins(&mut self, epoch: u64, done: u64, steps: usize) {
        self.steps = steps;
        self.last_line = Instant::now();
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(steps as u64);
            if let Ok(style) =
                ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} steps, {eta} left, {msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            // Steps of an earlier process say nothing about the time that is left.
            bar.set_position(done);
            bar.reset_eta();
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, epoch: u64, totals: &Totals) {
        let what = self.what;
        let state = || format!("loss {:.4}, {what} {:.2} %", totals.mean_loss(), totals.accuracy());
        if let Some(bar) = &self.bar {
            bar.set_position(totals.steps);
            if totals.steps.is_multiple_of(16) {
                bar.set_message(state());
            }
        } else if self.last_line.elapsed() >= PAUSE {
            self.last_line = Instant::now();
            say(format_args!(
                "epoch {epoch}/{}, step {}/{}: {}",
                self.epochs,
                totals.steps,
                self.steps,
                state()
            ));
        }
    }

    fn scoring(&mut self, what: &'static str, share: f64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{what} {:.0} %", 100.0 * share));
        } else if self.last_line.elapsed() >= PAUSE {
            self.last_line = Instant::now();
            say(format_args!("{what}: {:.0} %", 100.0 * share));
        }
    }

    fn epoch_ends(&mut self, metrics: &EpochMetrics, best: bool) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let what = self.what;
        say(format_args!(
            "epoch {}/{}: train loss {:.4}, {what} {:.2} %; validation loss {:.4}, {what} {:.2} %; \
             {:.1} s + {:.1} s, {:.0} {}/s{}",
            metrics.epoch,
            self.epochs,
            metrics.train_loss,
            metrics.train_accuracy,
            metrics.val_loss,
            metrics.val_accuracy,
            metrics.train_seconds,
            metrics.val_seconds,
            metrics.pairs_per_second,
            self.counted,
            if best { ", best so far" } else { "" }
        ));
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
