//! Distorted training images: an affine map for each, drawn here, read through on the device.
//!
//! A map leads from a pixel of the result to a place in the stored image. It is made of integers, and so is
//! everything that is done with it, so every adapter reads the same places and weighs the same bytes.

use std::fmt;
use std::str::FromStr;

use super::random::{Random, Stream, cosine_sine};
use crate::text::stands_as_text;

/// An affine map `[a, b, c, d, e, f]`, from offsets to the middle of the result to offsets to the middle of the
/// stored image: `(x, y)` to `(a x + b y + c, d x + e y + f)`. Of `a`, `b`, `d`, `e` 2^15 are 1, of `c` and `f`
/// 2^16 are a pixel; x points to the right, y down.
pub type Matrix = [i32; 6];

/// Leaves an image as it is.
pub const IDENTITY: Matrix = [1 << 15, 0, 0, 0, 1 << 15, 0];

/// What [`sample`] returns for a byte of 1.
pub const SAMPLE_ONE: u32 = 1 << 16;

/// What may happen to a training image, drawn anew for every image of every epoch.
///
/// Its text is a list such as `shift=2,rotate=10,flip`. The keys, each of which may be left out:
///
/// | key | drawn uniformly from |
/// | --- | --- |
/// | `shift=PIXELS` | -PIXELS to PIXELS, along each axis |
/// | `rotate=DEGREES` | -DEGREES to DEGREES |
/// | `shear=RADIANS` | -RADIANS to RADIANS |
/// | `zoom=LOW..HIGH` | LOW to HIGH, along each axis: distance of the places that neighbouring pixels are read from, so 2 halves the picture |
/// | `flip` | left and right changed over, or not |
/// | `probability=P` | no transform by itself: the chance of each of the first four to happen to an image, else 1 |
///
/// They are put together as Keras' `ImageDataGenerator` does: flip, zoom, shear, shift, then rotation,
/// around the middle of the image.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Augmentation {
    pub shift: f32,
    pub rotate: f32,
    pub shear: f32,
    pub zoom: [f32; 2],
    pub flip: bool,
    pub probability: f32,
}

impl Default for Augmentation {
    /// Nothing happens.
    fn default() -> Self {
        Augmentation { shift: 0.0, rotate: 0.0, shear: 0.0, zoom: [1.0; 2], flip: false, probability: 1.0 }
    }
}

impl Augmentation {
    /// The map of one image: a function of (seed, epoch, place in the epoch's list of images).
    #[must_use]
    pub fn matrix(&self, seed: u64, epoch: u64, index: u64) -> Matrix {
        let mut random = Random::new(seed, Stream::Augmentation, epoch, index);
        // What is drawn does not depend on what is asked for: a setting changes its own transform alone.
        let happens = |random: &mut Random| random.uniform() < self.probability;
        let within = |random: &mut Random, most: f32| f64::from(random.between(-most, most));
        let rotates = happens(&mut random);
        let angle = within(&mut random, self.rotate).to_radians();
        let shifts = happens(&mut random);
        let shift = [within(&mut random, self.shift), within(&mut random, self.shift)];
        let shears = happens(&mut random);
        let slant = within(&mut random, self.shear);
        let zooms = happens(&mut random);
        let zoom = [(); 2].map(|()| f64::from(random.between(self.zoom[0], self.zoom[1])));
        let flips = random.uniform() < 0.5 && self.flip;

        let [cos, sin] = if rotates { cosine_sine(angle) } else { [1.0, 0.0] };
        let [shift_x, shift_y] = if shifts { shift } else { [0.0; 2] };
        let [narrowed, slope] = if shears { cosine_sine(slant) } else { [1.0, 0.0] };
        let [zoom_x, zoom_y] = if zooms { zoom } else { [1.0; 2] };
        let zoom_x = if flips { -zoom_x } else { zoom_x };
        // As Keras shears: a column moves down by the sine, and the row shrinks by the cosine.
        let (xx, yx, yy) = (narrowed * zoom_x, -slope * zoom_x, zoom_y);
        let fixed = |value: f64, one: u32| (value * f64::from(1u32 << one)).round() as i32;
        [
            fixed(cos * xx - sin * yx, 15),
            fixed(-sin * yy, 15),
            fixed(cos * shift_x - sin * shift_y, 16),
            fixed(sin * xx + cos * yx, 15),
            fixed(cos * yy, 15),
            fixed(sin * shift_x + cos * shift_y, 16),
        ]
    }

