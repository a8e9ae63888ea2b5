//! Every op on every adapter of this machine: one named trial per adapter and case.
//!
//! Without a GPU adapter its trials are listed as ignored, so that what was skipped is seen.

use std::sync::Arc;

use gpu_siamese::data::augment::IDENTITY;
use gpu_siamese::gpu::{Context, Pipelines, adapters};
use gpu_siamese::ops::Layout;
use gpu_siamese::ops::warp::Warp;
use gpu_siamese::parity::case::Maker;
use gpu_siamese::parity::faults::Fault;
use gpu_siamese::parity::training::COMPARISONS;
use gpu_siamese::parity::{Case, Subject, cases};
use gpu_siamese::plan::Slot;
use libtest_mimic::{Arguments, Failed, Trial};
use pollster::block_on;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut gpus = 0;
    add(&mut trials, "cpu", &Subject::Cpu, true);
    let mut names = std::collections::HashSet::new();
    for candidate in block_on(adapters::all()) {
        let label = format!("{} {}", candidate.describe().backend, candidate.info.name);
        match block_on(Context::open(&candidate)) {
            Ok(context) => {
                gpus += 1;
                eprintln!("adapter {}", candidate.line());
                // Through a second backend the kernels one by one are enough.
                let first = names.insert(candidate.info.name.clone());
                add(&mut trials, &label, &Subject::Gpu(Arc::new(Pipelines::new(context))), first);
            }
            Err(error) => {
                trials.push(Trial::test(format!("{label}: opens"), move || Err(error.to_string().into())));
            }
        }
    }
    if gpus == 0 {
        eprintln!("no GPU adapter: its trials are skipped; install a Vulkan driver to run them");
        for case in cases(Layout::Plain) {
            let trial = Trial::test(format!("gpu: {}", case.title()), || Ok(()));
            trials.push(trial.with_ignored_flag(true));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn add(trials: &mut Vec<Trial>, label: &str, subject: &Subject, trains: bool) {
    let all = cases(subject.layout()).into_iter().zip(cases(Layout::Plain));
    for (case, plain) in all {
        let (title, subject, label) = (case.title(), subject.clone(), label.to_string());
        trials.push(Trial::test(format!("{label}: {title}"), move || {
            let verdict = block_on(subject.check(&case, &plain));
            if verdict.pass { Ok(()) } else { Err(verdict.line(&label).into()) }
        }));
    }
    for (name, compare) in COMPARISONS.iter().filter(|_| trains) {
        // The CPU has no launches to stop between; tests/library/golden holds its whole steps to f64.
        if name.starts_with("traced") && matches!(subject, Subject::Cpu) {
            continue;
        }
        let (subject, label) = (subject.clone(), label.to_string());
        trials.push(Trial::test(format!("{label}: training/{name}"), move || {
            let verdicts = block_on(compare(&subject)).map_err(|error| error.to_string())?;
            let failed: Vec<_> = verdicts.iter().filter(|v| !v.pass).map(|v| v.line(&label)).collect();
            if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
        }));
    }
    let (trial, subject) =
        (format!("{label}: maps that change nothing give the gather's bits"), subject.clone());
    trials.push(Trial::test(trial, {
        let subject = subject.clone();
        move || identical_bits(&subject)
    }));
    for fault in Fault::ALL {
        let (subject, title) = (subject.clone(), "activation.backward/tanh of 1757");
        trials.push(Trial::test(format!("{label}: finds {fault:?}"), move || found(&subject, fault, title)));
    }
}

/// Augmentation that leaves an image alone must leave every bit of it alone.
fn identical_bits(subject: &Subject) -> Result<(), Failed> {
    let warp = Warp {
        images: 40,
        channels: 1,
        height: 28,
        width: 27,
        branches: 2,
        first: 0,
        first_resident: 0,
        resident: 7,
    };
    let mut maker = Maker::new(("warp", "forward"), "beside the gather", subject.layout());
    let mut random = maker.random();
    let data = maker.words("data", (0..7 * warp.words()).map(|_| random.word()).collect());
    let index = maker.words("index", (0..40).map(|_| random.below(7)).collect());
    let matrices = maker.words("matrices", [IDENTITY; 40].concat().iter().map(|&word| word as u32).collect());
    let results = [(); 2].map(|()| maker.output_images("y", 40, warp.pixels(), false));
    maker.step(warp.forward(data, index, matrices, results[0]));
    maker.step(warp.gather().forward(data, index, results[1]));
    maker.slot(Slot { count: 20, ..Slot::default() });
    let stored = block_on(subject.run(&maker.done())).map_err(|error| error.to_string())?;
    let [warped, gathered] = results.map(|view| &stored[view.buffer.0][view.range()]);
    let differs = warped.iter().zip(gathered).position(|(a, b)| a.to_bits() != b.to_bits());
    if let Some(at) = differs {
        return Err(format!("y[{at}] is {}, not {}", warped[at], gathered[at]).into());
    }
    if gathered.iter().any(|&value| value > 0.9) { Ok(()) } else { Err("nothing was gathered".into()) }
}

/// The fault must be found, and its twin without the fault must pass.
fn found(subject: &Subject, fault: Fault, title: &str) -> Result<(), Failed> {
    let find = |layout| -> Result<Case, Failed> {
        let case = cases(layout).into_iter().find(|case| case.title() == title);
        case.ok_or_else(|| format!("there is no case {title}").into())
    };
    let (case, plain) = (find(subject.layout())?, find(Layout::Plain)?);
    if !block_on(subject.check(&case, &plain)).pass {
        return Err("fails without a fault".into());
    }
    let verdict = block_on(fault.check(subject, &case, &plain)).map_err(|error| error.to_string())?;
    if verdict.pass { Err(format!("{fault:?} went unnoticed").into()) } else { Ok(()) }
}
