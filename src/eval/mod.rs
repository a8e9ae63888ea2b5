//! What a trained network is worth: distances and similarities of pairs, and what follows from them.

use std::collections::HashMap;

use crate::data::Pair;
use crate::executor::{Executor, ExecutorError};
use crate::ops::contrastive::Convention;
use crate::plan::{Phase, Slot};

/// What the network says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub distance: f32,
    /// In (0, 1); above 0.5 the images are called the same.
    pub similarity: f32,
}

/// What it says of many pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairMetrics {
    pub pairs: usize,
    /// Share of pairs with `(similarity > 0.5) == same`, in percent.
    pub accuracy: f64,
    /// Mean loss.
    pub loss: f64,
}

/// Scores pairs, in order. An image that stands in several pairs is embedded once, as long as the
/// plan's table of embeddings holds all images of a stretch of pairs.
///
/// # Errors
/// What the executor reports.
pub fn score(executor: &mut dyn Executor, pairs: &[Pair]) -> Result<Vec<Score>, ExecutorError> {
    let capacity = executor.plan().options.capacity;
    let mut scores = Vec::with_capacity(pairs.len());
    let mut rest = pairs;
    while !rest.is_empty() {
        let mut rows: HashMap<u32, u32> = HashMap::new();
        let mut images = Vec::new();
        let mut index = Vec::new();
        for pair in rest.iter().take(capacity.scores) {
            let new = [pair.a, pair.b].iter().filter(|image| !rows.contains_key(image)).count();
            if images.len() + new > capacity.embeddings {
                break;
            }
            for image in [pair.a, pair.b] {
                let row = *rows.entry(image).or_insert_with(|| {
                    images.push(image);
                    images.len() as u32 - 1
                });
                index.push(row);
            }
        }
        let count = index.len() / 2;
        if count == 0 {
            let found = capacity.embeddings.min(capacity.scores);
            return Err(ExecutorError::Length { name: "embeddings".into(), expected: 2, found });
        }
        embed(executor, &images)?;
        executor.write_words("score.index", &index)?;
        let batch = executor.plan().score_batch;
        executor.run(Phase::Score, &batches(count, batch), &mut |_| true)?;
        let distances = executor.read_front("distances", count)?;
        let plan = executor.plan();
        let (has_head, margin) = (plan.has_head, plan.options.margin);
        let similarities = if has_head {
            executor.read_front("similarities", count)?
        } else {
            distances.iter().map(|&d| without_head(d, margin)).collect()
        };
        let pair = |(distance, similarity)| Score { distance, similarity };
        scores.extend(distances.into_iter().zip(similarities).map(pair));
        rest = &rest[count..];
    }
    Ok(scores)
}

/// Embeds images into the first rows of `embeddings`, in order.
fn embed(executor: &mut dyn Executor, images: &[u32]) -> Result<(), ExecutorError> {
    executor.write_words("embed.index", images)?;
    let batch = executor.plan().embed_batch;
    executor.run(Phase::Embed, &batches(images.len(), batch), &mut |_| true)
}

/// Slots that cover `count` entries of a list; the last one may be short.
fn batches(count: usize, batch: usize) -> Vec<Slot> {
    (0..count)
        .step_by(batch)
        .map(|first| Slot { first: first as u32, count: batch.min(count - first) as u32, ..Slot::default() })
        .collect()
}

/// A similarity for networks whose loss sees the distance itself: `2^(-2 d / margin)`, which falls
/// from 1 and passes one half at half the margin, where that loss tells pairs apart.
fn without_head(distance: f32, margin: f32) -> f32 {
    (-2.0 * distance / margin).exp2()
}

/// Accuracy and loss of scored pairs.
pub fn metrics(pairs: &[Pair], scores: &[Score], convention: Convention, margin: f32) -> PairMetrics {
    let mut hits = 0usize;
    let mut loss = 0.0;
    for (pair, score) in pairs.iter().zip(scores) {
        hits += usize::from((score.similarity > 0.5) == pair.same);
        let value = match convention {
            Convention::Similarity => score.similarity,
            Convention::Distance => score.distance,
        };
        loss += convention.loss(f64::from(value), f64::from(margin), pair.same);
    }
    let count = pairs.len().max(1) as f64;
    PairMetrics { pairs: pairs.len(), accuracy: 100.0 * hits as f64 / count, loss: loss / count }
}
