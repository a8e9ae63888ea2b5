//! `gpu-siamese bench`: how fast training is on this machine's adapters, plan by plan.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::config::{Config, PlanChoice};
use super::open::Target;
use super::{Failure, block_on, print_json, print_line, say};
use crate::bench::{BenchResult, Contender, Control, Limits, Runner};
use crate::cpu::Cpu;
use crate::data::{self, Dataset, Pair, Shape, pairs};
use crate::gpu::Gpu;
use crate::model;
use crate::plan::Mode;

#[derive(Args)]
pub struct Arguments {
    /// auto, cpu, a backend, an index from `adapters`, or part of a name; give it again to compare
    #[arg(long, default_value = "auto")]
    adapter: Vec<String>,
    /// Network; give it again to compare
    #[arg(long, default_value = "sn-lenet5")]
    model: Vec<String>,
    /// Size of the images, channels first [default: 1x105x105 for koch, sircnn and sircnn-eca, 1x28x28 for others]
    #[arg(long, value_name = "CHANNELSxHEIGHTxWIDTH")]
    input: Option<Shape>,
    /// Pairs of a training step; give it again to compare
    #[arg(long, value_name = "N", default_value = "64")]
    batch_size: Vec<usize>,
    /// How the training step is cut into launches; give it again to compare
    #[arg(long, default_value = "auto")]
    plan: Vec<PlanChoice>,
    /// Rounds, in each of which everything is sampled once
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Print JSON to stdout, with every kernel
    #[arg(long)]
    json: bool,
}

