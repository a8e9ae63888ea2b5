//! Turned copies of the training images, as classes of their own: four times as many characters to learn.
//!
//! Source: A. Santoro et al., "Meta-Learning with Memory-Augmented Neural Networks" (2016), section 4.1.

use std::collections::BTreeMap;

use super::{DataError, Dataset, Split};

/// Adds the images of `split.train`, turned clockwise by 90, 180 and 270 degrees, to the data set, behind all its
/// images, and to `split.train`. Classes and alphabets of theirs stand behind the others, as in
/// `Greek, turned 90/character01`.
///
/// # Errors
/// [`DataError::NotSquare`]
pub fn add(dataset: &mut Dataset, split: &mut Split) -> Result<(), DataError> {
    let shape = dataset.shape;
    if shape.height != shape.width {
        return Err(DataError::NotSquare { shape });
    }
    let mut originals = split.train.clone();
    originals.sort_unstable();
    for (turns, degrees) in [(1, 90), (2, 180), (3, 270)] {
        let (mut class_of, mut alphabet_of) = (BTreeMap::new(), BTreeMap::new());
        for &original in &originals {
            let class = dataset.labels[original as usize];
            let turned = *class_of
                .entry(class)
                .or_insert_with(|| turned_class(dataset, class as usize, degrees, &mut alphabet_of));
            split.train.push(dataset.labels.len() as u32);
            dataset.labels.push(turned);
            let start = original as usize * shape.len();
            for plane in 0..shape.channels {
                let size = shape.height;
                let first = start + plane * size * size;
                for at in 0..size * size {
                    let (y, x) = (at / size, at % size);
                    let (y, x) = match turns {
                        1 => (size - 1 - x, y),
                        2 => (size - 1 - y, size - 1 - x),
                        _ => (x, size - 1 - y),
                    };
                    dataset.images.push(dataset.images[first + y * size + x]);
                }
            }
        }
    }
    Ok(())
}

/// Adds the class of the turned copies of another, and its alphabet where it is the first of it.
fn turned_class(
    dataset: &mut Dataset,
    class: usize,
    degrees: u32,
    alphabets: &mut BTreeMap<u32, u32>,
) -> u32 {
    let name = &dataset.classes[class];
    let turned = match dataset.alphabet_of.get(class).copied() {
        Some(alphabet) => {
            let own = dataset.alphabets[alphabet as usize].clone();
            let turned = format!("{own}, turned {degrees}");
            let name = name.strip_prefix(own.as_str()).unwrap_or(name);
            let name = format!("{turned}{name}");
            let place = *alphabets.entry(alphabet).or_insert_with(|| {
                dataset.alphabets.push(turned);
                dataset.alphabets.len() as u32 - 1
            });
            dataset.alphabet_of.push(place);
            name
        }
        None => format!("{name}, turned {degrees}"),
    };
    dataset.classes.push(turned);
    dataset.classes.len() as u32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{GlyphAlphabets, Shape, SplitBy, glyphs, split_by};

    #[test]
    fn turned_images_are_classes_of_turned_alphabets() {
        let small = GlyphAlphabets { train: 5, test: 1, classes_per_alphabet: 2, drawings: 3 };
        let before = glyphs::generate_alphabets(&small, 4);
        let (mut set, mut split) =
            (before.clone(), split_by(&before, SplitBy::Alphabets, crate::data::split::SHARE, 4).unwrap());
        let parts = split.clone();
        add(&mut set, &mut split).unwrap();
        assert_eq!((split.validation, split.test), (parts.validation, parts.test));
        // Four alphabets of two characters train: 24 images.
        assert_eq!((set.len(), split.train.len()), (36 + 3 * 24, 4 * 24));
        assert_eq!(
            (set.classes.len(), set.alphabet_of.len(), set.alphabets.len()),
            (12 + 24, 12 + 24, 6 + 12)
        );
        assert_eq!(set.images[..before.images.len()], before.images);
        assert_eq!(split.train[24..], (36..108).collect::<Vec<u32>>());
        let mut originals = parts.train.clone();
        originals.sort_unstable();
        for (number, &image) in split.train[24..].iter().enumerate() {
            let original = originals[number % 24];
            let degrees = 90 * (number / 24 + 1);
            let (old, new) = (set.labels[original as usize] as usize, set.labels[image as usize] as usize);
            let alphabet = |class: usize| set.alphabets[set.alphabet_of[class] as usize].as_str();
            let turned = format!("{}, turned {degrees}", alphabet(old));
            assert_eq!(alphabet(new), turned);
            assert_eq!(set.classes[new], set.classes[old].replace(alphabet(old), &turned));
        }
    }

    #[test]
    fn pixels_turn_clockwise() {
        let mut set = Dataset {
            name: "one".into(),
            title: "One".into(),
            shape: Shape { channels: 2, height: 2, width: 2 },
            images: vec![1, 2, 3, 4, 5, 6, 7, 8],
            labels: vec![0],
            classes: vec!["a".into()],
            alphabets: Vec::new(),
            alphabet_of: Vec::new(),
            train_images: 1,
            warnings: Vec::new(),
        };
        let mut split = Split { train: vec![0], validation: vec![], test: vec![] };
        add(&mut set, &mut split).unwrap();
        assert_eq!(set.image(1), Some(&[3, 1, 4, 2, 7, 5, 8, 6][..]));
        assert_eq!(set.image(2), Some(&[4, 3, 2, 1, 8, 7, 6, 5][..]));
        assert_eq!(set.image(3), Some(&[2, 4, 1, 3, 6, 8, 5, 7][..]));
        assert_eq!((set.labels, set.classes[3].as_str()), (vec![0, 1, 2, 3], "a, turned 270"));
        assert!(set.alphabets.is_empty() && set.alphabet_of.is_empty());
    }

    #[test]
    fn images_that_are_not_square_cannot_be_turned() {
        let mut set = glyphs::generate(&crate::data::Glyphs::default(), 0);
        set.shape = Shape { channels: 1, height: 14, width: 56 };
        let error =
            add(&mut set, &mut Split { train: vec![], validation: vec![], test: vec![] }).unwrap_err();
        assert!(
            error.to_string().contains("1x14x56") && error.to_string().contains("--image-size"),
            "{error}"
        );
    }
}
