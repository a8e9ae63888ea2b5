//! Tests of the built-in set: the same bytes everywhere, distinct characters, no easy way out.

use super::character::{DISTINCT, Outline, Style, crowded, fit, invent};
use super::geometry::{Stroke, trace};
use super::*;

use crate::data::pairs;
use md5::{Digest, Md5};

/// The best share of `pairs` that one threshold on the Euclidean distance of raw pixels gets
/// right. The threshold is chosen on these very pairs, so this is what it can do at most.
fn raw_pixel_accuracy(set: &Dataset, pairs: &[pairs::Pair]) -> f64 {
    let mut distances: Vec<(u64, bool)> = pairs
        .iter()
        .map(|pair| {
            let image = |index: u32| set.image(index as usize).unwrap();
            let squares =
                image(pair.a).iter().zip(image(pair.b)).map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2));
            (squares.sum(), pair.same)
        })
        .collect();
    distances.sort_unstable();
    let mut right = distances.iter().filter(|(_, same)| !same).count();
    let mut best = right;
    for (_, same) in distances {
        if same {
            right += 1
        } else {
            right -= 1
        }
        best = best.max(right);
    }
    best as f64 / pairs.len() as f64
}

#[test]
fn raw_pixels_do_not_tell_the_classes_apart() {
    for seed in 0..4 {
        let set = generate(&Glyphs::default(), seed);
        let split = crate::data::split(&set, seed);
        let pairs = pairs::test(&set.labels, &split, seed).unwrap();
        let accuracy = raw_pixel_accuracy(&set, &pairs);
        println!("seed {seed}: best threshold on raw pixels: {:.2} %", 100.0 * accuracy);
        // Above one half, or the images had nothing to do with their labels.
        assert!((0.55..0.75).contains(&accuracy), "seed {seed}: {accuracy}");
    }
}

const SMALL: Glyphs = Glyphs { alphabets: 2, classes_per_alphabet: 3, train_per_class: 4, test_per_class: 2 };

#[test]
fn images_of_a_seed_stay_what_they_are() {
    let hash = Md5::digest(generate(&SMALL, 7).images);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "1af879060478ad382e58682a659cc108");
}

#[test]
fn the_set_is_complete_balanced_and_named() {
    let set = generate(&SMALL, 7);
    assert_eq!((set.len(), set.train_images, set.test_images()), (36, 24, 12));
    assert_eq!(set.images.len(), 36 * SIZE * SIZE);
    assert_eq!(set.shape.len(), SIZE * SIZE);
    assert!(set.labels.iter().enumerate().all(|(i, &label)| label as usize == i % 6));
    assert_eq!(set.classes.len(), 6);
    assert_eq!(set.classes[0], "alphabet1/character01");
    assert_eq!(set.classes[5], "alphabet2/character03");
    assert!(set.warnings.is_empty());
    let mut images: Vec<&[u8]> = set.images.chunks(SIZE * SIZE).collect();
    images.sort_unstable();
    images.dedup();
    assert_eq!(images.len(), 36, "two images are the same");
}

#[test]
fn the_seed_and_nothing_else_decides() {
    let set = generate(&SMALL, 7);
    assert_ne!(set.images, generate(&SMALL, 8).images);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| generate(&SMALL, 7)), set, "{threads} threads");
    }
    // More images leave the earlier ones as they are.
    let more = generate(&Glyphs { train_per_class: 9, ..SMALL }, 7);
    assert_eq!(more.images[..set.images.len()], set.images);
}

#[test]
fn ink_is_visible_bright_on_dark_and_rarely_cut_off() {
    let set = generate(&Glyphs { train_per_class: 100, ..Glyphs::default() }, 3);
    let mut border = 0;
    for image in set.images.chunks(SIZE * SIZE) {
        let bright = image.iter().filter(|&&pixel| pixel > 128).count();
        assert!((12..400).contains(&bright), "{bright} bright pixels");
        assert!(image.iter().any(|&pixel| pixel > 170), "faint");
        border += image
            .iter()
            .enumerate()
            .filter(|&(i, &pixel)| {
                let edge = |x| x == 0 || x == SIZE - 1;
                pixel > 128 && (edge(i % SIZE) || edge(i / SIZE))
            })
            .count();
    }
    let cut = border as f64 / set.len() as f64;
    assert!(cut < 2.0, "{cut} bright border pixels an image");
}

