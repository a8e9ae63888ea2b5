//! `gpu-siamese plan`: what a training step launches, and what it costs.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::config::{Config, Loss, PlanChoice};
use super::open::Target;
use super::{Failure, print_json, print_line};
use crate::data::Shape;
use crate::gpu::recorder::grid;
use crate::ops::{Access, Step};
use crate::plan::{Capacity, Mode, Plan};
use crate::train::Measure;

/// What a plan is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeChoice {
    Training,
    Inference,
}

#[derive(Args)]
pub struct Arguments {
    /// Network
    #[arg(long, default_value = "sn-lenet5")]
    model: String,
    /// Size of its images, channels first
    #[arg(long, value_name = "CHANNELSxHEIGHTxWIDTH", default_value = "1x28x28")]
    input: Shape,
    /// Pairs of a training step
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Loss [default: what the model was made for]
    #[arg(long)]
    loss: Option<Loss>,
    /// What the plan is for: training, or inference, which has no backward pass
    #[arg(long, default_value = "training")]
    mode: ModeChoice,
    /// How the training step is cut into launches
    #[arg(long, default_value = "auto")]
    plan: PlanChoice,
    /// auto, cpu, a backend, an index from `adapters`, or part of a name
    #[arg(long, default_value = "auto")]
    adapter: String,
    /// Print JSON to stdout
    #[arg(long)]
    json: bool,
}

/// What MNIST needs: the data set whose plan is shown.
const MNIST: Capacity = Capacity { images: 70_000, pairs: 96_000, embeddings: 24_000, scores: 24_000 };

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = Config {
        model: arguments.model.clone(),
        batch_size: arguments.batch_size,
        loss: arguments.loss,
        plan: arguments.plan,
        ..Config::default()
    };
    config.check()?;
    let target = Target::open(&arguments.adapter)?;
    let mode = match arguments.mode {
        ModeChoice::Training => Mode::Training,
        ModeChoice::Inference => Mode::Inference,
    };
    let plan = target.plan(&config, (arguments.input, 10), MNIST, mode)?;
    if arguments.json {
        print_json(&describe(&plan))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(&format!(
        "{}, {} {}, plan {}: {} parameters ({} trainable + {} state)",
        plan.model,
        plan.options.batch_size,
        Measure::of(plan.options.batch).counted(),
        plan.options.kind.name(),
        plan.trainable() + plan.state(),
        plan.trainable(),
        plan.state()
    ))?;
    let steps = steps(&plan);
    let what = match plan.options.mode {
        Mode::Training => "a training step".into(),
        Mode::Inference => {
            format!("to embed {} images and score {} pairs", plan.embed_batch, plan.score_batch)
        }
    };
    print_line(&format!(
        "{} launches, {:.1} MFLOP and {:.1} MB {what}; {:.1} MB of memory with as many images as MNIST has",
        steps.len(),
        steps.iter().map(|step| step.flops).sum::<u64>() as f64 / 1e6,
        steps.iter().map(|step| step.bytes()).sum::<u64>() as f64 / 1e6,
        plan.memory() as f64 / 1e6
    ))?;
    print_line(&format!("{:<10} {:<28} {:>12} {:>10} {:>10}", "layer", "kernel", "grid", "kFLOP", "kB"))?;
    for step in steps {
        let [x, y, _] = grid(step.workgroups);
        print_line(&format!(
            "{:<10} {:<28} {:>12} {:>10.1} {:>10.1}",
            step.layer,
            format!("{}.{}", step.op, step.entry),
            format!("{x} x {y}"),
            step.flops as f64 / 1e3,
            step.bytes() as f64 / 1e3
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a step of the plan's purpose launches.
fn steps(plan: &Plan) -> Vec<&Step> {
    match plan.options.mode {
        Mode::Training => plan.train.iter().collect(),
        Mode::Inference => plan.embed.iter().chain(&plan.score).collect(),
    }
}

fn describe(plan: &Plan) -> serde_json::Value {
    let operands = |step: &Step, access: Access| -> Vec<String> {
        let chosen = step.operands.iter().filter(|operand| operand.access == access);
        chosen
            .map(|operand| {
                let (buffer, range) = (plan.buffer(operand.view.buffer), operand.view.range());
                format!("{} = {}[{}..{}]", operand.name, buffer.name, range.start, range.end)
            })
            .collect()
    };
    let launched = steps(plan);
    let described: Vec<_> = launched
        .iter()
        .map(|step| {
            json!({
                "op": step.op,
                "entry": step.entry,
                "layer": step.layer,
                "grid": grid(step.workgroups),
                "reads": operands(step, Access::Read),
                "writes": operands(step, Access::Write),
                "flops": step.flops,
                "bytes": step.bytes(),
            })
        })
        .collect();
    json!({
        "model": plan.model,
        "batch_size": plan.options.batch_size,
        "plan": plan.options.kind.name(),
        "trainable": plan.trainable(),
        "state": plan.state(),
        "parameters": plan.trainable() + plan.state(),
        "launches_per_step": launched.len(),
        "flops_per_step": launched.iter().map(|step| step.flops).sum::<u64>(),
        "bytes_per_step": launched.iter().map(|step| step.bytes()).sum::<u64>(),
        "memory": plan.memory(),
        "steps": described,
    })
}
