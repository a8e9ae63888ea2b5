//! What a file is, by its first bytes.

use image::ImageFormat;

use super::content::looks_like;

/// The format of a picture that can be read.
///
/// # Errors
/// Completes "it ..." for any other file.
pub fn of(head: &[u8]) -> Result<ImageFormat, &'static str> {
    use ImageFormat::{Bmp, Gif, Ico, Jpeg, Png, Pnm, Qoi, Tga, Tiff, WebP};
    match image::guess_format(head) {
        Ok(format @ (Bmp | Gif | Ico | Jpeg | Png | Pnm | Qoi | Tiff | WebP)) => Ok(format),
        _ if is_tga(head) => Ok(Tga),
        _ => Err(of_another_format(head)),
    }
}

/// TGA files have no magic number: the fields of their header tell, the kind of picture and of its pixels.
fn is_tga(head: &[u8]) -> bool {
    let [_, map @ 0..=1, kind, _, _, map_first, map_second, ..] = *head else { return false };
    let Some(&[w0, w1, h0, h1, depth, flags]) = head.get(12..).and_then(|rest| rest.first_chunk()) else {
        return false;
    };
    let pixels = match kind {
        1 | 9 => map == 1 && depth == 8 && [map_first, map_second] != [0, 0],
        2 | 10 => [15, 16, 24, 32].contains(&depth),
        3 | 11 => map == 0 && [8, 16].contains(&depth),
        _ => false,
    };
    pixels && [w0, w1] != [0, 0] && [h0, h1] != [0, 0] && flags & 0xc0 == 0
}

/// Completes "it ..." for a file that is in none of the formats.
fn of_another_format(head: &[u8]) -> &'static str {
    let brands = head.get(8..).unwrap_or_default().chunks_exact(4);
    let of_brand = |known: &[&[u8]]| brands.clone().any(|brand| known.contains(&brand));
    let starts: [(&[u8], &str); 12] = [
        (b"\xff\x0a", "is a JPEG XL picture"),
        (b"\0\0\0\x0cJXL ", "is a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "is a JPEG 2000 picture"),
        (b"8BPS", "is a Photoshop file"),
        (b"%PDF", "is a PDF file"),
        (b"%!PS", "is a PostScript file"),
        (b"<svg", "is an SVG drawing"),
        (b"<?xml", "is an XML file, perhaps an SVG drawing"),
        (b"#?RADIANCE", "is a Radiance HDR picture"),
        (b"\x76\x2f\x31\x01", "is an OpenEXR picture"),
        (b"DDS ", "is a DDS texture"),
        (b"\x1f\x8b", "is a gzipped file"),
    ];
    match head {
        [] => "is empty",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if of_brand(&[b"avif", b"avis"]) => "is an AVIF picture",
        [_, _, _, _, b'f', b't', b'y', b'p', ..]
            if of_brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]) =>
        {
            "is a HEIC picture"
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "is a video",
        _ => match starts.iter().find(|(start, _)| head.starts_with(start)) {
            Some((_, name)) => name,
            None => looks_like(head.first_chunk().map_or(0, |four| u32::from_be_bytes(*four))),
        },
    }
}
