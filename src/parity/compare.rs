//! Holds what a subject left in its buffers to what the reference expects.

use super::bound::Tracked;
use super::case::{Case, Fate, GUARD, Values};
use super::subject::Stored;
use crate::cpu::{Memory, Real, reference};
use crate::plan::to_plain;

/// Outcome of a case: its worst element.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verdict {
    pub op: &'static str,
    pub entry: &'static str,
    pub case: String,
    pub seed: u64,
    /// The tensor and the (plain) index of the worst element.
    pub worst_tensor: String,
    pub worst_index: usize,
    pub expected: f64,
    pub found: f64,
    pub error: f64,
    pub bound: f64,
    pub pass: bool,
    /// Why it failed, where it is not the error of an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Verdict {
    pub(super) fn new(case: &Case) -> Self {
        Verdict::named((case.op, case.entry), &case.name, case.seed)
    }

    /// A verdict on nothing yet.
    pub(super) fn named((op, entry): (&'static str, &'static str), case: &str, seed: u64) -> Self {
        Verdict {
            op,
            entry,
            case: case.into(),
            seed,
            worst_tensor: String::new(),
            worst_index: 0,
            expected: 0.0,
            found: 0.0,
            error: 0.0,
            bound: 0.0,
            pass: true,
            reason: None,
        }
    }

    /// A case that could not run.
    pub fn broken(case: &Case, reason: String) -> Self {
        Verdict { pass: false, reason: Some(reason), ..Verdict::new(case) }
    }

    /// Looks at one element; any NaN that is not expected fails, and so does a NaN that is missing.
    pub fn look(&mut self, tensor: &str, index: usize, expected: Tracked, found: f32) {
        let (value, bound) = (expected.to_f64(), expected.tolerance());
        let found = f64::from(found);
        let (error, within) = if value.is_nan() || found.is_nan() {
            let both = value.is_nan() && found.is_nan();
            (if both { 0.0 } else { f64::INFINITY }, both)
        } else if found == value {
            (0.0, true)
        } else {
            let error = (found - value).abs();
            // A bound that is infinite bounds nothing.
            (error, error <= bound && bound.is_finite())
        };
        let worse = error / bound > self.error / self.bound || self.worst_tensor.is_empty();
        if worse || (!within && self.pass) {
            self.worst_tensor = tensor.into();
            (self.worst_index, self.expected, self.found) = (index, value, found);
            (self.error, self.bound) = (error, bound);
        }
        self.pass &= within;
    }

    fn fail(&mut self, tensor: &str, index: usize, reason: &str) {
        if self.pass {
            self.worst_tensor = tensor.into();
            self.worst_index = index;
            self.reason = Some(reason.into());
        }
        self.pass = false;
    }

    /// What a person needs to find the fault.
    pub fn line(&self, adapter: &str) -> String {
        let Verdict { op, entry, case, seed, worst_tensor, worst_index, .. } = self;
        let found = match &self.reason {
            Some(reason) => reason.clone(),
            None => format!(
                "expected {:e}, found {:e}, error {:.3e}, bound {:.3e}",
                self.expected, self.found, self.error, self.bound
            ),
        };
        format!("{op}.{entry}/{case} (seed {seed}) on {adapter}: {worst_tensor}[{worst_index}]: {found}")
    }
}

/// What the reference makes of the case's tensors, by tensor. `case` is plain.
pub fn expect(case: &Case) -> Vec<Vec<Tracked>> {
    let buffers: Vec<_> = case.tensors.iter().map(|tensor| tensor.buffer()).collect();
    let mut memory = Memory::<Tracked>::new(&buffers);
    for (number, tensor) in case.tensors.iter().enumerate() {
        match &tensor.values {
            Values::Numbers(numbers) => {
                let to = &mut memory.numbers_mut(number)[tensor.view.range()];
                for (to, &value) in to.iter_mut().zip(numbers) {
                    *to = Tracked::of(value);
                }
            }
            Values::Words(words) => memory.words_mut(number)[tensor.view.range()].copy_from_slice(words),
        }
    }
    for step in &case.steps {
        memory.lend(step, &case.slot, |io| reference(step, io));
    }
    case.tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| match tensor.values {
            Values::Numbers(_) => memory.numbers(number)[tensor.view.range()].to_vec(),
            Values::Words(_) => Vec::new(),
        })
        .collect()
}

/// Compares every output element, every input and every guard. `case` is as the subject ran it,
/// `expected` from [`expect`] of its plain twin.
pub fn compare(case: &Case, expected: &[Vec<Tracked>], stored: &Stored) -> Verdict {
    let mut verdict = Verdict::new(case);
    for ((tensor, expected), stored) in case.tensors.iter().zip(expected).zip(stored) {
        let Values::Numbers(before) = &tensor.values else { continue };
        let untouched = tensor.stored(before);
        let view = tensor.view.range();
        let behind = GUARD + tensor.view.len;
        let same = |at: usize| stored[at].to_bits() == untouched[at].to_bits();
        if let Some(at) = (0..GUARD).chain(behind..behind + GUARD).find(|&at| !same(at)) {
            verdict.fail(tensor.name, at, "was written outside its bounds");
        }
        if tensor.fate == Fate::Input
            && let Some(at) = view.clone().find(|&at| !same(at))
        {
            verdict.fail(tensor.name, at - GUARD, "is an input and was written");
        }
        if tensor.fate == Fate::Output {
            let values = before.len() / tensor.images;
            let found = to_plain(&stored[view], tensor.view.layout, tensor.images, values);
            for (index, (&expected, found)) in expected.iter().zip(found).enumerate() {
                verdict.look(tensor.name, index, expected, found);
            }
        }
    }
    verdict
}
