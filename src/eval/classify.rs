//! What a classifier makes of images.

use super::rounding::{equal, rounding};
use super::score::{embed, finite};
use crate::session::{Session, SessionError};

/// What a classifier's answers to many images are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    pub images: usize,
    /// Share of images whose class was named rightly, in percent.
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of the images that are of the most frequent class, in percent.
    pub most_frequent: f64,
    /// Share of the images with the first one's logits but for rounding, in percent.
    pub same: f64,
    /// Share of the images that are given the most frequent answer, in percent.
    pub one_class: f64,
}

/// Classifies images, whose classes `labels` has by image number; `None` where `go_on` answered false. It is
/// asked now and then, with the share of the work that is done.
///
/// # Errors
/// What the session reports.
pub async fn classify_watched(
    session: &mut dyn Session,
    images: &[u32],
    labels: &[u32],
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Classification>, SessionError> {
    let (capacity, classes) = (session.plan().options.capacity.embeddings, session.plan().features);
    let (mut correct, mut loss, mut same) = (0usize, 0.0, 0usize);
    let (mut given, mut of_class) = (vec![0usize; classes], vec![0usize; classes]);
    let mut first = Vec::new();
    let bound = rounding(classes);
    for (number, part) in images.chunks(capacity.max(1)).enumerate() {
        let done = (number * capacity) as f64;
        let mut go_on = |share: f64| go_on((done + share * part.len() as f64) / images.len() as f64);
        if !embed(session, part, &mut go_on).await? {
            return Ok(None);
        }
        let logits = session.read_front("embeddings", part.len() * classes).await?;
        finite("a logit", &logits)?;
        for (&image, logits) in part.iter().zip(logits.chunks_exact(classes)) {
            let (class, of_image) = answer(logits, labels[image as usize]);
            correct += usize::from(class == labels[image as usize]);
            loss += of_image;
            given[class as usize] += 1;
            of_class.get_mut(labels[image as usize] as usize).into_iter().for_each(|count| *count += 1);
            if first.is_empty() {
                first = logits.to_vec();
            }
            let mut both = logits.iter().zip(&first);
            same += usize::from(both.all(|(&a, &b)| equal(a.into(), b.into(), bound)));
        }
    }
    let count = images.len().max(1) as f64;
    let percent = |part: usize| 100.0 * part as f64 / count;
    Ok(Some(Classification {
        images: images.len(),
        accuracy: percent(correct),
        loss: loss / count,
        most_frequent: percent(of_class.into_iter().max().unwrap_or(0)),
        same: percent(same),
        one_class: percent(given.into_iter().max().unwrap_or(0)),
    }))
}

/// The first of the likeliest classes, and the cross-entropy.
fn answer(logits: &[f32], label: u32) -> (u32, f64) {
    let best =
        (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
    let beside = |logit: f32| f64::from(logit) - f64::from(logits[best]);
    let sum: f64 = logits.iter().map(|&logit| beside(logit).exp()).sum();
    // A label that is no class of the network's is never named rightly.
    let wanted = logits.get(label as usize).map_or(f64::INFINITY, |&logit| -beside(logit));
    (best as u32, sum.ln() + wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_logits_is_the_answer() {
        let (class, loss) = answer(&[1.0, 3.0, 3.0], 2);
        assert_eq!(class, 1);
        let wanted = (1f64.exp() + 2.0 * 3f64.exp()).ln() - 3.0;
        assert!((loss - wanted).abs() < 1e-15, "{loss}");
        // Logits that would overflow by themselves.
        assert_eq!(answer(&[-1e30, 1e30], 1), (1, 0.0));
        assert!(answer(&[f32::NAN, 1.0], 1).1.is_nan(), "a diverged network shows");
    }
}