    /// The maps of an epoch's `images` images, in the order of its list, as words for the device.
    #[must_use]
    pub fn matrices(&self, seed: u64, epoch: u64, images: usize) -> Vec<u32> {
        (0..images as u64).flat_map(|index| self.matrix(seed, epoch, index)).map(|word| word as u32).collect()
    }
}

/// [`SAMPLE_ONE`] times the value at column `x`, row `y` of the result, between the four `pixels` (column, row)
/// around the place it is read from; outside the image they are 0.
pub fn sample(
    [width, height]: [i32; 2],
    matrix: &Matrix,
    [x, y]: [i32; 2],
    pixels: impl Fn(i32, i32) -> u32,
) -> u32 {
    let [a, b, c, d, e, f] = *matrix;
    let (x, y) = (2 * x - (width - 1), 2 * y - (height - 1));
    // In units of 2^-16 pixels, then to the nearest 2^-8. A map that leads far out wraps, as on a device.
    let place = |a: i32, b: i32, c: i32, side: i32| {
        let exact = a.wrapping_mul(x).wrapping_add(b.wrapping_mul(y)).wrapping_add(c);
        exact.wrapping_add((side - 1) << 15).wrapping_add(128) >> 8
    };
    let (u, v) = (place(a, b, c, width), place(d, e, f, height));
    let pixel = |x: i32, y: i32| {
        if (0..width).contains(&x) && (0..height).contains(&y) { pixels(x, y) } else { 0 }
    };
    let (x, y, right, below) = (u >> 8, v >> 8, (u & 255) as u32, (v & 255) as u32);
    let row = |y: i32| (256 - right) * pixel(x, y) + right * pixel(x + 1, y);
    (256 - below) * row(y) + below * row(y + 1)
}

/// The bytes of an image as the network meets it, to the nearest byte.
#[must_use]
pub fn warped(shape: super::Shape, image: &[u8], matrix: &Matrix) -> Vec<u8> {
    let [width, height] = [shape.width, shape.height];
    let value = |at: usize| {
        let (plane, x, y) = (at / (width * height), at % width, at / width % height);
        let pixel = |x: i32, y: i32| u32::from(image[(plane * height + y as usize) * width + x as usize]);
        let sum = sample([width as i32, height as i32], matrix, [x as i32, y as i32], pixel);
        ((sum + SAMPLE_ONE / 2) / SAMPLE_ONE) as u8
    };
    (0..shape.len()).map(value).collect()
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Augmentation { shift, rotate, shear, zoom, flip, probability } = *self;
        let mut parts = Vec::new();
        for (key, value, nothing) in [
            ("shift", shift, 0.0),
            ("rotate", rotate, 0.0),
            ("shear", shear, 0.0),
            ("probability", probability, 1.0),
        ] {
            if value != nothing {
                parts.push(format!("{key}={value}"));
            }
        }
        if zoom != [1.0; 2] {
            parts.push(format!("zoom={}..{}", zoom[0], zoom[1]));
        }
        if flip {
            parts.push("flip".into());
        }
        f.write_str(&parts.join(","))
    }
}

stands_as_text!(Augmentation);

impl FromStr for Augmentation {
    type Err = String;

