//! Times training steps and the scoring of test pairs on the CPU: `cargo bench --bench train_step`.
//!
//! With `--serve FOLDER` it writes its data, pairs and initial values there and then does what
//! `benches/peers/compare.py` tells it, line by line: `train N` or `score`, answered by a line of JSON.

use std::fs;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use gpu_siamese::cli::block_on;
use gpu_siamese::cpu::Cpu;
use gpu_siamese::data::{self, Dataset, Pair, pairs};
use gpu_siamese::eval;
use gpu_siamese::loss::Loss;
use gpu_siamese::model::{ModelOptions, network};
use gpu_siamese::ops::Layout;
use gpu_siamese::plan::{
    BatchLayout, Capacity, Mode, OptimizerOptions, Phase, PlanKind, PlanOptions, Slot, build,
};
use gpu_siamese::session::Session;
use gpu_siamese::train::setup;

const PAIRS: usize = 64;
/// Batches that are trained on in turn.
const BATCHES: usize = 32;
/// Steps to a submission, whose mean is the time of each.
const STEPS: usize = 10;
const SEED: u64 = 0;

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "glyphs")]
    dataset: String,
    #[arg(long)]
    data_dir: Option<PathBuf>,
    #[arg(long, default_value_t = 0)]
    threads: usize,
    #[arg(long, value_name = "FOLDER")]
    serve: Option<PathBuf>,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

struct Bench {
    cpu: Cpu,
    test: Vec<Pair>,
    steps: u64,
    first_loss: Option<f32>,
}

impl Bench {
    /// Microseconds of `count` training steps, and the last loss.
    fn train(&mut self, count: usize) -> Result<(Vec<f64>, f32), Failure> {
        let slots: Vec<Slot> = (self.steps..self.steps + count as u64)
            .map(|step| Slot {
                first: (step as usize % BATCHES * PAIRS) as u32,
                count: PAIRS as u32,
                ..self.cpu.plan().slot(step + 1, 1e-3)
            })
            .collect();
        self.steps += count as u64;
        let (mut times, mut loss) = (Vec::with_capacity(count), 0.0);
        for slots in slots.chunks(STEPS) {
            let start = Instant::now();
            let results = block_on(self.cpu.submit(Phase::Train, slots)?)?;
            times.extend(slots.iter().map(|_| start.elapsed().as_secs_f64() * 1e6 / slots.len() as f64));
            for step in results {
                loss = step.loss;
                self.first_loss.get_or_insert(loss);
            }
        }
        Ok((times, loss))
    }

    /// Microseconds that scoring all test pairs takes, and their accuracy.
    fn score(&mut self) -> Result<(f64, f64), Failure> {
        let start = Instant::now();
        let scores = block_on(eval::score(&mut self.cpu, &self.test))?;
        let seconds = start.elapsed().as_secs_f64();
        let metrics = eval::metrics(&self.test, &scores, self.cpu.plan().learnt(), 0.5);
        Ok((seconds * 1e6, metrics.accuracy))
    }
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let dataset = data::load(&arguments.dataset, arguments.data_dir.as_deref(), SEED)?;
    let split = data::split(&dataset, SEED);
    let mut train = pairs::training(&dataset.labels, &split, SEED, 1)?;
    train.truncate(BATCHES * PAIRS);
    let test = pairs::test(&dataset.labels, &split, SEED)?;
    let network = network("sn-lenet5", dataset.shape, &ModelOptions::default())?;
    let options = PlanOptions {
        mode: Mode::Training,
        kind: PlanKind::Unfused,
        batch: BatchLayout::Pairs,
        batch_size: PAIRS,
        loss: Loss::default(),
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity {
            images: dataset.len(),
            pairs: train.len(),
            embeddings: split.test.len(),
            scores: test.len(),
        },
        max_binding: usize::MAX / 8,
        layout: Layout::Interleaved,
    };
    let mut cpu = Cpu::new(build(&network, &options)?, arguments.threads)?;
    setup::upload_images(&mut cpu, &dataset)?;
    setup::upload_pairs(&mut cpu, &train)?;
    let weights = setup::initial_values(cpu.plan(), SEED);
    setup::write_all(&mut cpu, &weights)?;
    if let Some(folder) = &arguments.serve {
        export(folder, &dataset, &train, &test, &weights)?;
    }
    let mut bench = Bench { cpu, test, steps: 0, first_loss: None };
    if arguments.serve.is_some() { serve(&mut bench) } else { show(&mut bench) }
}

/// Writes what peers need to train the same network on the same pairs.
fn export(
    folder: &std::path::Path,
    dataset: &Dataset,
    train: &[Pair],
    test: &[Pair],
    weights: &[(String, Vec<f32>)],
) -> Result<(), Failure> {
    let list = |pairs: &[Pair]| -> Vec<u8> {
        pairs.iter().flat_map(|p| [p.a, p.b, u32::from(p.same)]).flat_map(u32::to_le_bytes).collect()
    };
    fs::write(folder.join("images.u8"), &dataset.images)?;
    fs::write(folder.join("train.u32"), list(train))?;
    fs::write(folder.join("test.u32"), list(test))?;
    let weights: serde_json::Map<_, _> =
        weights.iter().map(|(name, values)| (name.clone(), serde_json::json!(values))).collect();
    fs::write(folder.join("weights.json"), serde_json::to_vec(&weights)?)?;
    Ok(())
}

fn serve(bench: &mut Bench) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    let adapter = bench.cpu.adapter();
    writeln!(out, "{}", serde_json::json!({"peer": format!("{} ({})", adapter.name, adapter.driver)}))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("train", count)) => {
                let (times, loss) = bench.train(count.parse()?)?;
                serde_json::json!({"us": times, "first_loss": bench.first_loss, "loss": loss})
            }
            _ => {
                let (us, accuracy) = bench.score()?;
                serde_json::json!({"us": [us], "accuracy": accuracy})
            }
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn show(bench: &mut Bench) -> Result<(), Failure> {
    bench.train(50)?;
    let (times, _) = bench.train(1000)?;
    let scores = (0..10).map(|_| bench.score().map(|(us, _)| us)).collect::<Result<Vec<_>, _>>()?;
    for (what, mut us) in [("training step", times), ("test pairs", scores)] {
        us.sort_by(f64::total_cmp);
        let at = |share: usize| us[us.len() * share / 100] / 1e3;
        println!("{what}: {:.3} ms (fastest {:.3}, p90 {:.3}, n {})", at(50), us[0] / 1e3, at(90), us.len());
    }
    Ok(())
}
