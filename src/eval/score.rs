//! Distances and similarities of pairs, from a session that holds images and weights.

use std::collections::HashMap;

use crate::data::Pair;
use crate::plan::{Phase, Slot};
use crate::session::{Session, SessionError, StepResult, pace};

/// What the network says of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub distance: f32,
    /// In (0, 1); above the threshold, one half unless another was chosen, the images are called the same.
    pub similarity: f32,
}

/// Scores pairs, in order.
///
/// # Errors
/// What the session reports.
pub async fn score(session: &mut dyn Session, pairs: &[Pair]) -> Result<Vec<Score>, SessionError> {
    Ok(score_watched(session, pairs, &mut |_| true).await?.unwrap_or_default())
}

/// Scores pairs, in order; `None` where `go_on` answered false. It is asked now and then, with the
/// share of the work that is done.
///
/// An image that stands in several pairs is embedded once, as long as the plan's table of embeddings
/// holds all images of a stretch of pairs.
///
/// # Errors
/// What the session reports.
pub async fn score_watched(
    session: &mut dyn Session,
    pairs: &[Pair],
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Vec<Score>>, SessionError> {
    let capacity = session.plan().options.capacity;
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
            return Err(SessionError::Length { name: "embeddings".into(), expected: 2, found });
        }
        let mut done = |share: f64| go_on((scores.len() as f64 + share * count as f64) / pairs.len() as f64);
        if !embed(session, &images, &mut done).await? {
            return Ok(None);
        }
        session.write_words("score.index", &index)?;
        let batch = session.plan().score_batch;
        pace::run(session, Phase::Score, &batches(count, batch), &mut |_, _| true, &mut || {}).await?;
        let distances = session.read_front("distances", count).await?;
        let plan = session.plan();
        let loss = plan.options.loss;
        let similarities = if plan.has_head {
            session.read_front("similarities", count).await?
        } else {
            distances.iter().map(|&distance| loss.similarity(distance)).collect()
        };
        finite("a distance", &distances)?;
        finite("a similarity", &similarities)?;
        let pair = |(distance, similarity)| Score { distance, similarity };
        scores.extend(distances.into_iter().zip(similarities).map(pair));
        rest = &rest[count..];
    }
    Ok(Some(scores))
}

/// Refuses numbers on which no figure may rest.
pub(super) fn finite(what: &'static str, values: &[f32]) -> Result<(), SessionError> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(&value) => Err(SessionError::NotFinite { what, value }),
        None => Ok(()),
    }
}

/// Embeds images into the first rows of `embeddings`, in order. Returns whether all of them are.
pub(super) async fn embed(
    session: &mut dyn Session,
    images: &[u32],
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<bool, SessionError> {
    session.write_words("embed.index", images)?;
    let slots = batches(images.len(), session.plan().embed_batch);
    let mut all = go_on(0.0);
    if all {
        let mut after = |_: &[StepResult], done: usize| {
            all = done == slots.len() || (all && go_on(done as f64 / slots.len() as f64));
            all
        };
        pace::run(session, Phase::Embed, &slots, &mut after, &mut || {}).await?;
    }
    Ok(all)
}

/// Slots that cover `count` entries of a list; the last one may be short.
fn batches(count: usize, batch: usize) -> Vec<Slot> {
    (0..count)
        .step_by(batch)
        .map(|first| Slot { first: first as u32, count: batch.min(count - first) as u32, ..Slot::default() })
        .collect()
}
