//! `gpu-siamese parity`: every kernel against the CPU's reference, here.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::open::Target;
use super::{Failure, block_on, print_json, print_line};
use crate::ops::Layout;
use crate::parity::{Subject, Verdict, cases, training};

#[derive(Args)]
pub struct Arguments {
    /// cpu, a backend, an index from `adapters`, or part of a name
    #[arg(long, default_value = "auto")]
    adapter: String,
    /// Only this op, or `training` for whole training steps
    #[arg(long)]
    op: Option<String>,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let subject = match Target::open(&arguments.adapter)? {
        Target::Cpu => Subject::Cpu,
        Target::Gpu(gpu) => Subject::Gpu(gpu),
    };
    let adapter = subject.adapter();
    let wanted = |op: &str| arguments.op.as_deref().is_none_or(|wanted| wanted == op);
    let mut verdicts: Vec<Verdict> = cases(subject.layout())
        .iter()
        .zip(cases(Layout::Plain))
        .filter(|(case, _)| wanted(case.op))
        .map(|(case, plain)| block_on(subject.check(case, &plain)))
        .collect();
    if wanted("training") {
        for (_, compare) in training::COMPARISONS {
            verdicts.extend(block_on(compare(&subject))?);
        }
    }
    if verdicts.is_empty() {
        let ops: Vec<_> = crate::ops::STEMS.iter().map(|stem| stem.name).collect();
        let op = arguments.op.clone().unwrap_or_default();
        return Err(Failure::Usage(format!(
            "--op {op}: no such op; the ops are {}, training",
            ops.join(", ")
        )));
    }
    let passed = verdicts.iter().filter(|verdict| verdict.pass).count();
    let failed = verdicts.len() - passed;
    if arguments.json {
        print_json(&json!({
            "adapter": adapter, "passed": passed, "failed": failed, "skipped": 0, "cases": verdicts,
        }))?;
    } else {
        print_line(&format!("on {} ({}, {})", adapter.name, adapter.backend, adapter.driver))?;
        table(&verdicts)?;
        print_line(&format!("{passed} passed, {failed} failed"))?;
    }
    for verdict in verdicts.iter().filter(|verdict| !verdict.pass) {
        eprintln!("{}", verdict.line(&adapter.name));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A row for each kernel: the error nearest to its bound.
fn table(verdicts: &[Verdict]) -> Result<(), Failure> {
    print_line(&format!(
        "{:<28} {:>5}  {:>10} {:>10} {:>7}  worst case",
        "kernel", "cases", "error", "bound", "share"
    ))?;
    let mut kernels: Vec<(&str, &str)> = verdicts.iter().map(|v| (v.op, v.entry)).collect();
    kernels.dedup();
    kernels.sort_unstable();
    kernels.dedup();
    for (op, entry) in kernels {
        let of_kernel = || verdicts.iter().filter(|v| (v.op, v.entry) == (op, entry));
        let share = |v: &Verdict| if v.error == 0.0 { 0.0 } else { v.error / v.bound };
        let Some(worst) = of_kernel().max_by(|a, b| share(a).total_cmp(&share(b))) else { continue };
        print_line(&format!(
            "{:<28} {:>5}  {:>10.2e} {:>10.2e} {:>6.1}%  {}",
            format!("{op}.{entry}"),
            of_kernel().count(),
            worst.error,
            worst.bound,
            100.0 * share(worst),
            worst.case
        ))?;
    }
    Ok(())
}
