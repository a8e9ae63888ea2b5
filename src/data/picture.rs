//! Picture files of any common format and size, as a network takes images.
//!
//! What happens to a picture, in order:
//! 1. it is turned as its EXIF orientation says;
//! 2. transparent parts show the background: black, or white where it is to be inverted;
//! 3. it becomes grey (0.2126 R + 0.7152 G + 0.0722 B, as Rec. 709) or RGB, 8 bits, as the network's input;
//! 4. where the preparation says so, it is inverted: dark ink on light paper becomes the light ink on dark paper of MNIST;
//! 5. it comes to the network's size as the training images did, by averaging areas ([`super::resize`]).

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::jpeg::{self, Markers};
use super::preparation::{Look, Polarity, Preparation};
use super::resize::{Place, average};
use super::{DataError, Shape, format};

/// Most bytes of a picture file.
pub const FILE_LIMIT: u64 = 256 << 20;

/// Most bytes of a picture once it is unpacked: 80 million RGB pixels. Turning one takes as much again.
pub const PIXEL_LIMIT: u64 = 240_000_000;

/// Most pixels of a side: a decoder holds several rows.
pub const SIDE_LIMIT: u32 = 65_535;

/// Bytes by which formats are told.
const HEAD: u64 = 64;

/// Why a file gives no picture, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub message: String,
    pub remedy: &'static str,
}

const CONVERT: &str = "Use a PNG, JPEG, GIF, BMP, WebP, TIFF, PNM, TGA, ICO or QOI file";
const FETCH: &str = "Fetch it again, or save it anew";
const SCALE: &str = "Scale it down first";

impl Refused {
    fn new(message: impl Into<String>, remedy: &'static str) -> Self {
        Refused { message: message.into(), remedy }
    }
}

impl From<ImageError> for Refused {
    fn from(error: ImageError) -> Self {
        let remedy = match &error {
            ImageError::Limits(_) => SCALE,
            ImageError::Unsupported(_) => CONVERT,
            _ => FETCH,
        };
        Refused::new(error.to_string(), remedy)
    }
}

/// A picture as the network takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// NCHW bytes.
    pub image: Vec<u8>,
    pub look: Look,
}

/// Reads a picture file. Returns NCHW bytes, and what a user should know about the picture.
///
/// # Errors
/// It cannot be read, is no picture or a damaged one, or is too big.
pub fn load(
    path: &Path,
    shape: Shape,
    preparation: &Preparation,
) -> Result<(Vec<u8>, Vec<String>), DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
    let refused = |Refused { message, remedy }| DataError::Picture { path: path.to_owned(), message, remedy };
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut bytes = Vec::new();
    // Whatever is no picture need not be read to its end, should it have one.
    file.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(unreadable)?;
    format(&bytes).map_err(refused)?;
    file.take(FILE_LIMIT + 1 - bytes.len() as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(refused(Refused::new(format!("the file has more than {FILE_LIMIT} bytes"), SCALE)));
    }
    let (picture, damage) = decode(&bytes).map_err(refused)?;
    drop(bytes);
    let Prepared { image, look } = convert(picture, shape, preparation);
    let unlike = preparation.seen.map_or(Vec::new(), |seen| seen.unlike(look));
    Ok((image, damage.map(String::from).into_iter().chain(unlike).collect()))
}

/// A picture from the bytes of its file, turned upright, and what is to be said of it where the format lets a damaged
/// file pass.
///
/// # Errors
/// What is wrong with it.
pub fn decode(file: &[u8]) -> Result<(DynamicImage, Option<&'static str>), Refused> {
    let (mut format, mut file) = (format(file)?, Cow::Borrowed(file));
    if format == ImageFormat::Ico {
        (format, file) = icon(&file)?;
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(PIXEL_LIMIT);
    let mut reader = ImageReader::with_format(Cursor::new(&file[..]), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Refused::new("it has no pixels", FETCH));
    }
    if width.max(height) > SIDE_LIMIT {
        let message = format!("{width}x{height} pixels: no side may have more than {SIDE_LIMIT}");
        return Err(Refused::new(message, SCALE));
    }
    let jpeg = (format == ImageFormat::Jpeg).then(|| Markers::of(&file));
    // Coefficients of 16 bits and pixels of 8.
    let passes = if jpeg.is_some_and(|markers| markers.progressive) { 3 } else { 2 };
    let (needed, most) = (decoder.total_bytes(), 2 * PIXEL_LIMIT / passes);
    if needed > most {
        let message = format!("{width}x{height} pixels take {needed} bytes, more than the limit of {most}");
        return Err(Refused::new(message, SCALE));
    }
    let damage = match jpeg {
        Some(markers) if !jpeg::gives_all_pixels(&file) => {
            if !markers.ends {
                return Err(Refused::new("the JPEG file ends in the middle of its picture", FETCH));
            }
            Some("is a damaged JPEG file, part of whose picture may be grey or wrong: fetch it again")
        }
        Some(Markers { ends: false, .. }) => {
            Some("is a JPEG file without an end: its last rows may be missing; fetch it again")
        }
        _ => None,
    };
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok((picture, damage))
}

