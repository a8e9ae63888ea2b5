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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use pollster::block_on;

    use super::*;
    use crate::plan::Plan;
    use crate::session::{AdapterInfo, Answer, ready};

    #[derive(Debug, PartialEq)]
    enum Event {
        Prepared,
        Submitted(usize),
        Told(usize),
        Meanwhile,
    }
    use Event::{Meanwhile, Prepared, Submitted, Told};

    /// Notes what is asked of it; its steps take no time.
    struct Fake<'a>(&'a RefCell<Vec<Event>>);

    impl Session for Fake<'_> {
        fn adapter(&self) -> &AdapterInfo {
            unimplemented!("nobody asks")
        }
        fn plan(&self) -> &Plan {
            unimplemented!("nobody asks")
        }
        fn launches(&self) -> u64 {
            0
        }
        fn write(&mut self, _: &str, _: &[f32]) -> Result<(), SessionError> {
            Ok(())
        }
        fn write_words(&mut self, _: &str, _: &[u32]) -> Result<(), SessionError> {
            Ok(())
        }
        fn read_front(&mut self, _: &str, _: usize) -> Answer<'static, Vec<f32>> {
            ready(Ok(Vec::new()))
        }
        fn prepare(&mut self, _: Phase) -> Answer<'_, ()> {
            self.0.borrow_mut().push(Prepared);
            ready(Ok(()))
        }
        fn submit(&mut self, _: Phase, slots: &[Slot]) -> Result<Ticket, SessionError> {
            self.0.borrow_mut().push(Submitted(slots.len()));
            let results = slots.iter().map(|slot| StepResult { loss: 0.0, correct: slot.first }).collect();
            Ok(ready(Ok(results)))
        }
    }

    /// What happens where `steps` steps run, until `most` are done.
    fn events(steps: u32, most: usize) -> Vec<Event> {
        let events = RefCell::new(Vec::new());
        let mut fake = Fake(&events);
        let slots: Vec<Slot> = (0..steps).map(|first| Slot { first, ..Slot::default() }).collect();
        let mut next = 0;
        let mut after = |results: &[StepResult], done: usize| {
            for result in results {
                assert_eq!(result.correct, next, "in order");
                next += 1;
            }
            assert_eq!(done as u32, next);
            events.borrow_mut().push(Told(results.len()));
            done < most
        };
        let mut meanwhile = || events.borrow_mut().push(Meanwhile);
        block_on(run(&mut fake, Phase::Train, &slots, &mut after, &mut meanwhile)).unwrap();
        events.into_inner()
    }

    /// How many steps are in a submission depends on the clock, what happens to them does not.
    #[test]
    fn two_submissions_are_under_way_and_both_are_told() {
        for (steps, most) in [(0, 0), (1, 1), (9, 9), (900, 900), (9, 2), (900, 1)] {
            let events = events(steps, most);
            assert_eq!(events[0], Prepared);
            let (mut under_way, mut submitted, mut told) = (VecDeque::new(), 0, 0);
            for event in &events[1..] {
                match *event {
                    Prepared => panic!("again: {events:?}"),
                    Submitted(count) => {
                        assert!(told < most && count <= SUBMISSION, "{events:?}");
                        submitted += count;
                        under_way.push_back(count);
                    }
                    Told(count) => {
                        let all = told >= most || submitted == steps as usize;
                        assert!(under_way.len() == IN_FLIGHT || all, "{events:?}");
                        assert_eq!(under_way.pop_front(), Some(count));
                        told += count;
                    }
                    Meanwhile => assert!(submitted == steps as usize && told < submitted, "{events:?}"),
                }
                assert!(under_way.len() <= IN_FLIGHT, "{events:?}");
            }
            assert_eq!(told, submitted, "{events:?}");
            assert_eq!(told == steps as usize, most == steps as usize, "{events:?}");
            let meanwhile = events.iter().filter(|event| **event == Meanwhile).count();
            assert_eq!(meanwhile, usize::from(most > 0 && most == steps as usize), "{events:?}");
        }
    }

    #[test]
    fn submissions_grow_to_a_quarter_of_a_second() {
        for (length, microseconds, expected) in [
            (1, 0, 4),
            (4, 1, 16),
            (64, 1, SUBMISSION),
            (64, 10_000, 25),
            (64, 200_000, 1),
            (1, 9_000_000, 1),
        ] {
            assert_eq!(next_length(length, Duration::from_micros(microseconds)), expected, "{microseconds}");
        }
    }
}
