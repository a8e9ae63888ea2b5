//! The one preparation of pictures, for training and for use: stored with the weights, so that a picture given to a
//! network comes to it as its training images did.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::resize::Place;
use super::{Dataset, Shape, Source};

/// How an image comes to another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Its proportions kept, centred on black
    #[default]
    Contain,
    /// Stretched to the whole
    Stretch,
}

/// What a new pixel is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The mean of what it covers: see [`super::resize`].
    #[default]
    Area,
}

/// Whether a file's bright is bright to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Polarity {
    /// Pictures stay as they are
    #[default]
    AsIs,
    /// Dark ink on light paper becomes light ink on dark paper
    Inverted,
}

/// What is done to a picture besides what the size of the network's input says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    pub fit: Fit,
    pub filter: Filter,
    pub polarity: Polarity,
    /// What the training images look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl Preparation {
    /// That of images of a set, which has been brought to its size already.
    #[must_use]
    pub fn of(dataset: &Dataset, fit: Fit) -> Self {
        Preparation { seen: Seen::of(dataset), ..Self::of_files(&dataset.name, fit) }
    }

    /// That of the files of a set, by its name: what its loader does to them.
    fn of_files(dataset: &str, fit: Fit) -> Self {
        let polarity = dataset.parse().map_or(Polarity::AsIs, Source::polarity);
        Preparation { fit, polarity, ..Self::default() }
    }

    /// That of a run whose weights do not tell: it stretched what it scaled.
    #[must_use]
    pub fn untold(dataset: &str) -> Self {
        Self::of_files(dataset, Fit::Stretch)
    }
}

/// Brightness from 0 to 1, of all channels together: what an image stands on, and how much there is on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Mean of the outermost pixels.
    pub edge: f32,
    /// Standard deviation of all pixels.
    pub contrast: f32,
}

impl Look {
    /// Of what stands at a place of an image.
    #[must_use]
    pub fn of(image: &[u8], shape: Shape, place: Place) -> Self {
        let Place { top, left, height, width } = place;
        let (mut sum, mut squares, mut edge, mut edges) = (0u64, 0u64, 0u64, 0u64);
        for plane in image.chunks_exact(shape.height * shape.width) {
            for y in 0..height {
                let row = &plane[(top + y) * shape.width + left..][..width];
                for (x, &value) in row.iter().enumerate() {
                    let value = u64::from(value);
                    sum += value;
                    squares += value * value;
                    if y == 0 || x == 0 || y + 1 == height || x + 1 == width {
                        edge += value;
                        edges += 1;
                    }
                }
            }
        }
        let count = (shape.channels * height * width) as f64;
        let mean = sum as f64 / count;
        let variance = (squares as f64 / count - mean * mean).max(0.0);
        Look {
            edge: (edge as f64 / edges.max(1) as f64 / 255.0) as f32,
            contrast: (variance.sqrt() / 255.0) as f32,
        }
    }
}

/// The look of training images, all but the outermost hundredth of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Darkest and brightest edge.
    pub edges: [f32; 2],
    /// Least contrast.
    pub contrast: f32,
}

impl Seen {
    /// Of the images that a set has for training and validation; of none there is nothing to tell.
    #[must_use]
    pub fn of(dataset: &Dataset) -> Option<Self> {
        let shape = dataset.shape;
        let whole = Place { top: 0, left: 0, height: shape.height, width: shape.width };
        let images = dataset.images.par_chunks_exact(shape.len()).take(dataset.train_images);
        let (mut edges, mut contrasts): (Vec<f32>, Vec<f32>) =
            images.map(|image| Look::of(image, shape, whole)).map(|look| (look.edge, look.contrast)).unzip();
        edges.sort_unstable_by(f32::total_cmp);
        contrasts.sort_unstable_by(f32::total_cmp);
        let out = edges.len() / 100;
        let edges = [*edges.get(out)?, *edges.iter().rev().nth(out)?];
        Some(Seen { edges, contrast: *contrasts.get(out)? })
    }

    /// What is to be said of a picture that is unlike them: nothing but noise may come of it.
    #[must_use]
    pub fn unlike(&self, Look { edge, contrast }: Look) -> Vec<String> {
        let [darkest, brightest] = self.edges;
        let kind = |bright: bool| if bright { "bright" } else { "dark" };
        let mut said = Vec::new();
        // Where training images have edges of both kinds, either is like them.
        let bright = edge > 0.5;
        if (darkest > 0.5 && !bright) || (brightest < 0.5 && bright) {
            said.push(format!(
                "comes to the network on a {} ground (edges of {edge:.2}), and its training images stood on a {} one \
                 ({darkest:.2} to {brightest:.2}): the other --polarity may be right",
                kind(bright),
                kind(!bright)
            ));
        }
        if contrast < self.contrast / 2.0 {
            said.push(format!(
                "is flat, with a contrast of {contrast:.3} where training images have {:.3} and more: there may be \
                 nothing on it",
                self.contrast
            ));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Glyphs, glyphs};

    #[test]
    fn what_is_unlike_the_training_images_is_told() {
        let set =
            glyphs::generate(&Glyphs { train_per_class: 30, test_per_class: 1, ..Glyphs::default() }, 0);
        let seen = Seen::of(&set).unwrap();
        let whole = Place { top: 0, left: 0, height: 28, width: 28 };
        let said = |image: &[u8]| seen.unlike(Look::of(image, set.shape, whole)).join("; ");
        let of_set = (0..set.len()).filter(|&index| !said(set.image(index).unwrap()).is_empty()).count();
        assert!(of_set <= set.len() / 25, "{of_set} of {} are called unlike themselves", set.len());
        let negative: Vec<u8> = set.image(4).unwrap().iter().map(|value| 255 - value).collect();
        assert!(said(&negative).contains("--polarity") && !said(&negative).contains("flat"));
        assert!(said(&[3; 784]).contains("is flat") && !said(&[3; 784]).contains("--polarity"));
        // A frame around it is none of its edge.
        let mut framed = [0; 784];
        (7..21).for_each(|y| framed[28 * y..28 * (y + 1)].copy_from_slice(&negative[28 * y..28 * (y + 1)]));
        let middle = Place { top: 7, height: 14, ..whole };
        assert!(!seen.unlike(Look::of(&framed, set.shape, middle)).is_empty());
    }

    #[test]
    fn sets_with_both_kinds_of_edges_and_blank_images_ask_for_nothing() {
        let seen = Seen { edges: [0.1, 0.9], contrast: 0.0 };
        for edge in [0.0, 0.4, 1.0] {
            assert_eq!(seen.unlike(Look { edge, contrast: 0.0 }), Vec::<String>::new());
        }
        let look = |image: [u8; 4]| {
            let shape = Shape { channels: 1, height: 2, width: 2 };
            Look::of(&image, shape, Place { top: 0, left: 0, height: 2, width: 2 })
        };
        assert_eq!(look([0, 0, 255, 255]), Look { edge: 0.5, contrast: 0.5 });
    }

    #[test]
    fn weights_that_do_not_tell_are_prepared_for_as_they_were_trained() {
        let untold = Preparation::untold("omniglot");
        assert_eq!((untold.polarity, untold.fit, untold.seen), (Polarity::Inverted, Fit::Stretch, None));
        assert_eq!(Preparation::untold("mnist").polarity, Polarity::AsIs);
    }
}
