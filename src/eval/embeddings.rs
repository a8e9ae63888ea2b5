//! Where images lie: the vectors that the subnet makes of them.

use super::score::{embed, finite};
use crate::session::{Session, SessionError, find};

/// Vectors of equal length, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// Values of a vector.
    pub width: usize,
    pub values: Vec<f32>,
}

impl Embeddings {
    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }
}

/// Embeds images that the session holds, in order; `None` where `go_on` answered false. It is asked
/// now and then, with the share of the work that is done.
///
/// # Errors
/// What the session reports.
pub async fn embeddings(
    session: &mut dyn Session,
    images: &[u32],
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Result<Option<Embeddings>, SessionError> {
    let width = find(session.plan(), "embeddings")?.shape.iter().skip(1).product();
    let most = session.plan().options.capacity.embeddings.max(1);
    let mut values = Vec::with_capacity(images.len() * width);
    for (number, chunk) in images.chunks(most).enumerate() {
        let mut done = |share: f64| {
            go_on((number as f64 * most as f64 + share * chunk.len() as f64) / images.len() as f64)
        };
        if !embed(session, chunk, &mut done).await? {
            return Ok(None);
        }
        let rows = session.read_front("embeddings", chunk.len() * width).await?;
        finite("a value of an embedding", &rows)?;
        values.extend(rows);
    }
    Ok(Some(Embeddings { width, values }))
}
