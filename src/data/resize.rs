//! Images of another size, by averaging areas.
//!
//! A new pixel is the mean of the old ones that it covers, each weighted by how much of it is covered. All sums are
//! whole numbers, rounded once (halves up), so that every machine makes the same bytes.
//!
//! ```text
//! new[i, j] = sum over y, x of cover(i, y) * cover(j, x) * old[y, x] / (height * width)
//! ```
//!
//! where `cover(i, y)` is the length that [i * height, (i + 1) * height) and [y * size, (y + 1) * size) share.

use rayon::prelude::*;

use super::preparation::Fit;
use super::{DataError, Dataset, Shape};

/// Largest height and width.
pub const SIZE_LIMIT: usize = 1024;
/// Most bytes of all images.
pub const LIMIT: u64 = 1 << 34;

/// A set with every image fitted into (height, width).
///
/// # Errors
/// [`DataError::ImageSize`]
pub fn dataset(set: Dataset, size: (usize, usize), fit: Fit) -> Result<Dataset, DataError> {
    let (shape, images) = resized(set.shape, &set.images, size, fit)?;
    Ok(Dataset { shape, images, ..set })
}

/// Images fitted into (height, width): their new shape, and their bytes one after another.
///
/// # Errors
/// [`DataError::ImageSize`]
pub fn resized(
    shape: Shape,
    images: &[u8],
    (height, width): (usize, usize),
    fit: Fit,
) -> Result<(Shape, Vec<u8>), DataError> {
    let new = Shape { channels: shape.channels, height, width };
    let count = images.len() / shape.len();
    let largest = height.max(width);
    let bytes = count as u64 * (new.channels * height.min(SIZE_LIMIT) * width.min(SIZE_LIMIT)) as u64;
    if height.min(width) == 0 || largest > SIZE_LIMIT || bytes > LIMIT {
        return Err(DataError::ImageSize { size: largest, images: count });
    }
    if new == shape {
        return Ok((new, images.to_vec()));
    }
    let place = Place::of((shape.height, shape.width), (height, width), fit);
    let mut out = vec![0; count * new.len()];
    out.par_chunks_exact_mut(height * width)
        .zip(images.par_chunks_exact(shape.height * shape.width))
        .for_each(|(out, plane)| average(plane, (shape.height, shape.width), (0, 1), place, out, width));
    Ok((new, out))
}

/// Where an old image stands within a new one; what is beside it is black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Place {
    /// The place of an image of one (height, width) in another.
    pub fn of(old: (usize, usize), new: (usize, usize), fit: Fit) -> Self {
        let (height, width) = match fit {
            Fit::Stretch => new,
            Fit::Contain => {
                let scale = (new.0 as f64 / old.0 as f64).min(new.1 as f64 / old.1 as f64);
                let scaled =
                    |size: usize, most: usize| ((size as f64 * scale).round() as usize).clamp(1, most);
                (scaled(old.0, new.0), scaled(old.1, new.1))
            }
        };
        Place { top: (new.0 - height) / 2, left: (new.1 - width) / 2, height, width }
    }
}

/// What a new pixel covers of a line: of its first and last old pixel so much, and all of those between.
#[derive(Clone, Copy)]
struct Cover {
    first: usize,
    last: usize,
    of_first: u64,
    of_last: u64,
}

impl Cover {
    fn of(i: usize, old: usize, new: usize) -> Self {
        let (start, end) = (i * old, (i + 1) * old);
        let (first, last) = (start / new, (end - 1) / new);
        let of_first = end.min((first + 1) * new) - start;
        Cover { first, last, of_first: of_first as u64, of_last: (end - last * new) as u64 }
    }

    fn weight(self, place: usize, whole: usize) -> u64 {
        match place {
            _ if place == self.first => self.of_first,
            _ if place == self.last => self.of_last,
            _ => whole as u64,
        }
    }
}

