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

use super::{DataError, Dataset, Shape};

/// Largest height and width.
pub const SIZE_LIMIT: usize = 1024;
/// Most bytes of all images.
pub const LIMIT: u64 = 1 << 34;

/// A set with every image scaled to `size` x `size`, whatever its proportions.
///
/// # Errors
/// [`DataError::ImageSize`]
pub fn dataset(set: Dataset, size: usize) -> Result<Dataset, DataError> {
    let (shape, images) = resized(set.shape, &set.images, size)?;
    Ok(Dataset { shape, images, ..set })
}

/// Images scaled to `size` x `size`: their new shape, and their bytes one after another.
///
/// # Errors
/// [`DataError::ImageSize`]
pub fn resized(shape: Shape, images: &[u8], size: usize) -> Result<(Shape, Vec<u8>), DataError> {
    let new = Shape { channels: shape.channels, height: size, width: size };
    let count = images.len() / shape.len();
    let bytes = count as u64 * (new.channels * size.min(SIZE_LIMIT) * size.min(SIZE_LIMIT)) as u64;
    if size == 0 || size > SIZE_LIMIT || bytes > LIMIT {
        return Err(DataError::ImageSize { size, images: count });
    }
    if new == shape {
        return Ok((new, images.to_vec()));
    }
    let (rows, columns) = (covers(shape.height, size), covers(shape.width, size));
    let mut out = vec![0; count * new.len()];
    out.par_chunks_exact_mut(size * size)
        .zip(images.par_chunks_exact(shape.height * shape.width))
        .for_each(|(out, plane)| average(plane, shape.width, (&rows, &columns), out));
    Ok((new, out))
}

/// For a new pixel, the first old one that it covers and how much it covers of that and the following ones.
struct Cover {
    first: usize,
    weights: Vec<u64>,
}

fn covers(old: usize, new: usize) -> Vec<Cover> {
    (0..new)
        .map(|i| {
            let (start, end) = (i * old, (i + 1) * old);
            let weight = |y: usize| (end.min((y + 1) * new) - start.max(y * new)) as u64;
            let first = start / new;
            Cover { first, weights: (first..end.div_ceil(new)).map(weight).collect() }
        })
        .collect()
}

fn average(plane: &[u8], width: usize, (rows, columns): (&[Cover], &[Cover]), out: &mut [u8]) {
    let height = plane.len() / width;
    let area = (height * width) as u64;
    let mut sums = vec![0; width];
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
        sums.fill(0);
        for (weight, old) in row.weights.iter().zip(plane[row.first * width..].chunks_exact(width)) {
            sums.iter_mut().zip(old).for_each(|(sum, &old)| *sum += weight * u64::from(old));
        }
        for (column, out) in columns.iter().zip(out) {
            let sum: u64 =
                column.weights.iter().zip(&sums[column.first..]).map(|(weight, sum)| weight * sum).sum();
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
