//! Whether a JPEG file is whole. Decoders that take what they get fill the rest of a picture with grey, without a word.
//!
//! Format: ITU-T T.81, annex B: markers of 0xff and a byte, most of them followed by a segment whose first two bytes
//! are its length; 0xff within compressed data is followed by 0, or by a restart marker.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// What a file's markers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markers {
    /// Its coefficients come in several passes, and are all held until the last one.
    pub progressive: bool,
    /// Its end marker is there.
    pub ends: bool,
}

impl Markers {
    /// Walks from marker to marker; those of a thumbnail lie within a segment.
    #[must_use]
    pub fn of(file: &[u8]) -> Self {
        let (mut at, mut found) = (2, Markers::default());
        while let Some(next) = file.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
            at += next + 1;
            match file.get(at) {
                // Any number of 0xff may stand before a marker.
                Some(0xff) | None => {}
                Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
                Some(0xd9) => return Markers { ends: true, ..found },
                Some(&marker) => {
                    found.progressive |= matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
                    let length =
                        file.get(at + 1..at + 3).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
                    at += 1 + usize::from(length);
                }
            }
        }
        found
    }
}

/// Whether the compressed data give every pixel.
#[must_use]
pub fn gives_all_pixels(file: &[u8]) -> bool {
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options.set_strict_mode(true));
    if decoder.decode_headers().is_err() {
        return false;
    }
    // Grey stays grey: three times as many bytes would tell no more.
    if decoder.input_colorspace() == Some(ColorSpace::Luma) {
        decoder.set_options(decoder.options().jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    decoder.decode().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_end() {
        let thumbnail = [0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 7, 7];
        let start = [
            &[0xff, 0xd8][..],
            &thumbnail,
            &[0xff, 0xff, 0xc2, 0, 2, 0xff, 0xda, 0, 2, 5, 0xff, 0, 0xff, 0xd3],
        ];
        let cut = Markers::of(&start.concat());
        assert_eq!(cut, Markers { progressive: true, ends: false });
        assert_eq!(
            Markers::of(&[&start.concat()[..], &[9, 0xff, 0xd9]].concat()),
            Markers { ends: true, ..cut }
        );
        let whole = start.concat();
        assert!((0..whole.len()).all(|length| !Markers::of(&whole[..length]).ends));
    }
}
