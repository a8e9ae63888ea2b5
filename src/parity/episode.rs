//! Cases of the logits of episodes.

use super::case::{Case, Maker};
use crate::ops::Layout;
use crate::ops::episode::Episode;

pub fn cases(layout: Layout) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, pairs, features, way) in [
        ("one episode of two", 2, 3, 2),
        ("one pair to an episode", 3, 5, 1),
        ("odd", 21, 37, 7),
        ("several groups of images", 40, 64, 20),
        ("more features than a vector", 10, 131, 5),
    ] {
        let episode = Episode { pairs, features, way };
        let [rows, logits] = [2 * pairs, pairs].map(|rows| rows as usize);
        let (features, way) = (features as usize, way as usize);

        let mut maker = Maker::new(("episode", "forward"), name, layout);
        let x = embeddings(&mut maker, &episode);
        let y = maker.output_images("y", logits, way, false);
        maker.step(episode.forward(x, y));
        cases.push(maker.done());

        let mut maker = Maker::new(("episode", "backward"), name, layout);
        let x = embeddings(&mut maker, &episode);
        let dy = maker.images("dy", logits, way);
        let dx = maker.output_images("dx", rows, features, false);
        maker.step(episode.backward(x, dy, dx));
        cases.push(maker.done());
    }
    cases
}

/// The second pair is of one embedding.
fn embeddings(maker: &mut Maker, episode: &Episode) -> crate::ops::View {
    let (pairs, features) = (episode.pairs as usize, episode.features as usize);
    let mut values = maker.signed(2 * pairs * features);
    values.copy_within(features..2 * features, (pairs + 1) * features);
    maker.image_values("x", 2 * pairs, values)
}
