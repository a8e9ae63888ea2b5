//! Shows a run's progress: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::say;
use crate::plan::Plan;
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
        say("stopping behind the step under way, with everything saved; once more stops at once");
    });
}

/// Time between plain lines within an epoch.
const PAUSE: Duration = Duration::from_secs(10);

/// Writes to stderr.
pub struct Progress {
    epochs: u64,
    measure: Measure,
    batch_size: usize,
    flops_per_step: u64,
    steps: usize,
    bar: Option<ProgressBar>,
    last_line: Instant,
    /// When the steps of this epoch and process began, and how many others had done before.
    began: (Instant, u64),
}

impl Progress {
    /// Of work without training steps.
    pub fn of_scoring() -> Self {
        Progress {
            epochs: 0,
            measure: Measure::Pairs,
            batch_size: 1,
            flops_per_step: 0,
            steps: 0,
            bar: None,
            last_line: Instant::now(),
            began: (Instant::now(), 0),
        }
    }

    pub fn of_run(epochs: u64, measure: Measure, plan: &Plan) -> Self {
        let (batch_size, flops_per_step) = (plan.options.batch_size, plan.flops_per_step());
        Progress { epochs, measure, batch_size, flops_per_step, ..Progress::of_scoring() }
    }

    /// What training does in a second.
    fn speed(&self, seconds_per_step: f64) -> String {
        format!(
            "{:.0} {}/s, {:.2} ms a step, {:.1} GFLOP/s",
            self.batch_size as f64 / seconds_per_step,
            self.measure.of_training().counted(),
            1e3 * seconds_per_step,
            self.flops_per_step as f64 / seconds_per_step / 1e9
        )
    }
}

impl Watch for Progress {
    fn epoch_begins(&mut self, epoch: u64, done: u64, steps: usize) {
        self.steps = steps;
        self.last_line = Instant::now();
        self.began = (Instant::now(), done);
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
        let what = self.measure.of_training().name();
        let state = || format!("loss {:.4}, {what} {:.2} %", totals.mean_loss(), totals.accuracy());
        if let Some(bar) = &self.bar {
            bar.set_position(totals.steps);
            if totals.steps.is_multiple_of(16) {
                bar.set_message(state());
            }
        } else if self.last_line.elapsed() >= PAUSE {
            self.last_line = Instant::now();
            let (began, before) = self.began;
            let steps = totals.steps.saturating_sub(before).max(1);
            say(format_args!(
                "epoch {epoch}/{}, step {}/{}: {}; {}",
                self.epochs,
                totals.steps,
                self.steps,
                state(),
                self.speed(began.elapsed().as_secs_f64() / steps as f64)
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
        let training = self.measure.of_training();
        // An epoch that was interrupted after its last step has no time of its own.
        let speed = match metrics.pairs_per_second {
            0.0 => String::new(),
            speed => format!(", {}", self.speed(self.batch_size as f64 / speed)),
        };
        say(format_args!(
            "epoch {}/{}: train loss {:.4}, {} {:.2} %; validation {}loss {:.4}, {} {:.2} %; \
             {:.1} s + {:.1} s{speed}{}",
            metrics.epoch,
            self.epochs,
            metrics.train_loss,
            training.name(),
            metrics.train_accuracy,
            // Another loss than that of training, and no smaller for being another.
            if self.measure == Measure::Tasks { "task " } else { "" },
            metrics.val_loss,
            self.measure.name(),
            metrics.val_accuracy,
            metrics.train_seconds,
            metrics.val_seconds,
            if best { ", best so far" } else { "" }
        ));
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