    /// # Errors
    /// Names the key that is unknown, named twice, or out of its range.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut augmentation = Augmentation::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = |text: &str, low: f32, high: f32| match text.parse::<f32>() {
                Ok(number) if (low..=high).contains(&number) => Ok(number),
                _ => Err(format!("{key} must be a number from {low} to {high}, not `{text}`")),
            };
            match key {
                "shift" => augmentation.shift = number(value, 0.0, 1024.0)?,
                "rotate" => augmentation.rotate = number(value, 0.0, 180.0)?,
                "shear" => augmentation.shear = number(value, 0.0, 1.0)?,
                "probability" => augmentation.probability = number(value, 0.0, 1.0)?,
                "zoom" => {
                    let Some((low, high)) = value.split_once("..") else {
                        return Err(format!(
                            "zoom must be two numbers, such as zoom=0.9..1.1, not `{value}`"
                        ));
                    };
                    let low = number(low, 0.25, 4.0)?;
                    augmentation.zoom = [low, number(high, low, 4.0)?];
                }
                "flip" if value.is_empty() && part == "flip" => augmentation.flip = true,
                "flip" => return Err("flip stands alone, without a value".into()),
                _ => {
                    return Err(format!(
                        "there is no `{part}`; there are shift=PIXELS, rotate=DEGREES, shear=RADIANS, \
                         zoom=LOW..HIGH, flip and probability=P, with commas between them"
                    ));
                }
            }
            if seen.contains(&key) {
                return Err(format!("{key} is named twice"));
            }
            seen.push(key);
        }
        let idle = Augmentation { probability: augmentation.probability, ..Augmentation::default() };
        if augmentation == idle || (augmentation.probability == 0.0 && !augmentation.flip) {
            return Err("nothing would happen to any image; leave --augment out".into());
        }
        Ok(augmentation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Shape;

    fn parsed(text: &str) -> Augmentation {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_is_read_and_written() {
        let all = "shift=2.5,rotate=10,shear=0.1,probability=0.5,zoom=0.9..1.1,flip";
        assert_eq!(parsed(all).to_string(), all);
        assert_eq!(
            parsed("flip,shift=2"),
            Augmentation { shift: 2.0, flip: true, ..Augmentation::default() }
        );
        // Koch's distortions of Omniglot.
        parsed("rotate=15,shear=0.3,zoom=0.8..2,shift=5,probability=0.5");
    }

    #[test]
    fn a_wrong_list_is_told_what_may_stand_there() {
        for (text, part) in [
            ("", "there is no ``"),
            ("turn=3", "there is no `turn=3`"),
            ("shift", "shift must be a number from 0 to 1024, not ``"),
            ("shift=-1", "shift must be"),
            ("rotate=NaN", "rotate must be"),
            ("zoom=2", "zoom=0.9..1.1"),
            ("zoom=2..1", "zoom must be a number from 2 to 4"),
            ("zoom=0..1", "zoom must be a number from 0.25 to 4"),
            ("flip=1", "stands alone"),
            ("shift=1,shift=2", "shift is named twice"),
            ("probability=0.5", "nothing would happen"),
            ("shift=0", "nothing would happen"),
            ("shift=2,probability=0", "nothing would happen"),
        ] {
            let error = text.parse::<Augmentation>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn maps_of_a_seed_stay_what_they_are() {
        let koch = parsed("rotate=15,shear=0.3,zoom=0.8..2,shift=5,probability=0.5");
        assert_eq!([koch.matrix(1, 2, 3), koch.matrix(1, 2, 4)], PINNED);
        assert_eq!(koch.matrices(1, 2, 5)[24..], koch.matrix(1, 2, 4).map(|word| word as u32));
    }

    #[test]
    fn the_identity_reads_each_pixel() {
        let shape = Shape { channels: 2, height: 3, width: 4 };
        let image: Vec<u8> = (0..24).map(|i| 10 * i + 7).collect();
        assert_eq!(warped(shape, &image, &IDENTITY), image);
        assert_eq!(parsed("shift=3,probability=0.0001").matrix(0, 1, 0), IDENTITY);
    }

    #[test]
    fn maps_do_what_their_names_say() {
        let shape = Shape { channels: 1, height: 3, width: 3 };
        let image = [10, 20, 30, 40, 50, 60, 70, 80, 90];
        let flipped = [-(1 << 15), 0, 0, 0, 1 << 15, 0];
        assert_eq!(warped(shape, &image, &flipped), [30, 20, 10, 60, 50, 40, 90, 80, 70]);
        // One pixel to the left, and half a pixel up: the result's pixels are read further right and below.
        let moved = [1 << 15, 0, 1 << 16, 0, 1 << 15, 1 << 15];
        assert_eq!(warped(shape, &image, &moved), [35, 45, 0, 65, 75, 0, 40, 45, 0]);
        let quarter = [0, -(1 << 15), 0, 1 << 15, 0, 0];
        assert_eq!(warped(shape, &image, &quarter), [30, 60, 90, 20, 50, 80, 10, 40, 70]);
        let halved = [1 << 16, 0, 0, 0, 1 << 16, 0];
        assert_eq!(warped(shape, &image, &halved), [0, 0, 0, 0, 50, 0, 0, 0, 0]);
    }

    #[test]
    fn each_transform_happens_with_its_probability_and_stays_in_its_range() {
        let draws = |text: &str| -> Vec<[f64; 6]> {
            let augmentation = parsed(text);
            let units = [15, 15, 16, 15, 15, 16].map(|bits| f64::from(1 << bits));
            let matrix = |index| augmentation.matrix(3, 1, index);
            (0..4000).map(|i| std::array::from_fn(|at| f64::from(matrix(i)[at]) / units[at])).collect()
        };
        let count = |draws: &[[f64; 6]], is: fn(&[f64; 6]) -> bool| draws.iter().filter(|m| is(m)).count();
        // 4,000 draws at one half: five deviations are 158.
        let half = 1842..2158;
        let moved = draws("shift=5,probability=0.5");
        assert!(half.contains(&count(&moved, |m| m[2] != 0.0)));
        assert!(moved.iter().all(|m| m[2].abs() <= 5.0 && m[5].abs() <= 5.0 && (m[0], m[4]) == (1.0, 1.0)));
        assert!(half.contains(&count(&draws("flip"), |m| m[0] < 0.0)));
        let zoomed = draws("zoom=0.8..2");
        assert!(zoomed.iter().all(|m| (0.799..2.001).contains(&m[0]) && (0.799..2.001).contains(&m[4])));
        assert!(count(&zoomed, |m| (m[0] - m[4]).abs() > 0.1) > 3000, "axes are drawn alike");
        let turned = draws("rotate=15");
        let (least, slope) = (15f64.to_radians().cos(), 15f64.to_radians().sin());
        assert!(turned.iter().all(|m| m[0] >= least - 1e-4 && m[3].abs() <= slope + 1e-4 && m[1] == -m[3]));
        assert!(turned.iter().any(|m| m[3] > 0.9 * slope) && turned.iter().any(|m| m[3] < -0.9 * slope));
        let sheared = draws("shear=0.3");
        assert!(sheared.iter().all(|m| m[1] == 0.0 && m[4] == 1.0 && m[3].abs() <= 0.296 && m[0] >= 0.955));
    }

    #[test]
    fn a_setting_changes_its_own_transform_alone() {
        let (one, two) = (parsed("shift=2"), parsed("shift=2,flip"));
        for index in 0..50 {
            let (one, two) = (one.matrix(5, 1, index), two.matrix(5, 1, index));
            assert_eq!((one[2], one[5], one[4]), (two[2], two[5], two[4]));
        }
    }

    const PINNED: [Matrix; 2] =
        [[32394, 0, 243033, 4936, 32768, 307581], [39662, 3281, -180503, 1462, 52815, -138578]];
}
