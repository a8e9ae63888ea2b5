//! What watches a run.

use super::epoch::Totals;
use super::summary::EpochMetrics;

/// What watches a run: only the command line prints.
pub trait Watch {
    /// Before an epoch of so many steps, of which `done` ran before the run was resumed.
    fn epoch_begins(&mut self, _epoch: u64, _done: u64, _steps: usize) {}
    /// After each training step.
    fn step(&mut self, _epoch: u64, _totals: &Totals) {}
    /// While pairs are scored: the share that is done.
    fn scoring(&mut self, _what: &'static str, _share: f64) {}
    fn epoch_ends(&mut self, _metrics: &EpochMetrics, _best: bool) {}
    /// Asked after each step; true ends the run with what it has.
    fn interrupted(&self) -> bool {
        false
    }
}