fn format(head: &[u8]) -> Result<ImageFormat, Refused> {
    format::of(head).map_err(|known| Refused::new(format!("it {known}"), CONVERT))
}

/// The largest picture of an icon file, of those the one with the most colours: a PNG file of its own, or the only one
/// that is left in the icon.
fn icon(file: &[u8]) -> Result<(ImageFormat, Cow<'static, [u8]>), Refused> {
    let damaged = || Refused::new("the directory of the icon is damaged", FETCH);
    let count = file.get(4..6).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
    let entries = file.get(6..).unwrap_or_default().chunks_exact(16).take(count);
    let size = |side: u8| if side == 0 { 256 } else { u32::from(side) };
    let rank = |entry: &&[u8]| (size(entry[0]) * size(entry[1]), u16::from_le_bytes([entry[6], entry[7]]));
    let entry = entries.max_by_key(rank).ok_or_else(damaged)?;
    let number =
        |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]) as usize;
    let (length, start) = (number(8), number(12));
    let content = start.checked_add(length).and_then(|end| file.get(start..end)).ok_or_else(damaged)?;
    if content.starts_with(b"\x89PNG") {
        return Ok((ImageFormat::Png, content.to_vec().into()));
    }
    let directory = [&[0, 0, 1, 0, 1, 0], &entry[..12], &22u32.to_le_bytes()].concat();
    Ok((ImageFormat::Ico, [&directory, content].concat().into()))
}

/// A picture as a network takes it.
pub fn convert(picture: DynamicImage, shape: Shape, preparation: &Preparation) -> Prepared {
    let invert = preparation.polarity == Polarity::Inverted;
    let opaque =
        if picture.color().has_alpha() { over(picture, if invert { 255 } else { 0 }) } else { picture };
    // Grey stays grey: of one value the channels are made as well as of three.
    let mut values = match shape.channels {
        3 if opaque.color().has_color() => DynamicImage::ImageRgb8(opaque.into_rgb8()),
        _ => DynamicImage::ImageLuma8(opaque.into_luma8()),
    };
    if invert {
        values.invert();
    }
    let size = (values.height() as usize, values.width() as usize);
    let step = usize::from(values.color().channel_count());
    let place = Place::of(size, (shape.height, shape.width), preparation.fit);
    let mut image = vec![0; shape.len()];
    for (channel, plane) in image.chunks_exact_mut(shape.height * shape.width).enumerate() {
        average(values.as_bytes(), size, (channel % step, step), place, plane, shape.width);
    }
    let look = Look::of(&image, shape, place);
    Prepared { image, look }
}

