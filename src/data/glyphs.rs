//! The built-in set: characters of invented alphabets, each drawn anew for every image.
//!
//! A character is a few strokes; a stroke is the quadratic spline of a few points. An image moves
//! these points a little, then the whole character (rotation, scale, shear, shift), and shades each
//! pixel by its distance to the nearest stroke. Bright ink on dark, like MNIST, and like there the
//! distance of raw pixels tells little about the class.
//!
//! Everything follows from the seed: only words of [`Random`] and + - * / sqrt, which round alike
//! everywhere, so the bytes are the same on every platform and with any number of threads. Hence
//! rotations are by (1 - t^2, 2t) / (1 + t^2), not by sine and cosine.

mod character;
mod geometry;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::character::{Character, alphabets};
use self::geometry::{plus, rotation, segments, square_distance, turned};
use super::{Dataset, Random, Shape, Stream};

/// The name that people write.
pub const TITLE: &str = "Glyphs";
/// The same, of the set of whole alphabets.
pub const ALPHABETS_TITLE: &str = "Glyph alphabets";

/// Height and width of an image, in pixels.
pub const SIZE: usize = 28;

/// How big a set to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// Number of alphabets, each with a style of its own.
    pub alphabets: usize,
    /// Characters in each alphabet; each character is a class.
    pub classes_per_alphabet: usize,
    /// Images of each class for training and validation.
    pub train_per_class: usize,
    /// Images of each class in the test set.
    pub test_per_class: usize,
}

impl Default for Glyphs {
    /// Ten classes, 12,000 + 2,000 images: a fifth of MNIST.
    fn default() -> Self {
        Self { alphabets: 1, classes_per_alphabet: 10, train_per_class: 1200, test_per_class: 200 }
    }
}

/// Makes the set that `seed` stands for: 1x28x28 bytes an image, 0 = paper, up to 255 = ink.
///
/// Classes are numbered alphabet by alphabet and named `alphabet1/character01`. Images come class by
/// class in turn (0, 1, 2, ..., 0, 1, 2, ...), so the beginning of the set is balanced too. An image
/// depends only on its character, its number within the class and the seed; more images for each
/// class leave the earlier ones as they are.
#[must_use]
pub fn generate(glyphs: &Glyphs, seed: u64) -> Dataset {
    let characters = alphabets(glyphs, seed);
    let classes = characters.len();
    let per_class = glyphs.train_per_class + glyphs.test_per_class;
    Dataset {
        name: super::Source::Glyphs.name().to_owned(),
        title: TITLE.to_owned(),
        shape: Shape { channels: 1, height: SIZE, width: SIZE },
        images: drawings(&characters, seed, per_class, |image| (image % classes, image / classes)),
        labels: (0..classes * per_class).map(|image| (image % classes) as u32).collect(),
        classes: (0..classes).map(|class| name(class, glyphs.classes_per_alphabet, 1)).collect(),
        // Characters of the test are those of training: alphabets part nothing.
        alphabets: Vec::new(),
        alphabet_of: Vec::new(),
        train_images: classes * glyphs.train_per_class,
        warnings: Vec::new(),
    }
}

/// How many alphabets to make, for one-shot learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlyphAlphabets {
    /// Alphabets to learn from.
    pub train: usize,
    /// Alphabets to test on, none of whose characters are learnt.
    pub test: usize,
    /// Characters in each alphabet; each character is a class.
    pub classes_per_alphabet: usize,
    /// Drawings of each character.
    pub drawings: usize,
}

impl Default for GlyphAlphabets {
    /// 2,880 + 960 images, parted and ordered as Omniglot's.
    fn default() -> Self {
        Self { train: 12, test: 4, classes_per_alphabet: 12, drawings: 20 }
    }
}

