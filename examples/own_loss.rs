//! A network and a loss of one's own, trained on glyphs, saved as a file and used again: `cargo run --example own_loss`.

use gpu_siamese::cpu::Cpu;
use gpu_siamese::data::{self, Glyphs, glyphs, pairs};
use gpu_siamese::graph::{Conv, Graph, Initialization, Op};
use gpu_siamese::loss::{Definition, Inputs, Loss, PairDistance};
use gpu_siamese::model::Network;
use gpu_siamese::ops::activation::ActivationKind;
use gpu_siamese::ops::elementwise::Function;
use gpu_siamese::ops::mask::MaskKind;
use gpu_siamese::ops::reduction::Reduction;
use gpu_siamese::ops::{Layout, pool2d::PoolKind};
use gpu_siamese::plan::{BatchLayout, Capacity, Mode, OptimizerOptions, PlanKind, PlanOptions, build};
use gpu_siamese::session::{Session, pace};
use gpu_siamese::{eval, train::epoch, train::setup};

/// `ln(1 + exp(4 (2 same - 1) (d - 1)))`: same pairs below a distance of 1, others above, without a margin.
struct Soft;

impl Definition for Soft {
    fn name(&self) -> &'static str {
        "soft"
    }

    fn build(&self, _: &Loss, graph: &mut Graph, inputs: Inputs) {
        let Some(distance) = inputs.distance else { return };
        let same = graph.mask(MaskKind::Same);
        let twice = graph.times(8.0, same);
        let sign = graph.plus(-4.0, twice);
        let beyond = graph.plus(-1.0, distance);
        let exponent = graph.multiply(sign, beyond);
        let of_pairs = graph.unary(Function::Softplus, 0.0, exponent);
        let loss = graph.reduce_all(Reduction::Mean, of_pairs);
        // Right are pairs whose exponent is below 0.
        let wrong = graph.unary(Function::Step, 0.0, exponent);
        let wrong = graph.times(-1.0, wrong);
        let right = graph.plus(1.0, wrong);
        let correct = graph.reduce_all(Reduction::Sum, right);
        graph.apply("record", Op::Record, &[loss, correct]);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dataset = glyphs::generate(&Glyphs { train_per_class: 200, ..Glyphs::default() }, 0);
    let split = data::split(&dataset, 0);
    let list = pairs::training(&dataset.labels, &split, 0, 1)?;
    let loss = Loss::of(&Soft);
    let comparison = Some(loss.comparison(PairDistance::EUCLIDEAN));
    let network =
        Network::new("own", dataset.shape, Initialization::PyTorch, comparison, |graph, images| {
            let x = graph.conv2d("conv1", images, Conv::new(8, 5, 1, 2));
            let x = graph.batch_norm("bn1", x, 1e-5, 0.1);
            let x = graph.activation("act1", x, ActivationKind::Relu);
            let x = graph.pool("pool1", x, PoolKind::Max, [4, 4, 0]);
            graph.dense("fc", x, 16)
        })?;
    let options = PlanOptions {
        kind: PlanKind::Unfused,
        mode: Mode::Training,
        batch: BatchLayout::Pairs,
        batch_size: 32,
        loss,
        optimizer: OptimizerOptions::default(),
        augment: false,
        standardize: false,
        capacity: Capacity { images: dataset.len(), pairs: list.len(), embeddings: 64, scores: 64 },
        max_binding: usize::MAX / 8,
        layout: Layout::Interleaved,
    };
    let mut cpu = Cpu::new(build(&network, &options)?, 0)?;
    setup::upload_images(&mut cpu, &dataset)?;
    let start = setup::initial_values(cpu.plan(), 0);
    setup::write_all(&mut cpu, &start)?;
    for number in 1..=6 {
        setup::upload_pairs(&mut cpu, &pairs::training(&dataset.labels, &split, 0, number)?)?;
        let steps = list.len() / 32;
        let args = epoch::slots(&cpu, 0..steps, (number - 1) * steps as u64, 0, |_| 3e-3);
        let results = pollster::block_on(pace::train(&mut cpu, &args))?;
        let mean = results.iter().map(|step| f64::from(step.loss)).sum::<f64>() / steps as f64;
        println!("epoch {number}: loss {mean:.3}");
    }

    // The graph is data: what embeds is restored from it, without this program's code for the network.
    let saved = serde_json::to_string(&network)?;
    let weights = pollster::block_on(setup::read_all(&mut cpu, false))?;
    let restored: Network = serde_json::from_str(&saved)?;
    let inference = PlanOptions { mode: Mode::Inference, ..options };
    let mut user = Cpu::new(build(&restored, &inference)?, 0)?;
    setup::upload_images(&mut user, &dataset)?;
    setup::write_all(&mut user, &weights)?;
    let test = pairs::test(&dataset.labels, &split, 0)?;
    let scores = pollster::block_on(eval::score(&mut user, &test))?;
    let right = test.iter().zip(&scores).filter(|(pair, score)| (score.distance < 1.0) == pair.same).count();
    println!("{:.1} % of {} test pairs told apart", 100.0 * right as f64 / test.len() as f64, test.len());
    assert!(right * 10 > test.len() * 8, "the network learned nothing");
    Ok(())
}
