//! Every op on every adapter of this machine: one named trial per adapter and case.
//!
//! Without a GPU adapter its trials are listed as ignored, so that what was skipped is seen.

use std::sync::Arc;

use gpu_siamese::gpu::{Device, adapters};
use gpu_siamese::ops::Layout;
use gpu_siamese::parity::faults::Fault;
use gpu_siamese::parity::training::COMPARISONS;
use gpu_siamese::parity::{Case, Subject, cases};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let mut gpus = 0;
    add(&mut trials, "cpu", &Subject::Cpu);
    for candidate in adapters::all() {
        let label = format!("{} {}", candidate.describe().backend, candidate.info.name);
        match Device::open(&candidate) {
            Ok(device) => {
                gpus += 1;
                eprintln!("adapter {}", candidate.line());
                add(&mut trials, &label, &Subject::Gpu(Arc::new(device)));
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

fn add(trials: &mut Vec<Trial>, label: &str, subject: &Subject) {
    let all = cases(subject.layout()).into_iter().zip(cases(Layout::Plain));
    for (case, plain) in all {
        let (title, subject, label) = (case.title(), subject.clone(), label.to_string());
        trials.push(Trial::test(format!("{label}: {title}"), move || {
            let verdict = subject.check(&case, &plain);
            if verdict.pass { Ok(()) } else { Err(verdict.line(&label).into()) }
        }));
    }
    for (name, compare) in COMPARISONS {
        // The CPU has no launches to stop between; tests/golden holds its whole steps to f64.
        if name.starts_with("traced") && matches!(subject, Subject::Cpu) {
            continue;
        }
        let (subject, label) = (subject.clone(), label.to_string());
        trials.push(Trial::test(format!("{label}: training/{name}"), move || {
            let verdicts = compare(&subject).map_err(|error| error.to_string())?;
            let failed: Vec<_> = verdicts.iter().filter(|v| !v.pass).map(|v| v.line(&label)).collect();
            if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
        }));
    }
    for fault in Fault::ALL {
        let (subject, title) = (subject.clone(), "activation.backward/tanh of 1757");
        trials.push(Trial::test(format!("{label}: finds {fault:?}"), move || found(&subject, fault, title)));
    }
}

/// The fault must be found, and its twin without the fault must pass.
fn found(subject: &Subject, fault: Fault, title: &str) -> Result<(), Failed> {
    let find = |layout| -> Result<Case, Failed> {
        let case = cases(layout).into_iter().find(|case| case.title() == title);
        case.ok_or_else(|| format!("there is no case {title}").into())
    };
    let (case, plain) = (find(subject.layout())?, find(Layout::Plain)?);
    if !subject.check(&case, &plain).pass {
        return Err("fails without a fault".into());
    }
    let verdict = fault.check(subject, &case, &plain).map_err(|error| error.to_string())?;
    if verdict.pass { Err(format!("{fault:?} went unnoticed").into()) } else { Ok(()) }
}
