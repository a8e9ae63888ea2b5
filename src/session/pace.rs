//! How many steps go into a submission, and how many submissions are under way: on every device alike.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{SUBMISSION, Session, SessionError, StepResult, Ticket};
use crate::plan::{Phase, Slot};

/// Device time of a submission: long enough to hide the host, short enough for live progress, a
/// prompt Ctrl-C, and the two seconds after which Windows resets a GPU.
const SUBMISSION_TIME: Duration = Duration::from_millis(250);

/// Submissions under way at once, so that the device never waits for the host.
const IN_FLIGHT: usize = 2;

/// Runs a phase once for each of any number of slots, in order, in submissions of about a quarter of a second.
///
/// `after` is told the results of each submission and how many steps are done; where it answers false, what is not
/// submitted yet is left out, but what is under way still ends and is told. `meanwhile` is called once all steps are
/// queued, while the device is busy with the last of them.
///
/// # Errors
/// What the session reports.
pub async fn run(
    session: &mut dyn Session,
    phase: Phase,
    slots: &[Slot],
    after: &mut dyn FnMut(&[StepResult], usize) -> bool,
    meanwhile: &mut dyn FnMut(),
) -> Result<(), SessionError> {
    session.prepare(phase).await?;
    let mut tickets: VecDeque<(Ticket, usize)> = VecDeque::new();
    let (mut rest, mut length, mut done, mut go_on) = (slots, 1, 0, true);
    let mut last_end = Instant::now();
    loop {
        if go_on && !rest.is_empty() && tickets.len() < IN_FLIGHT {
            let (next, others) = rest.split_at(length.min(rest.len()));
            tickets.push_back((session.submit(phase, next)?, next.len()));
            rest = others;
            if rest.is_empty() {
                meanwhile();
            }
        } else if let Some((ticket, count)) = tickets.pop_front() {
            let results = ticket.await?;
            done += count;
            go_on &= after(&results, done);
            length = next_length(length, last_end.elapsed() / count as u32);
            last_end = Instant::now();
        } else {
            return Ok(());
        }
    }
}

/// Runs training steps; their results, in order.
///
/// # Errors
/// What the session reports.
pub async fn train(session: &mut dyn Session, slots: &[Slot]) -> Result<Vec<StepResult>, SessionError> {
    let mut all = Vec::with_capacity(slots.len());
    let mut after = |results: &[StepResult], _: usize| {
        all.extend_from_slice(results);
        true
    };
    run(session, Phase::Train, slots, &mut after, &mut || {}).await?;
    Ok(all)
}

/// Steps to the next submission. How many they are depends on the clock; what they compute does not.
fn next_length(length: usize, step: Duration) -> usize {
    let fitting = (SUBMISSION_TIME.as_secs_f64() / step.as_secs_f64().max(1e-7)) as usize;
    fitting.clamp(1, (4 * length).min(SUBMISSION))
}
