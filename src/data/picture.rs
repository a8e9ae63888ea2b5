//! Picture files of any common format and size, as a network takes images.
//!
//! What happens to a picture, in order:
//! 1. it is turned as its EXIF orientation says;
//! 2. transparent parts show the background: black, or white where it is to be inverted;
//! 3. it becomes grey (0.2126 R + 0.7152 G + 0.0722 B, as Rec. 709) or RGB, 8 bits, as the network's input;
//! 4. where asked for, it is inverted: dark ink on light paper becomes the light ink on dark paper of MNIST;
//! 5. unless it has the network's size, it is scaled to fit, its proportions kept, by averaging (a triangle
//!    filter as wide as the reduction), and centred on black.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};

use super::{DataError, Shape};

/// Most bytes of a picture file.
pub const FILE_LIMIT: u64 = 256 << 20;

/// Most bytes of a picture once it is unpacked: some 89 million RGB pixels.
pub const PIXEL_LIMIT: u64 = 256 << 20;

/// Reads a picture file.
///
/// # Errors
/// It cannot be read, is no picture or a damaged one, or is too big.
pub fn load(path: &Path, shape: Shape, invert: bool) -> Result<Vec<u8>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).map_err(unreadable)?)
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let problem = |message: String| DataError::Picture { path: path.to_owned(), message };
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(problem(format!("the file has more than {FILE_LIMIT} bytes")));
    }
    Ok(convert(decode(&bytes).map_err(problem)?, shape, invert))
}

/// A picture from the bytes of its file, turned upright.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode(file: &[u8]) -> Result<DynamicImage, String> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXEL_LIMIT);
    let mut reader =
        ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err("it is in no format that is known here".into());
    }
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() > PIXEL_LIMIT {
        return Err(format!("{width}x{height} pixels are more than the limit of {PIXEL_LIMIT} bytes"));
    }
    if width == 0 || height == 0 {
        return Err("it has no pixels".into());
    }
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// NCHW bytes of a picture.
pub fn convert(picture: DynamicImage, shape: Shape, invert: bool) -> Vec<u8> {
    let background = if invert { 255 } else { 0 };
    let opaque = if picture.color().has_alpha() { over(&picture, background) } else { picture };
    // Grey first: fewer values to scale.
    let mut converted = match shape.channels {
        1 => DynamicImage::ImageLuma8(opaque.into_luma8()),
        _ => DynamicImage::ImageRgb8(opaque.into_rgb8()),
    };
    if invert {
        converted.invert();
    }
    let (width, height) = (shape.width as u32, shape.height as u32);
    if (converted.width(), converted.height()) != (width, height) {
        converted = fitted(&converted, width, height);
    }
    let values = converted.as_bytes();
    (0..shape.channels)
        .flat_map(|channel| values.iter().skip(channel).step_by(shape.channels).copied())
        .collect()
}

/// A picture with transparency before a plain background.
fn over(picture: &DynamicImage, background: u8) -> DynamicImage {
    let picture = picture.to_rgba8();
    DynamicImage::ImageRgb8(RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        let mix = |value: u32| ((value * alpha + u32::from(background) * (255 - alpha) + 127) / 255) as u8;
        Rgb([mix(r), mix(g), mix(b)])
    }))
}

/// A picture scaled to fit a size, centred on black.
fn fitted(picture: &DynamicImage, width: u32, height: u32) -> DynamicImage {
    let scale =
        (f64::from(width) / f64::from(picture.width())).min(f64::from(height) / f64::from(picture.height()));
    let scaled = |size: u32, most: u32| ((f64::from(size) * scale).round() as u32).clamp(1, most);
    let (w, h) = (scaled(picture.width(), width), scaled(picture.height(), height));
    let small = picture.resize_exact(w, h, FilterType::Triangle);
    let mut canvas = DynamicImage::new(width, height, picture.color());
    imageops::replace(&mut canvas, &small, i64::from((width - w) / 2), i64::from((height - h) / 2));
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageFormat, Luma, LumaA, Rgba, RgbaImage};

    const GREY: Shape = Shape { channels: 1, height: 28, width: 28 };

    fn pattern() -> GrayImage {
        GrayImage::from_fn(28, 28, |x, y| Luma([(x * 9 + y * 7 % 31) as u8]))
    }

    fn file(picture: &DynamicImage, format: ImageFormat) -> tempfile::NamedTempFile {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes.into_inner()).unwrap();
        file
    }

    #[test]
    fn a_picture_of_the_right_size_stays_as_it_is() {
        let picture = DynamicImage::ImageLuma8(pattern());
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Pnm] {
            let file = file(&picture, format);
            assert_eq!(load(file.path(), GREY, false).unwrap(), pattern().into_raw(), "{format:?}");
        }
        let inverted: Vec<u8> = pattern().into_raw().iter().map(|value| 255 - value).collect();
        assert_eq!(convert(picture, GREY, true), inverted);
    }

    #[test]
    fn colours_become_planes() {
        let picture = RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8, y as u8, 7]));
        let planes = convert(picture.into(), Shape { channels: 3, height: 32, width: 32 }, false);
        assert_eq!((planes[5], planes[1024 + 32 * 9], planes[2048]), (5, 9, 7));
        let green = RgbImage::from_pixel(28, 28, Rgb([0, 200, 0]));
        assert_eq!(convert(green.into(), GREY, false)[0], (0.7152_f64 * 200.0) as u8);
    }

    #[test]
    fn what_is_transparent_is_background() {
        let clear = RgbaImage::from_pixel(28, 28, Rgba([90, 90, 90, 0]));
        // Background is 0 for the network either way.
        assert_eq!(convert(clear.clone().into(), GREY, false), [0; 784]);
        assert_eq!(convert(clear.into(), GREY, true), [0; 784]);
        let half = image::GrayAlphaImage::from_pixel(28, 28, LumaA([200, 128]));
        assert_eq!(convert(half.into(), GREY, false)[0], 100);
    }

    #[test]
    fn other_sizes_are_fitted_and_centred() {
        // Twice as wide as high: 28 x 14 in the middle.
        let wide = GrayImage::from_pixel(200, 100, Luma([120]));
        let image = convert(wide.into(), GREY, false);
        let rows: Vec<u8> = (0..28).map(|y| image[28 * y + 13]).collect();
        assert_eq!(rows[..7], [0; 7]);
        assert_eq!(rows[7..21], [120; 14]);
        assert_eq!(rows[21..], [0; 7]);
        // Whatever the proportions, something is left.
        let line = GrayImage::from_pixel(3000, 1, Luma([255]));
        assert_eq!(convert(line.into(), GREY, false).iter().filter(|&&value| value > 0).count(), 28);
        // Averaged, not picked: fine stripes become grey.
        let stripes = GrayImage::from_fn(280, 280, |x, _| Luma([255 * (x % 2) as u8]));
        assert!((120..136).contains(&convert(stripes.into(), GREY, false)[28 * 14 + 14]));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let png = file(&DynamicImage::ImageLuma8(pattern()), ImageFormat::Png);
        let bytes = std::fs::read(png.path()).unwrap();
        for keep in [0, 3, 30, bytes.len() / 2] {
            std::fs::write(png.path(), &bytes[..keep]).unwrap();
            let message = load(png.path(), GREY, false).unwrap_err().to_string();
            assert!(message.contains(&png.path().display().to_string()), "{message}");
        }
        // A header of a thousand bytes that declares 4 GB.
        let bomb = b"P5 65000 65000 255\n".to_vec();
        assert!(
            decode(&bomb).unwrap_err().contains("limit") || decode(&bomb).unwrap_err().contains("memory")
        );
    }
}
