//! Bytes of a data set to an image inside the page.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::data::{Dataset, Shape};

/// The image as a `data:` address of a PNG: grey, or colour where there are three planes (of other
/// numbers of planes the first). `None` beyond the last image.
pub fn data_uri(dataset: &Dataset, index: u32) -> Option<String> {
    uri(dataset.shape, dataset.image(index as usize)?)
}

/// The same of NCHW bytes.
pub fn uri(shape: Shape, planes: &[u8]) -> Option<String> {
    let png = encode(shape, planes)?;
    Some(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)))
}

/// A PNG of NCHW bytes; `None` for a size that PNG cannot hold.
fn encode(shape: Shape, planes: &[u8]) -> Option<Vec<u8>> {
    let pixels = shape.height * shape.width;
    let (colour, bytes): (_, Vec<u8>) = match shape.channels {
        3 => {
            let interleaved = |i: usize| [planes[i], planes[pixels + i], planes[2 * pixels + i]];
            (ExtendedColorType::Rgb8, (0..pixels).flat_map(interleaved).collect())
        }
        _ => (ExtendedColorType::L8, planes[..pixels].to_vec()),
    };
    let (width, height) = (u32::try_from(shape.width).ok()?, u32::try_from(shape.height).ok()?);
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(&bytes, width, height, colour).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ColorType, ImageFormat};

    fn decoded(file: &[u8]) -> (ColorType, Vec<u8>) {
        let image = image::load_from_memory_with_format(file, ImageFormat::Png).unwrap();
        (image.color(), image.into_bytes())
    }

    #[test]
    fn grey_stays_what_it_is() {
        let shape = Shape { channels: 1, height: 2, width: 3 };
        let bytes = [0, 10, 20, 30, 40, 255];
        let (colour, pixels) = decoded(&encode(shape, &bytes).unwrap());
        assert_eq!((colour, &pixels[..]), (ColorType::L8, &bytes[..]));
    }

    #[test]
    fn planes_become_pixels() {
        let shape = Shape { channels: 3, height: 1, width: 2 };
        let (colour, pixels) = decoded(&encode(shape, &[1, 2, 3, 4, 5, 6]).unwrap());
        assert_eq!((colour, &pixels[..]), (ColorType::Rgb8, &[1, 3, 5, 2, 4, 6][..]));
    }

    #[test]
    fn an_image_without_pixels_is_none() {
        assert_eq!(encode(Shape { channels: 1, height: 0, width: 0 }, &[]), None);
    }
}
