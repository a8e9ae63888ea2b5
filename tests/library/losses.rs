//! Losses beside the SN-LeNet-5 paper's: whether networks learn with them.

use crate::common::sn_lenet5;
use gpu_siamese::cpu::Cpu;
use gpu_siamese::data::{Dataset, Glyphs, Pair, Random, Shape, Stream, glyphs};
use gpu_siamese::eval;
use gpu_siamese::loss::{CrossEntropy, Episodes, Loss, PairDistance};
use gpu_siamese::model::{ModelOptions, network};
use gpu_siamese::ops::Layout;
use gpu_siamese::ops::contrastive::Convention;
use gpu_siamese::plan::{Capacity, PlanOptions, build};
use gpu_siamese::session::{Session, pace};
use gpu_siamese::train::{epoch, setup};
use pollster::block_on;

/// A CPU with a network that learns from a data set with this loss.
fn learner(model: &str, dataset: &Dataset, loss: Loss, batch_size: usize, pairs: usize) -> Cpu {
    let comparison = loss.comparison(PairDistance::EUCLIDEAN);
    let model_options = ModelOptions { comparison, ..ModelOptions::default() };
    let network = network(model, dataset.shape, &model_options).unwrap();
    let usual =
        sn_lenet5(&ModelOptions::default(), Convention::Similarity, Layout::Interleaved, (2, 1), 1 << 27);
    let capacity = Capacity { images: dataset.len(), pairs, embeddings: dataset.len(), scores: 200 };
    let options = PlanOptions { loss, batch_size, capacity, max_binding: usize::MAX / 8, ..usual.options };
    let mut cpu = Cpu::new(build(&network, &options).unwrap(), 2).unwrap();
    setup::upload_images(&mut cpu, dataset).unwrap();
    let weights = setup::initial_values(cpu.plan(), 0);
    setup::write_all(&mut cpu, &weights).unwrap();
    cpu
}

/// Trains on all pairs in order. Returns loss and hits of each step.
fn train(cpu: &mut Cpu, pairs: &[Pair], rate: f64) -> Vec<(f32, u32)> {
    setup::upload_pairs(cpu, pairs).unwrap();
    let steps = pairs.len() / cpu.plan().options.batch_size;
    let slots = epoch::slots(cpu, 0..steps, 0, 0, |_| rate);
    let steps = block_on(pace::train(cpu, &slots)).unwrap();
    steps.into_iter().map(|step| (step.loss, step.correct)).collect()
}

/// Episodes of all ten glyphs: two images of each.
fn episodes(dataset: &Dataset, count: usize) -> Vec<Pair> {
    let mut random = Random::new(3, Stream::TrainPairs, 0, 0);
    let of_class: Vec<Vec<u32>> = (0..10)
        .map(|class| (0..dataset.len() as u32).filter(|&i| dataset.labels[i as usize] == class).collect())
        .collect();
    let mut drawn = |class: usize| of_class[class][random.below(of_class[class].len() as u32) as usize];
    (0..10 * count).map(|at| Pair { a: drawn(at % 10), b: drawn(at % 10), same: true }).collect()
}

#[test]
fn episodes_teach_which_image_belongs_to_which() {
    let dataset = glyphs::generate(&Glyphs { train_per_class: 60, ..Glyphs::default() }, 0);
    let loss = Loss::of(&Episodes).with("way", 10.0);
    let pairs = episodes(&dataset, 200);
    let mut cpu = learner("resnet-small", &dataset, loss, 40, pairs.len());
    let results = train(&mut cpu, &pairs, 1e-3);
    let hits = |steps: &[(f32, u32)]| steps.iter().map(|step| step.1).sum::<u32>() / steps.len() as u32;
    println!("{:?} to {:?}", results[0], results[results.len() - 1]);
    // One in ten would be chance.
    let (first, last) = (hits(&results[..1]), hits(&results[45..]));
    assert!(last > 30 && last > first, "{first} of 40 at first, {last} in the end");
    assert!(results[49].0 < 0.5 * results[0].0);
    // Distances tell pairs apart, though no pair was ever called different.
    let mut test = episodes(&dataset, 20);
    for at in (0..test.len()).step_by(2) {
        (test[at].b, test[at].same) = (test[at + 1].b, false);
    }
    let scores = block_on(eval::score(&mut cpu, &test)).unwrap();
    let threshold = eval::best_threshold(&test, &scores);
    let accuracy = eval::metrics(&test, &scores, cpu.plan().learnt(), threshold).accuracy;
    assert!(accuracy > 90.0, "{accuracy} %");
}

/// On images that are smaller than the paper's, but leave room for its four convolutions.
#[test]
fn koch_learns_a_few_pairs_by_heart() {
    let shape = Shape { channels: 1, height: 65, width: 65 };
    let mut random = Random::new(5, Stream::Weights, 0, 0);
    let images: Vec<u8> = (0..8 * shape.len()).map(|_| (random.word() >> 24) as u8).collect();
    let dataset =
        Dataset { shape, images, labels: (0..8).collect(), ..glyphs::generate(&Glyphs::default(), 0) };
    let pairs: Vec<Pair> =
        (0..4 * 12).map(|at| Pair { a: at % 4, b: 4 + at % 4, same: at % 2 == 0 }).collect();
    let mut cpu = learner("koch", &dataset, Loss::of(&CrossEntropy), 4, pairs.len());
    let results = train(&mut cpu, &pairs, 1e-3);
    println!("{results:?}");
    assert!(results[11].0 < 0.5 * results[0].0 && results[11].1 == 4, "{results:?}");
    let scores = block_on(eval::score(&mut cpu, &pairs[..4])).unwrap();
    for score in scores {
        // The distance is minus the logit of the similarity.
        let expected = 1.0 / (1.0 + f64::from(score.distance).exp());
        assert!((f64::from(score.similarity) - expected).abs() < 1e-6, "{score:?}");
    }
}