#[test]
fn characters_are_distinct_and_fill_their_box() {
    for seed in 0..20 {
        let characters = alphabets(&Glyphs { alphabets: 2, ..Glyphs::default() }, seed);
        let outlines: Vec<Outline> = characters.iter().map(Outline::of).collect();
        for (i, outline) in outlines.iter().enumerate() {
            assert!(outline.near(outline, 0.6));
            assert!(!outlines[..i].iter().any(|other| outline.near(other, DISTINCT)));
            let character = &characters[i];
            assert!((2..=4).contains(&character.strokes.len()));
            assert!(!crowded(character));
            assert!(trace(&character.strokes).iter().flatten().all(|x| x.abs() < 8.6));
        }
    }
}

#[test]
fn where_there_is_no_room_a_likeness_is_accepted() {
    // Everything that will be proposed for a while is already taken.
    let style = Style::of(0, 0);
    let taken: Vec<Outline> = (0..400)
        .filter_map(|attempt| {
            let mut character = style.propose(&mut Random::new(0, Stream::Glyphs, 0, attempt));
            fit(&mut character).then(|| Outline::of(&character))
        })
        .collect();
    let (_, outline) = invent(&style, &taken, 0, 0);
    assert!(taken.iter().any(|other| outline.near(other, DISTINCT)));
}

#[test]
fn hundreds_of_classes_can_be_made() {
    let glyphs = Glyphs { alphabets: 10, classes_per_alphabet: 20, train_per_class: 1, test_per_class: 1 };
    assert_eq!(generate(&glyphs, 0).classes.len(), 200);
    // And none at all is no reason to fail.
    assert!(generate(&Glyphs { classes_per_alphabet: 0, ..glyphs }, 0).is_empty());
}

#[test]
fn geometry_is_right() {
    assert_eq!(square_distance([0.0, 3.0], [[-1.0, 0.0], [1.0, 0.0]]), 9.0);
    assert_eq!(square_distance([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]]), 25.0);
    assert_eq!(square_distance([3.0, 4.0], [[0.0, 0.0], [0.0, 0.0]]), 25.0);
    let [cos, sin] = rotation(0.15);
    assert!((sin.atan2(cos) - 2.0 * 0.15f32.atan()).abs() < 1e-6);
    assert_eq!(turned([0.0, 1.0], [2.0, 0.0]), [0.0, 2.0]);
    // A closed stroke ends where it began; an open one runs from its first point to its last.
    let corners = vec![[-4.0, -4.0], [4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]];
    for (closed, first, last) in [(true, [-4.0, 0.0], [-4.0, 0.0]), (false, corners[0], corners[3])] {
        let pieces = segments(&[Stroke { points: corners.clone(), closed }]);
        assert_eq!((pieces[0][0], pieces[pieces.len() - 1][1]), (first, last));
        assert!(pieces.windows(2).all(|pair| pair[0][1] == pair[1][0]), "a gap");
    }
    let line = trace(&[Stroke { points: vec![[0.0, 0.0], [0.0, 5.5]], closed: false }]);
    assert_eq!(line.len(), 6);
}

#[test]
fn alphabets_of_the_test_are_others_than_those_of_training() {
    let set = generate_alphabets(&GlyphAlphabets::default(), 1);
    assert_eq!((set.len(), set.train_images, set.classes.len(), set.alphabets.len()), (3840, 2880, 192, 16));
    assert_eq!(
        (set.classes[143].as_str(), set.classes[144].as_str()),
        ("alphabet12/character12", "alphabet13/character01")
    );
    for (image, &label) in set.labels.iter().enumerate() {
        assert_eq!(label as usize, image / 20);
        let alphabet = set.alphabet_of[label as usize];
        assert_eq!(image < set.train_images, alphabet < 12);
        assert!(set.classes[label as usize].starts_with(&set.alphabets[alphabet as usize]));
    }
    // The same characters and drawings as in any set of these alphabets.
    let glyphs = Glyphs { alphabets: 16, classes_per_alphabet: 12, train_per_class: 2, test_per_class: 0 };
    let plain = generate(&glyphs, 1);
    assert_eq!(set.image(20 * 170 + 1), plain.image(192 + 170));
    assert_ne!(set.image(20 * 170 + 1), set.image(20 * 170));
    assert_ne!(set, generate_alphabets(&GlyphAlphabets::default(), 2));
}