/// A picture with transparency before a plain background.
fn over(picture: DynamicImage, background: u8) -> DynamicImage {
    let mix = |value: &mut u8, alpha: u8| {
        let [old, share, behind] = [*value, alpha, background].map(u32::from);
        *value = ((old * share + behind * (255 - share) + 127) / 255) as u8;
    };
    if picture.color().has_color() {
        let mut picture = picture.into_rgba8();
        for pixel in picture.pixels_mut() {
            let [r, g, b, alpha] = &mut pixel.0;
            [r, g, b].into_iter().for_each(|value| mix(value, *alpha));
        }
        return picture.into();
    }
    let mut picture = picture.into_luma_alpha8();
    picture.pixels_mut().for_each(|pixel| {
        let [value, alpha] = &mut pixel.0;
        mix(value, *alpha);
    });
    picture.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::preparation::{Filter, Fit};
    use image::{GrayImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};

    const GREY: Shape = Shape { channels: 1, height: 28, width: 28 };

    fn pattern() -> GrayImage {
        GrayImage::from_fn(28, 28, |x, y| Luma([(x * 9 + y * 7 % 31) as u8]))
    }

    const AS_IS: Preparation =
        Preparation { fit: Fit::Contain, filter: Filter::Area, polarity: Polarity::AsIs, seen: None };

    fn load(path: &Path) -> Result<Vec<u8>, DataError> {
        super::load(path, GREY, &AS_IS).map(|(image, _)| image)
    }

    fn convert(picture: DynamicImage, shape: Shape, invert: bool) -> Vec<u8> {
        let polarity = if invert { Polarity::Inverted } else { Polarity::AsIs };
        super::convert(picture, shape, &Preparation { polarity, ..AS_IS }).image
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
        for format in
            [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Pnm, ImageFormat::Tga]
        {
            let file = file(&picture, format);
            assert_eq!(load(file.path()).unwrap(), pattern().into_raw(), "{format:?}");
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

    fn noise() -> RgbImage {
        RgbImage::from_fn(64, 48, |x, y| Rgb([1, 5, 11].map(|step| (x * x * step + y * y * 7 + x * y) as u8)))
    }

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn cut_pictures_are_refused_or_warned_of_in_every_format() {
        use ImageFormat::{Bmp, Gif, Ico, Jpeg, Png, Pnm, Qoi, Tga, Tiff, WebP};
        for format in [Png, Jpeg, Gif, Bmp, WebP, Tiff, Pnm, Tga, Ico, Qoi] {
            let file = encoded(&noise().into(), format);
            let (picture, damage) = decode(&file).unwrap_or_else(|refused| panic!("{format:?}: {refused:?}"));
            assert_eq!((picture.width(), picture.height(), damage), (64, 48, None), "{format:?}");
            for fifths in 1..5 {
                let refused = decode(&file[..file.len() * fifths / 5]).map(|(_, damage)| damage);
                assert!(refused.is_err(), "{format:?} cut to {fifths} fifths: {refused:?}");
            }
        }
        let grey = encoded(&DynamicImage::ImageLuma8(pattern()), Jpeg);
        assert_eq!(decode(&grey).unwrap().1, None);
        // Codes of ones alone are none, wherever they stand; and a file without its end marker.
        let whole = encoded(&noise().into(), Jpeg);
        let (mut broken, middle) = (whole.clone(), whole.len() / 2);
        broken[middle..middle + 8].copy_from_slice(&[0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
        for (file, words) in [(&broken[..], "damaged JPEG"), (&whole[..whole.len() - 2], "without an end")] {
            let damage = decode(file).unwrap().1;
            assert!(damage.is_some_and(|damage| damage.contains(words)), "{words}: {damage:?}");
        }
    }

    #[test]
    fn icons_hold_pictures_of_any_colours() {
        let entry = |side: u8, depth: u8, length: usize, start: usize| {
            let numbers = [length as u32, start as u32].map(u32::to_le_bytes);
            [&[side, side, 0, 0, 1, 0, depth, 0], &numbers[0][..], &numbers[1]].concat()
        };
        let picture = RgbImage::from_fn(4, 4, |x, y| Rgb([10 * x as u8, 20 * y as u8, 99]));
        let png = |picture: DynamicImage| encoded(&picture, ImageFormat::Png);
        // 24 bits, bottom row first, blue first, then a mask of four bytes a row.
        let header = [40, 4, 8, 1 | 24 << 16, 0, 0, 0, 0, 0, 0u32].map(u32::to_le_bytes).concat();
        let rows = (0..4).rev().flat_map(|y| (0..4).flat_map(move |x| [99, 20 * y as u8, 10 * x as u8]));
        let bitmap: Vec<u8> = header.into_iter().chain(rows).chain([0; 16]).collect();
        let grey = GrayImage::from_fn(4, 4, |x, _| Luma([60 * x as u8]));
        for (content, wanted) in [
            (png(picture.clone().into()), picture.clone()),
            (png(grey.clone().into()), DynamicImage::from(grey).to_rgb8()),
            (bitmap, picture.clone()),
        ] {
            // Before it a smaller one of more colours.
            let small = png(RgbaImage::new(2, 2).into());
            let directory =
                [entry(2, 32, small.len(), 38), entry(4, 24, content.len(), 38 + small.len())].concat();
            let icon = [&[0, 0, 1, 0, 2, 0][..], &directory, &small, &content].concat();
            assert_eq!(decode(&icon).unwrap().0.to_rgb8(), wanted);
            assert_eq!(decode(&icon[..icon.len() - 9]).unwrap_err().remedy, FETCH);
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let png = file(&DynamicImage::ImageLuma8(pattern()), ImageFormat::Png);
        let bytes = std::fs::read(png.path()).unwrap();
        for keep in [0, 3, 30, bytes.len() / 2] {
            std::fs::write(png.path(), &bytes[..keep]).unwrap();
            let message = load(png.path()).unwrap_err().to_string();
            assert!(message.contains(&png.path().display().to_string()), "{message}");
        }
        for (file, words, remedy) in [
            // A header of some bytes that declares 4 GB, and one of a line that is 200 million pixels long.
            (&b"P5 65000 65000 255\n"[..], "65000x65000 pixels take", SCALE),
            (b"P5 200000000 1 255\n", "no side may have more than 65535", SCALE),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "is an AVIF picture", CONVERT),
            (b"\0\0\0\x18ftypmif1\0\0\0\0avif", "is an AVIF picture", CONVERT),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture", CONVERT),
            (b"\xff\x0a\0", "is a JPEG XL picture", CONVERT),
            (b"<svg xmlns", "is an SVG drawing", CONVERT),
            (b"<!DOCTYPE html>", "is a web page", CONVERT),
            (&[0; 64], "is of no kind that is known here", CONVERT),
            (b"", "is empty", CONVERT),
        ] {
            let refused = decode(file).unwrap_err();
            assert!(refused.message.contains(words), "{refused:?}");
            assert_eq!(refused.remedy, remedy, "{refused:?}");
        }
        // A telephone's 108 million pixels, declared: height and width stand behind the marker of the frame.
        let mut large = encoded(&noise().into(), ImageFormat::Jpeg);
        let frame = large.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        large[frame + 5..frame + 9]
            .copy_from_slice(&[9000u16.to_be_bytes(), 12_000u16.to_be_bytes()].concat());
        let refused = decode(&large).unwrap_err();
        assert!(
            refused.message.starts_with("12000x9000 pixels take 324000000 bytes") && refused.remedy == SCALE
        );
    }
}
