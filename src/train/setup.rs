//! Brings data, pairs and weights onto an executor.

use crate::data::random::{Random, Stream};
use crate::data::{Dataset, Pair, Shape};
use crate::graph::Initializer;
use crate::loss::Episodes;
use crate::ops::gather::words;
use crate::plan::Plan;
use crate::session::{Session, SessionError};

/// Uploads a data set's images.
///
/// # Errors
/// What the executor reports.
pub fn upload_images(executor: &mut dyn Session, dataset: &Dataset) -> Result<(), SessionError> {
    upload_bytes(executor, dataset.shape, &dataset.images)
}

/// Scale and shift of an image that `bytes / 255` times the one plus the other is standardized: `x / std(x) - mean(x)`
/// with the population's deviation. An image of one colour keeps its scale.
pub fn statistics(image: &[u8]) -> [f32; 2] {
    let mean_of = |values: &dyn Fn(f64) -> f64| {
        image.iter().map(|&byte| values(f64::from(byte) / 255.0)).sum::<f64>() / image.len() as f64
    };
    let mean = mean_of(&|x| x);
    let deviation = mean_of(&|x| (x - mean) * (x - mean)).sqrt();
    let alike = image.iter().all(|byte| *byte == image[0]);
    [if alike { 1.0 } else { 1.0 / deviation }, -mean].map(|value| value as f32)
}

/// Uploads images' bytes, four to a word, into the plan's windows, and where it asks for them their statistics.
///
/// # Errors
/// What the executor reports.
pub fn upload_bytes(executor: &mut dyn Session, shape: Shape, images: &[u8]) -> Result<(), SessionError> {
    let pixels = shape.len();
    if executor.plan().options.standardize {
        let known: Vec<f32> = images.chunks_exact(pixels).flat_map(statistics).collect();
        executor.write(Plan::STATISTICS, &known)?;
    }
    let mut images = images.chunks_exact(pixels);
    for number in 0.. {
        let name = format!("data.{number}");
        let Some(tensor) = executor.plan().tensor(&name) else { break };
        let mut packed = Vec::with_capacity(tensor.view.len);
        for image in images.by_ref().take(tensor.shape[0]) {
            let (whole, rest) = image.as_chunks::<4>();
            packed.extend(whole.iter().map(|&bytes| u32::from_le_bytes(bytes)));
            if !rest.is_empty() {
                let mut word = [0; 4];
                word[..rest.len()].copy_from_slice(rest);
                packed.push(u32::from_le_bytes(word));
            }
        }
        debug_assert_eq!(packed.len() % words(pixels), 0);
        executor.write_words(&name, &packed)?;
    }
    Ok(())
}

/// Uploads the training pairs of an epoch. Where the loss is one of episodes, what is known of a pair is its place in
/// its own.
///
/// # Errors
/// What the executor reports.
pub fn upload_pairs(executor: &mut dyn Session, pairs: &[Pair]) -> Result<(), SessionError> {
    let index: Vec<u32> = pairs.iter().flat_map(|pair| [pair.a, pair.b]).collect();
    let loss = executor.plan().options.loss;
    let same: Vec<u32> = match loss.name() {
        "episodes" => (0..pairs.len()).map(|at| (at % Episodes::way(&loss)) as u32).collect(),
        _ => pairs.iter().map(|pair| u32::from(pair.same)).collect(),
    };
    executor.write_words("pairs.index", &index)?;
    executor.write_words("pairs.same", &same)
}

/// Initial values of every parameter and of the running state, by name, from the seed.
pub fn initial_values(plan: &Plan, seed: u64) -> Vec<(String, Vec<f32>)> {
    plan.parameters
        .iter()
        .enumerate()
        .map(|(number, parameter)| {
            let mut random = Random::new(seed, Stream::Weights, 0, number as u64);
            let values = match parameter.initializer {
                Initializer::Uniform { bound } => {
                    (0..parameter.len()).map(|_| random.between(-bound, bound)).collect()
                }
                Initializer::Normal { mean, deviation } => {
                    (0..parameter.len()).map(|_| mean + deviation * random.normal()).collect()
                }
                Initializer::Constant(value) => vec![value; parameter.len()],
            };
            (parameter.name.clone(), values)
        })
        .collect()
}

/// Writes tensors by name.
///
/// # Errors
/// What the executor reports.
pub fn write_all(executor: &mut dyn Session, values: &[(String, Vec<f32>)]) -> Result<(), SessionError> {
    values.iter().try_for_each(|(name, values)| executor.write(name, values))
}

/// Reads parameters and running state, and with `moments` the optimizer's too.
///
/// # Errors
/// What the executor reports.
pub async fn read_all(
    executor: &mut dyn Session,
    moments: bool,
) -> Result<Vec<(String, Vec<f32>)>, SessionError> {
    let mut tensors = Vec::new();
    for name in executor.plan().saved(moments) {
        let values = executor.read(&name).await?;
        tensors.push((name, values));
    }
    Ok(tensors)
}