/// Makes alphabets as [`generate`] does, but with all drawings of a character one after another, and whole
/// alphabets for the test.
#[must_use]
pub fn generate_alphabets(set: &GlyphAlphabets, seed: u64) -> Dataset {
    let &GlyphAlphabets { train, test, classes_per_alphabet, drawings: each } = set;
    let glyphs =
        Glyphs { alphabets: train + test, classes_per_alphabet, train_per_class: each, test_per_class: 0 };
    let characters = alphabets(&glyphs, seed);
    let classes = characters.len();
    Dataset {
        name: super::Source::GlyphAlphabets.name().to_owned(),
        title: ALPHABETS_TITLE.to_owned(),
        shape: Shape { channels: 1, height: SIZE, width: SIZE },
        images: drawings(&characters, seed, each, |image| (image / each, image % each)),
        labels: (0..classes * each).map(|image| (image / each) as u32).collect(),
        // With leading zeros, so that sorted names stay in this order.
        classes: (0..classes).map(|class| name(class, classes_per_alphabet, 2)).collect(),
        alphabets: (1..=train + test).map(|alphabet| format!("alphabet{alphabet:02}")).collect(),
        alphabet_of: (0..classes).map(|class| (class / classes_per_alphabet) as u32).collect(),
        train_images: train * classes_per_alphabet * each,
        warnings: Vec::new(),
    }
}

fn name(class: usize, classes_per_alphabet: usize, digits: usize) -> String {
    let alphabet = class / classes_per_alphabet + 1;
    let character = class % classes_per_alphabet + 1;
    format!("alphabet{alphabet:0digits$}/character{character:02}")
}

/// So many images of each character; `place` has the class of an image and its number within the class.
fn drawings(
    characters: &[Character],
    seed: u64,
    each: usize,
    place: impl Fn(usize) -> (usize, usize) + Sync,
) -> Vec<u8> {
    let mut images = vec![0; characters.len() * each * SIZE * SIZE];
    images.par_chunks_exact_mut(SIZE * SIZE).enumerate().for_each(|(image, pixels)| {
        let (class, index) = place(image);
        let mut random = Random::new(seed, Stream::GlyphImages, class as u64, index as u64);
        draw(&characters[class], &mut random, pixels);
    });
    images
}

/// Draws a character anew into an image that is all 0.
fn draw(character: &Character, random: &mut Random, pixels: &mut [u8]) {
    // Half-angle tangents: 0.15 is 17 degrees.
    let turn = rotation(random.between(-0.15, 0.15));
    let scale = random.between(0.78, 1.18);
    let aspect = random.between(0.9, 1.1);
    let shear = random.between(-0.2, 0.2);
    let shift = [random.between(-3.0, 3.0), random.between(-3.0, 3.0)];
    let mut strokes = character.strokes.clone();
    for point in strokes.iter_mut().flat_map(|stroke| &mut stroke.points) {
        let [x, y] = plus(*point, [random.between(-1.9, 1.9), random.between(-1.9, 1.9)]);
        let [x, y] = [scale * aspect * (x + shear * y), scale / aspect * y];
        *point = plus(turned(turn, [x, y]), shift);
    }
    let half_width = character.width * random.between(0.7, 1.3) / 2.0;
    let ink = random.between(0.75, 1.0);

    // Beyond `reach` of a stroke a pixel is paper, so only pixels near a segment are looked at.
    let reach = half_width + 0.5;
    let mut nearest = [reach * reach; SIZE * SIZE];
    let middle = (SIZE as f32 - 1.0) / 2.0;
    for segment in segments(&strokes) {
        let [a, b] = segment;
        let from = |axis: usize| (a[axis].min(b[axis]) - reach + middle).max(0.0) as usize;
        let to = |axis: usize| (a[axis].max(b[axis]) + reach + middle + 1.0).max(0.0) as usize;
        for y in from(1)..to(1).min(SIZE) {
            for x in from(0)..to(0).min(SIZE) {
                let pixel = [x as f32 - middle, y as f32 - middle];
                let best = &mut nearest[y * SIZE + x];
                *best = best.min(square_distance(pixel, segment));
            }
        }
    }
    for (four, squares) in pixels.chunks_mut(4).zip(nearest.chunks(4)) {
        let grain = random.word().to_le_bytes();
        for ((pixel, square), grain) in four.iter_mut().zip(squares).zip(grain) {
            let covered = (reach - square.sqrt()).clamp(0.0, 1.0);
            let noise = (f32::from(grain) - 127.5) / 127.5 * 12.0;
            // A cast of a float to u8 is clamped.
            *pixel = (255.0 * ink * covered + noise + 0.5) as u8;
        }
    }
}
