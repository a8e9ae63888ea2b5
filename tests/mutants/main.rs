//! Is every operator of every shader held by a case? Plants one wrong operator at a time and expects
//! a red case.
//!
//! A part of the mutants runs each time, more of them with `GPU_SIAMESE_LONG_TESTS=1`, all with
//! `GPU_SIAMESE_MUTANTS=all`.

mod equivalent;
mod mutate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use equivalent::EQUIVALENT;
use gpu_siamese::gpu::{Context, Pipelines, adapters};
use gpu_siamese::ops::{COMMON, COMMON_WGSL, Layout, STEMS};
use gpu_siamese::parity::bound::Tracked;
use gpu_siamese::parity::compare::{compare, expect};
use gpu_siamese::parity::{Case, Subject, cases};
use libtest_mimic::{Arguments, Failed, Trial};
use mutate::{Mutant, mutants, reaching};
use pollster::block_on;

/// Of so many mutants one runs: each time, and in long tests. Odd, as many operators have two mutants.
const STRIDES: [usize; 2] = [555, 69];

/// Cases with more elements are tried last.
const LARGE: usize = 100_000;

fn main() {
    let arguments = Arguments::from_args();
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let all = set("GPU_SIAMESE_MUTANTS", "all");
    let stride = if all { 1 } else { STRIDES[usize::from(set("GPU_SIAMESE_LONG_TESTS", "1"))] };
    let mut trials = vec![Trial::test("the listed mutants exist", listed)];
    // No other adapter: it ends a loop that never would, and drops what is written out of bounds.
    let lavapipe = block_on(adapters::all()).into_iter().find(|candidate| {
        let info = candidate.describe();
        info.backend == "vulkan" && info.name.contains("llvmpipe")
    });
    let Some(lavapipe) = lavapipe else {
        eprintln!("no lavapipe: mutants are skipped; install mesa-vulkan-drivers to run them");
        trials.extend(
            shaders().map(|(stem, _)| {
                Trial::test(format!("mutants of {stem}"), || Ok(())).with_ignored_flag(true)
            }),
        );
        libtest_mimic::run(&arguments, trials).exit();
    };
    let context = block_on(Context::open(&lavapipe)).expect("lavapipe opens");
    let bench = Arc::new(Mutex::new(Bench::new(Arc::new(Pipelines::new(context)))));
    let mut number = 0;
    trials.extend(shaders().map(|(stem, text)| {
        let mut mutants = mutants(stem, text);
        mutants.retain(|_| {
            number += 1;
            number % stride == 0
        });
        let bench = bench.clone();
        Trial::test(format!("mutants of {stem}"), move || {
            // All trials share the device, whose shaders they replace.
            bench.lock().unwrap_or_else(PoisonError::into_inner).run(stem, text, &mutants)
        })
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let bench = bench.lock().unwrap_or_else(PoisonError::into_inner);
    if bench.run > 0 {
        eprintln!("{}", bench.summary(number));
    }
    conclusion.exit();
}

/// Every shader's stem and text.
fn shaders() -> impl Iterator<Item = (&'static str, &'static str)> {
    let ops = STEMS.iter().map(|stem| (stem.name, stem.wgsl));
    std::iter::once((COMMON, COMMON_WGSL)).chain(ops)
}

/// An entry for what is no longer there says nothing.
fn listed() -> Result<(), Failed> {
    let all: Vec<_> = shaders().flat_map(|(stem, text)| mutants(stem, text)).collect();
    let gone = EQUIVALENT.iter().filter(|entry| !all.iter().any(|mutant| entry.is(mutant)));
    let gone: Vec<_> = gone.map(|entry| format!("there is no mutant {entry}")).collect();
    if gone.is_empty() { Ok(()) } else { Err(gone.join("\n").into()) }
}

/// Runs mutants, one after the other.
struct Bench {
    pipelines: Arc<Pipelines>,
    /// The last one to turn red comes first.
    cases: Vec<Case>,
    expected: HashMap<String, Vec<Vec<Tracked>>>,
    run: usize,
    caught: usize,
    /// Of the caught ones.
    rejected: usize,
    equivalent: usize,
}

/// A case that turned red.
struct Red {
    case: String,
    /// It did not even run.
    rejected: bool,
}

impl Bench {
    fn new(pipelines: Arc<Pipelines>) -> Self {
        let (cases, expected) = (cases(Layout::Plain), HashMap::new());
        Bench { pipelines, cases, expected, run: 0, caught: 0, rejected: 0, equivalent: 0 }
    }

    fn summary(&self, total: usize) -> String {
        let Bench { run, caught, rejected, equivalent, .. } = self;
        let survived = run - caught - equivalent;
        format!(
            "{run} of {total} mutants: {caught} caught ({rejected} did not compile), {equivalent} listed as \
             equivalent, {survived} survived"
        )
    }

    fn run(&mut self, stem: &'static str, text: &str, mutants: &[Mutant]) -> Result<(), Failed> {
        let mut wrong = Vec::new();
        for mutant in mutants {
            self.pipelines.replace_shader(stem, mutant.text.clone());
            let reached = reached(mutant);
            let touched = |case: &Case| {
                case.steps
                    .iter()
                    .any(|step| reached.iter().any(|(op, entry)| *op == step.op && entry == step.entry))
            };
            let red = self.first_red(touched);
            let entry = EQUIVALENT.iter().find(|entry| entry.is(mutant));
            self.run += 1;
            self.caught += usize::from(red.is_some());
            self.rejected += usize::from(red.as_ref().is_some_and(|red| red.rejected));
            match (red, entry) {
                (None, None) => wrong.push(format!("survived: {}", mutant.describe())),
                (Some(red), Some(entry)) => wrong.push(format!("{} catches {entry}", red.case)),
                (None, Some(_)) => self.equivalent += 1,
                (Some(_), None) => {}
            }
        }
        // What caught the last one must be the mutant, not a case that is always red.
        self.pipelines.replace_shader(stem, text.into());
        let last = self.cases[0].title();
        if let Some(red) = self.first_red(|case| case.title() == last) {
            wrong.push(format!("{} is red without a mutant", red.case));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    }

    /// The first case that turns red among those that matter.
    fn first_red(&mut self, matters: impl Fn(&Case) -> bool) -> Option<Red> {
        let elements = |case: &Case| case.tensors.iter().map(|tensor| tensor.view.len).sum::<usize>();
        let matter = (0..self.cases.len()).filter(|&at| matters(&self.cases[at]));
        let (large, small): (Vec<_>, Vec<_>) = matter.partition(|&at| elements(&self.cases[at]) > LARGE);
        let subject = Subject::Gpu(self.pipelines.clone());
        for at in small.into_iter().chain(large) {
            let case = &self.cases[at];
            let expected = self.expected.entry(case.title()).or_insert_with(|| expect(case));
            let stored = block_on(subject.run(case));
            if stored.as_ref().is_ok_and(|stored| compare(case, expected, stored).pass) {
                continue;
            }
            let red = Red { case: case.title(), rejected: stored.is_err() };
            self.cases[..=at].rotate_right(1);
            return Some(red);
        }
        None
    }
}

/// The kernels, by op and entry, that get to the mutant's function.
fn reached(mutant: &Mutant) -> Vec<(&'static str, String)> {
    STEMS
        .iter()
        .filter(|stem| mutant.stem == COMMON || mutant.stem == stem.name)
        .flat_map(|stem| {
            let text = format!("{COMMON_WGSL}\n{}", stem.wgsl);
            reaching(&text, &mutant.function).into_iter().map(|function| (stem.name, function))
        })
        .collect()
}
