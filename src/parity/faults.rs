//! Planted faults: the comparison itself is held to finding them.

use super::case::{Case, Fate, GUARD};
use super::compare::{Verdict, compare, expect};
use super::subject::{Stored, Subject};
use crate::session::SessionError;

/// What to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The lowest bits of one element of the result are not enough; its sign is.
    FlippedElement,
    /// NaN on the subject's side.
    NanFound,
    /// NaN on the reference's side.
    NanExpected,
    /// The last step does not run.
    SkippedLaunch,
    /// The first two operands of the first step are each other's.
    SwappedBuffers,
    /// A value behind the end of the result.
    TouchedGuard,
    /// A value of an input.
    TouchedInput,
}

impl Fault {
    pub const ALL: [Fault; 7] = [
        Fault::FlippedElement,
        Fault::NanFound,
        Fault::NanExpected,
        Fault::SkippedLaunch,
        Fault::SwappedBuffers,
        Fault::TouchedGuard,
        Fault::TouchedInput,
    ];

    /// Runs the case with the fault in it. `plain` is the case in the reference's layout.
    ///
    /// # Errors
    /// What the device rejects.
    pub async fn check(self, subject: &Subject, case: &Case, plain: &Case) -> Result<Verdict, SessionError> {
        let mut broken = case.clone();
        match self {
            Fault::SkippedLaunch => {
                broken.steps.pop();
            }
            Fault::SwappedBuffers => {
                let operands = &mut broken.steps[0].operands;
                let view = operands[0].view;
                operands[0].view = operands[1].view;
                operands[1].view = view;
            }
            _ => {}
        }
        let mut stored = subject.run(&broken).await?;
        let (mut case, mut plain) = (case.clone(), plain.clone());
        let output = position(&case, Fate::Output);
        let input = position(&case, Fate::Input);
        let middle = GUARD + case.tensors[output].view.len / 2;
        match self {
            Fault::FlippedElement => flip(&mut stored, output, middle),
            Fault::NanFound => stored[output][middle] = f32::NAN,
            Fault::TouchedGuard => {
                let behind = GUARD + case.tensors[output].view.len;
                stored[output][behind] = 0.0;
            }
            Fault::TouchedInput => flip(&mut stored, input, GUARD),
            _ => {}
        }
        if self == Fault::NanExpected {
            for case in [&mut case, &mut plain] {
                if let super::case::Values::Numbers(numbers) = &mut case.tensors[input].values {
                    numbers[0] = f32::NAN;
                }
            }
            // The subject's input stays what it was; only the reference sees the NaN.
            case.tensors[input].fate = Fate::Scratch;
        }
        Ok(compare(&case, &expect(&plain), &stored))
    }
}

fn position(case: &Case, fate: Fate) -> usize {
    case.tensors.iter().position(|tensor| tensor.fate == fate).unwrap_or(0)
}

fn flip(stored: &mut Stored, tensor: usize, at: usize) {
    stored[tensor][at] = -stored[tensor][at];
}