/// Scales the plane whose value at (y, x) is `pixels[(y * width + x) * step + first]` into its place in `out`, whose
/// rows have `out_width` values. Needs no more memory than a few new rows, however long the old ones are.
pub(super) fn average(
    pixels: &[u8],
    (height, width): (usize, usize),
    (first, step): (usize, usize),
    place: Place,
    out: &mut [u8],
    out_width: usize,
) {
    let area = (height * width) as u64;
    let columns: Vec<Cover> = (0..place.width).map(|j| Cover::of(j, width, place.width)).collect();
    let mut sums = vec![0u64; place.width];
    for i in 0..place.height {
        sums.fill(0);
        let rows = Cover::of(i, height, place.height);
        for y in rows.first..=rows.last {
            let of_row = rows.weight(y, place.height);
            let row = &pixels[y * width * step..(y + 1) * width * step];
            let value = |x: usize| u64::from(row[x * step + first]);
            for (sum, cover) in sums.iter_mut().zip(&columns) {
                let mut covered = cover.of_first * value(cover.first);
                if cover.last > cover.first {
                    let between: u64 = (cover.first + 1..cover.last).map(value).sum();
                    covered += place.width as u64 * between + cover.of_last * value(cover.last);
                }
                *sum += of_row * covered;
            }
        }
        let start = (place.top + i) * out_width + place.left;
        for (out, sum) in out[start..start + place.width].iter_mut().zip(&sums) {
            // A weighted mean of bytes is a byte.
            *out = ((sum + area / 2) / area) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(height: usize, width: usize) -> Shape {
        Shape { channels: 1, height, width }
    }

    /// To `size` x `size`, whatever the proportions.
    fn resized(shape: Shape, images: &[u8], size: usize) -> Result<(Shape, Vec<u8>), DataError> {
        super::resized(shape, images, (size, size), Fit::Stretch)
    }

    #[test]
    fn pixels_are_means_of_what_they_cover() {
        // Whole pixels.
        let (shape, small) = resized(grey(2, 4), &[0, 10, 20, 30, 40, 50, 60, 71], 2).unwrap();
        assert_eq!((shape, &small[..]), (grey(2, 2), &[5, 25, 45, 66][..]));
        // A pixel and a half each way, a 9/4th of a pixel in all: (4 * 0 + 2 * 30 + 2 * 60 + 90) / 9 = 30.
        let nine = [0, 30, 60, 60, 90, 120, 120, 150, 180];
        assert_eq!(resized(grey(3, 3), &nine, 2).unwrap().1, [30, 70, 110, 150]);
        // Larger: pixels are repeated.
        assert_eq!(resized(grey(1, 1), &[7], 2).unwrap().1, [7; 4]);
        assert_eq!(resized(grey(1, 2), &[0, 200], 3).unwrap().1, [0, 100, 200, 0, 100, 200, 0, 100, 200]);
    }

    #[test]
    fn proportions_are_kept_or_not() {
        // Twice as wide as high: the rows in the middle.
        let contained = super::resized(grey(2, 4), &[8; 8], (4, 4), Fit::Contain).unwrap().1;
        assert_eq!(contained, [[0; 4], [8; 4], [8; 4], [0; 4]].concat());
        assert_eq!(resized(grey(2, 4), &[8; 8], 4).unwrap().1, [8; 16]);
        let high = super::resized(grey(3, 1), &[9, 60, 90], (3, 2), Fit::Contain).unwrap().1;
        assert_eq!(high, [9, 0, 60, 0, 90, 0]);
        // Square images fit either way.
        let square: Vec<u8> = (0..49).map(|at| (at * 37 % 251) as u8).collect();
        let [one, other] =
            [Fit::Contain, Fit::Stretch].map(|fit| super::resized(grey(7, 7), &square, (5, 5), fit).unwrap());
        assert_eq!(one, other);
    }

    #[test]
    fn planes_and_images_stay_apart() {
        let shape = Shape { channels: 3, height: 2, width: 2 };
        let images: Vec<u8> = (0..6).flat_map(|plane| [plane * 40; 4]).collect();
        assert_eq!(resized(shape, &images, 1).unwrap().1, [0, 40, 80, 120, 160, 200]);
    }

    #[test]
    fn sizes_without_reason_are_refused() {
        for size in [0, SIZE_LIMIT + 1, usize::MAX] {
            let error = resized(grey(1, 1), &[0], size).unwrap_err();
            assert!(error.to_string().contains("--image-size"), "{error}");
        }
        assert!(resized(grey(1, 1), &vec![0; 1 << 15], 1024).is_err(), "32 GB");
    }

    proptest! {
        #[test]
        fn the_mean_stays(
            height in 1usize..20, width in 1usize..20, size in 1usize..30, seed in any::<[u8; 32]>()
        ) {
            let image: Vec<u8> = (0..height * width).map(|at| seed[at % 32].wrapping_add(at as u8)).collect();
            let (_, small) = resized(grey(height, width), &image, size).unwrap();
            let mean = |pixels: &[u8]| pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len() as f64;
            // Each new pixel is rounded by half at most.
            prop_assert!((mean(&image) - mean(&small)).abs() <= 0.5 + 1e-9);
            let (low, high) = (image.iter().min(), image.iter().max());
            prop_assert!(small.iter().min() >= low && small.iter().max() <= high);
            prop_assert_eq!(resized(grey(height, width), &vec![255; height * width], size).unwrap().1, vec![255; size * size]);
        }
    }
}