/// An adapter, its limits, and what runs on it.
struct Bench {
    limits: Limits,
    contenders: Vec<Contender>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !(1..=1000).contains(&arguments.rounds) {
        return Err(Failure::Usage(format!("--rounds {}: must be 1 to 1000", arguments.rounds)));
    }
    let configs = configs(arguments)?;
    let targets =
        arguments.adapter.iter().map(|adapter| Target::open(adapter)).collect::<Result<Vec<_>, _>>()?;
    let shape = |model: &str| arguments.input.unwrap_or(model::usual_input(model));
    let mut shapes: Vec<Shape> = arguments.model.iter().map(|model| shape(model)).collect();
    shapes.dedup();
    let sets = shapes.into_iter().map(Images::of).collect::<Result<Vec<_>, _>>()?;
    let mut benches = Vec::new();
    for target in &targets {
        benches.push(set_up(target, &configs, &|config| {
            sets.iter().find(|set| set.dataset.shape == shape(&config.model)).unwrap_or(&sets[0])
        })?);
    }
    let start = Instant::now();
    for round in 1..=arguments.rounds {
        for Bench { limits, contenders } in &mut benches {
            block_on(limits.sample())?;
            contenders.iter_mut().try_for_each(|contender| block_on(contender.round()))?;
        }
        // Everything else lies between a configuration's two samples of a round.
        for contender in benches.iter_mut().flat_map(|bench| &mut bench.contenders) {
            block_on(contender.round_again())?;
        }
        let (rounds, seconds) = (arguments.rounds, start.elapsed().as_secs_f64());
        say(format_args!("round {round} of {rounds} done after {seconds:.1} s"));
    }
    let results = benches.iter().flat_map(|Bench { limits, contenders }| {
        contenders.iter().map(|contender| contender.result(limits.best()))
    });
    let results: Vec<BenchResult> = results.collect();
    let controls = benches.iter().flat_map(|bench| bench.contenders.iter().map(Contender::control));
    let controls: Vec<Control> = controls.collect();
    if arguments.json {
        print_json(&json!({ "results": results, "controls": controls }))?;
    } else {
        print_table(&results, &controls)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Glyphs of a size, and pairs of them.
struct Images {
    dataset: Dataset,
    training: Vec<Pair>,
    test: Vec<Pair>,
}

impl Images {
    /// As many as the usual ones of 28 x 28 have bytes, but some of each class.
    fn of(shape: Shape) -> Result<Self, Failure> {
        if shape.len() > MOST_VALUES {
            return Err(Failure::Usage(format!("--input {shape}: at most {MOST_VALUES} values are timed")));
        }
        let (usual, usual_size) = (data::Glyphs::default(), 28 * 28);
        let share = |images: usize| (images * usual_size / shape.len()).clamp(8, images);
        let glyphs = data::Glyphs {
            train_per_class: share(usual.train_per_class),
            test_per_class: share(usual.test_per_class),
            ..usual
        };
        let dataset = scaled(data::glyphs::generate(&glyphs, 0), shape);
        let split = data::split(&dataset, 0);
        let training = pairs::training(&dataset.labels, &split, 0, 1)?;
        let test = pairs::test(&dataset.labels, &split, 0)?;
        Ok(Images { dataset, training, test })
    }
}

/// Largest images that are timed, in values.
const MOST_VALUES: usize = 1 << 20;

/// Grey images of another size and so many channels, by their nearest pixels.
fn scaled(set: Dataset, shape: Shape) -> Dataset {
    let Shape { height, width, .. } = set.shape;
    let scale = |old: &[u8]| -> Vec<u8> {
        let pixel = |at: usize| {
            let (y, x) = (at / shape.width % shape.height, at % shape.width);
            old[y * height / shape.height * width + x * width / shape.width]
        };
        (0..shape.len()).map(pixel).collect()
    };
    let images = set.images.chunks_exact(set.shape.len()).flat_map(scale).collect();
    Dataset { shape, images, ..set }
}

/// Every combination of what was given, except for the adapters.
fn configs(arguments: &Arguments) -> Result<Vec<Config>, Failure> {
    let mut configs = Vec::new();
    for model in &arguments.model {
        if model::is_classifier(model) {
            return Err(Failure::Usage(format!("--model {model}: only networks that compare are timed")));
        }
        for &batch_size in &arguments.batch_size {
            for &plan in &arguments.plan {
                let config = Config { model: model.clone(), batch_size, plan, ..Config::default() };
                config.check()?;
                configs.push(config);
            }
        }
    }
    Ok(configs)
}

fn set_up<'a>(
    target: &Target,
    configs: &[Config],
    images: &dyn Fn(&Config) -> &'a Images,
) -> Result<Bench, Failure> {
    let threads = |error: std::io::Error| Failure::Usage(format!("threads: {error}"));
    // Plans are checked before anything takes time.
    let plan = |config: &Config| {
        let Images { dataset, test, .. } = images(config);
        let capacity = Contender::capacity(dataset, test.len(), config.batch_size);
        let plan = target.plan(config, (dataset.shape, dataset.classes.len()), capacity, Mode::Training)?;
        target.check_memory(&plan)?;
        Ok::<_, Failure>(plan)
    };
    let plans = configs.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    let limits = match target {
        Target::Cpu => Limits::of_cpu().map_err(threads)?,
        Target::Gpu(gpu) => block_on(Limits::of_gpu(gpu.context.clone()))?,
    };
    let mut contenders = Vec::new();
    for (config, plan) in configs.iter().zip(plans) {
        let Images { dataset, training, test } = images(config);
        let runner = match target {
            Target::Cpu => Runner::Cpu(Cpu::new(plan, 0).map_err(threads)?),
            Target::Gpu(gpu) => Runner::Gpu(block_on(Gpu::new(gpu.clone(), plan))?),
        };
        let contender = block_on(Contender::new(runner, dataset, training, test.clone()))?;
        say(format_args!("warmed up: {}", contender.title()));
        contenders.push(contender);
    }
    Ok(Bench { limits, contenders })
}

const HEADINGS: [&str; 12] = [
    "adapter",
    "driver",
    "plan",
    "pairs",
    "us/step",
    "p10..p90",
    "us/pair",
    "GFLOP/s",
    "of limit",
    "launches",
    "record us",
    "control",
];

/// Columns of words, on the left of the table.
const WORDS: usize = 3;

fn print_table(results: &[BenchResult], controls: &[Control]) -> Result<(), Failure> {
    let mut rows = vec![HEADINGS.map(str::to_string)];
    for (result, control) in results.iter().zip(controls) {
        let step = result.train_step_us;
        rows.push([
            format!("{} ({})", result.adapter.name, result.adapter.backend),
            result.adapter.driver.clone(),
            result.plan.into(),
            result.batch_size.to_string(),
            figure(step.median),
            format!("{}..{}", figure(step.p10), figure(step.p90)),
            figure(result.eval_us_per_pair.median),
            figure(result.gflops),
            format!("{:.1} %", 100.0 * result.gflops / result.ceiling.gflops),
            result.launches_per_step.to_string(),
            result.record_us.map_or("-".into(), |us| figure(us.median)),
            format!("{:.3}", control.ratio.median),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < WORDS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        print_line(&cells.collect::<Vec<_>>().join("  "))?;
    }
    print_line(
        "us/step: a training step, median of the rounds; us/pair: scoring test pairs; of limit: of what the \
         adapter itself computes at most; record us: the host's time for a step; control: the same again in \
         each round, 1 but for noise",
    )
}

/// Three digits, or more before the point.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
