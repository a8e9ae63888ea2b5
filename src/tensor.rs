//! Sizes of images.

use std::fmt;
use std::str::FromStr;

/// Size of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Planes, one after another: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows, in pixels.
    pub height: usize,
    /// Columns, in pixels.
    pub width: usize,
}

impl Shape {
    /// Bytes (and values) in one image.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // No image is empty: loaders refuse it.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

impl FromStr for Shape {
    type Err = String;

    /// # Errors
    /// The text is not channels, height and width with an `x` between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Vec<Option<usize>> =
            text.split('x').map(|size| size.parse().ok().filter(|size| *size > 0)).collect();
        match sizes[..] {
            [Some(channels), Some(height), Some(width)] => Ok(Shape { channels, height, width }),
            _ => Err("must be channels, height and width, such as 1x28x28".into()),
        }
    }
}
