//! Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people; from folders or ZIP archives.
//!
//! Format: `images_background/<Alphabet>/characterNN/XXXX_YY.png`, 30 alphabets to learn from, and the same under
//! `images_evaluation`, 20 alphabets to test on. PNG files of 105x105, 0 = ink; here they are inverted, so that ink
//! is 255 and paper 0. Source: B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum, "Human-level concept learning
//! through probabilistic program induction" (2015).
//!
//! Archives are packed anew all over the web, so not they are checked but what they hold: names and ink.

mod files;
mod runs;
#[cfg(test)]
mod tests;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits};
use md5::{Digest, Md5};
use rayon::prelude::*;

use self::files::{Drawing, Files};
use super::{DataError, Dataset, Shape, search};

pub use runs::{OfficialRuns, OfficialTask, official_runs, parse_runs};

/// The name that users write.
pub const NAME: &str = "omniglot";
/// The name that people write.
pub const TITLE: &str = "Omniglot";
/// Size of a drawing.
pub const SHAPE: Shape = Shape { channels: 1, height: 105, width: 105 };

/// Most drawings that one archive or folder may have: five times the original's.
pub const LIMIT: usize = 100_000;

/// MD5 of the background set's and the evaluation set's characters, by [`Part::md5`].
const MD5: [&str; 2] = ["baf31c3cd5b6bf69ee54e70882269392", "79b6ba28951c1c11175de0f090ac104b"];

/// The drawings of one folder or archive, character by character.
#[derive(Debug)]
pub struct Part {
    /// Names, sorted.
    pub alphabets: Vec<String>,
    /// Alphabet of each character.
    pub alphabet_of: Vec<u32>,
    /// Characters, as `Greek/character01`, sorted.
    pub classes: Vec<String>,
    /// Character of each drawing.
    pub labels: Vec<u32>,
    /// [`SHAPE`] bytes a drawing, ink 255.
    pub images: Vec<u8>,
    /// MD5 of each drawing's character, a line, and the MD5 of its ink (eight pixels a byte), one after another.
    pub md5: String,
}

/// Loads the background set as training images and the evaluation set as test images, from the first of
/// DIR/omniglot, DIR/omniglot-py and DIR that has the background set: folders before archives.
///
/// Without the evaluation set there are no test images, which a warning tells; all else is the same.
///
/// # Errors
/// No place has the background set; an archive is damaged; a drawing is no PNG of 105x105; a character is missing.
pub fn load(dir: &Path) -> Result<Dataset, DataError> {
    let (background, evaluation) = find(dir)?;
    let mut all = part(&background, "images_background")?;
    let train_images = all.labels.len();
    let mut verified = all.md5 == MD5[0];
    let mut warnings = Vec::new();
    match evaluation {
        Some(path) => {
            let test = part(&path, "images_evaluation")?;
            verified &= test.md5 == MD5[1];
            all.append(test);
        }
        None => warnings.push(format!(
            "{} has no images_evaluation, so there are no test images",
            background.parent().unwrap_or(dir).display()
        )),
    }
    if !verified {
        warnings.push(format!(
            "{} holds other drawings than {TITLE}, or others besides; results will not compare with published ones",
            background.parent().unwrap_or(dir).display()
        ));
    }
    Ok(Dataset {
        name: NAME.to_owned(),
        title: if verified { TITLE.to_owned() } else { format!("{TITLE} (another copy)") },
        shape: SHAPE,
        images: all.images,
        labels: all.labels,
        classes: all.classes,
        alphabets: all.alphabets,
        alphabet_of: all.alphabet_of,
        train_images,
        warnings,
    })
}

/// Where the background set is, and beside it the evaluation set, if it is there.
///
/// # Errors
/// [`DataError::NotFound`], with all places that were searched.
pub fn find(dir: &Path) -> Result<(PathBuf, Option<PathBuf>), DataError> {
    let background = place(dir, "images_background")?;
    let beside = background.parent().unwrap_or(dir);
    let evaluation = search::first(beside, &names("images_evaluation"));
    Ok((background, evaluation))
}

/// The folder or archive of some name in the first place that has it.
fn place(dir: &Path, name: &str) -> Result<PathBuf, DataError> {
    let places = [dir.join(NAME), dir.join("omniglot-py"), dir.to_owned()];
    search::find(NAME, &places, &[names(name)]).map(|[path]| path)
}

fn names(name: &str) -> Vec<String> {
    // What ends in a stroke is a folder.
    vec![format!("{name}/"), format!("{name}.zip")]
}

/// The drawings in the bytes of an archive; `path` is for messages.
///
/// # Errors
/// As [`load`], of one archive.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Part, DataError> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    drawings(&Files::of_archive(path, bytes, &name)?)
}

fn part(path: &Path, name: &str) -> Result<Part, DataError> {
    if path.is_dir() {
        return drawings(&Files::of_folder(path)?);
    }
    let bytes = files::read_archive(path)?;
    drawings(&Files::of_archive(path, &bytes, name)?)
}

impl Part {
    /// Puts other alphabets, with their characters and drawings, behind these.
    fn append(&mut self, other: Part) {
        let (alphabets, classes) = (self.alphabets.len() as u32, self.classes.len() as u32);
        self.alphabets.extend(other.alphabets);
        self.alphabet_of.extend(other.alphabet_of.iter().map(|alphabet| alphabet + alphabets));
        self.classes.extend(other.classes);
        self.labels.extend(other.labels.iter().map(|label| label + classes));
        self.images.extend(other.images);
    }
}

fn drawings(files: &Files<'_>) -> Result<Part, DataError> {
    let (mut alphabets, mut alphabet_of, mut classes, mut labels) =
        (Vec::<String>::new(), Vec::new(), Vec::<String>::new(), Vec::new());
    let found = files.drawings()?;
    // Of the alphabet at hand.
    let mut characters = 0;
    let mut last = None;
    for Drawing { folders: [alphabet, character], .. } in &found {
        if alphabets.last() != Some(alphabet) {
            alphabets.push(alphabet.clone());
            characters = 0;
            last = None;
        }
        if last != Some(character) {
            characters += 1;
            if *character != format!("character{characters:02}") {
                let message = format!("here should be character{characters:02}, but next is {character}");
                return Err(DataError::Drawing { path: files.path.join(alphabet), message });
            }
            classes.push(format!("{alphabet}/{character}"));
            alphabet_of.push(alphabets.len() as u32 - 1);
            last = Some(character);
        }
        labels.push(classes.len() as u32 - 1);
    }
    let (images, ink) = decode_all(files, found.iter().map(|drawing| drawing.number).collect())?;
    let mut md5 = Md5::new();
    for (&label, ink) in labels.iter().zip(ink) {
        md5.update(&classes[label as usize]);
        md5.update("\n");
        md5.update(ink);
    }
    Ok(Part { alphabets, alphabet_of, classes, labels, images, md5: hex(&md5.finalize()) })
}

/// Reads drawings, in order: their bytes and the MD5 of each one's ink.
fn decode_all(files: &Files<'_>, numbers: Vec<usize>) -> Result<(Vec<u8>, Vec<[u8; 16]>), DataError> {
    let mut images = vec![0; numbers.len() * SHAPE.len()];
    let outcomes: Vec<Result<[u8; 16], DataError>> = images
        .par_chunks_exact_mut(SHAPE.len())
        .zip(&numbers)
        .map(|(image, &number)| {
            let file = files.read(number)?;
            decode(&file, image).map_err(|message| files.wrong(number, message))?;
            Ok(Md5::digest(ink(image)).into())
        })
        .collect();
    // Collected first, so that the first broken file is told, however many threads read.
    Ok((images, outcomes.into_iter().collect::<Result<_, _>>()?))
}

/// A drawing from the bytes of its file, inverted.
fn decode(file: &[u8], image: &mut [u8]) -> Result<(), String> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(1 << 20);
    let unreadable = |error: image::ImageError| format!("no PNG that can be read: {error}");
    let decoder = PngDecoder::with_limits(Cursor::new(file), limits).map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if (height as usize, width as usize) != (SHAPE.height, SHAPE.width) {
        return Err(format!("{width}x{height} pixels, not {}x{}", SHAPE.width, SHAPE.height));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?.into_luma8();
    image.iter_mut().zip(picture.as_raw()).for_each(|(ink, paper)| *ink = 255 - paper);
    Ok(())
}

/// Eight pixels a byte, the first one its highest bit; of the original no pixel is between ink and paper.
fn ink(image: &[u8]) -> Vec<u8> {
    image.chunks(8).map(|eight| eight.iter().fold(0, |bits, pixel| bits << 1 | pixel >> 7)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
