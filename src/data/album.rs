//! The images that pairs name, each once: what has to be on a device to score them.

use std::collections::HashMap;

use super::pair_list::{ListedPair, Member};
use super::{DataError, Dataset, Pair, Shape, picture};

/// Images in the order in which pairs name them first.
#[derive(Clone, Debug)]
pub struct Album {
    pub shape: Shape,
    /// NCHW bytes, image after image.
    pub images: Vec<u8>,
    rows: HashMap<Member, u32>,
}

impl Album {
    pub fn new(shape: Shape) -> Self {
        Album { shape, images: Vec::new(), rows: HashMap::new() }
    }

    /// An album of such images, numbered from 0.
    pub fn of_images(shape: Shape, images: Vec<u8>) -> Self {
        let count = (images.len() / shape.len()) as u32;
        Album { shape, images, rows: (0..count).map(|row| (Member::Index(row), row)).collect() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Pairs of a data set, their images numbered as they stand here.
    ///
    /// # Errors
    /// A pair names an image that the set does not have.
    pub fn add_pairs(&mut self, dataset: &Dataset, pairs: &[Pair]) -> Result<Vec<Pair>, DataError> {
        let mut add = |position: usize, image: u32| {
            let labels = dataset.len();
            let beyond = DataError::NoSuchImage { position, image, labels };
            self.row(Member::Index(image), || dataset.image(image as usize).map(<[u8]>::to_vec).ok_or(beyond))
        };
        pairs
            .iter()
            .enumerate()
            .map(|(at, pair)| Ok(Pair { a: add(at, pair.a)?, b: add(at, pair.b)?, same: pair.same }))
            .collect()
    }

    /// Images of a data set; returns their numbers here.
    ///
    /// # Errors
    /// The set does not have one of them.
    pub fn add_images(&mut self, dataset: &Dataset, images: &[u32]) -> Result<Vec<u32>, DataError> {
        let add = |(position, &image): (usize, &u32)| {
            let beyond = DataError::NoSuchImage { position, image, labels: dataset.len() };
            self.row(Member::Index(image), || dataset.image(image as usize).map(<[u8]>::to_vec).ok_or(beyond))
        };
        images.iter().enumerate().map(add).collect()
    }

    /// Pairs of a user's list. Pairs that do not say whether they are the same come as different.
    ///
    /// # Errors
    /// A number that is no test image of `dataset`, or a picture that cannot be had.
    pub fn add_list(
        &mut self,
        list: &[ListedPair],
        dataset: Option<&Dataset>,
        invert: bool,
    ) -> Result<Vec<Pair>, DataError> {
        let shape = self.shape;
        let mut add = |line: u64, member: &Member| {
            self.row(member.clone(), || match member {
                Member::File(path) => picture::load(path, shape, invert),
                Member::Index(index) => dataset
                    .and_then(|set| set.image((*index as usize).checked_add(set.train_images)?))
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| DataError::NoTestImage {
                        line,
                        index: *index,
                        test_images: dataset.map_or(0, Dataset::test_images),
                    }),
            })
        };
        list.iter()
            .map(|pair| {
                let (a, b) = (add(pair.line, &pair.a)?, add(pair.line, &pair.b)?);
                Ok(Pair { a, b, same: pair.same.unwrap_or(false) })
            })
            .collect()
    }

    fn row(
        &mut self,
        member: Member,
        load: impl FnOnce() -> Result<Vec<u8>, DataError>,
    ) -> Result<u32, DataError> {
        if let Some(&row) = self.rows.get(&member) {
            return Ok(row);
        }
        let row = self.rows.len() as u32;
        self.images.extend(load()?);
        self.rows.insert(member, row);
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Glyphs, glyphs, pair_list};
    use std::path::Path;

    fn small() -> Dataset {
        glyphs::generate(&Glyphs { train_per_class: 3, test_per_class: 2, ..Glyphs::default() }, 1)
    }

    #[test]
    fn an_image_of_several_pairs_stands_once() {
        let set = small();
        let pairs = [(4, 9), (9, 4), (4, 4), (7, 9)].map(|(a, b)| Pair { a, b, same: true });
        let mut album = Album::new(set.shape);
        let numbered = album.add_pairs(&set, &pairs).unwrap();
        assert_eq!(numbered.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(0, 1), (1, 0), (0, 0), (2, 1)]);
        assert_eq!(album.len(), 3);
        assert_eq!(album.images[784..1568], *set.image(9).unwrap());
        assert!(album.add_pairs(&set, &[Pair { a: 50, b: 0, same: true }]).is_err());
    }

    #[test]
    fn numbers_of_a_list_count_from_the_first_test_image() {
        let set = small();
        let list = pair_list::parse(b"0,19", Path::new("list.csv")).unwrap();
        let mut album = Album::new(set.shape);
        album.add_list(&list, Some(&set), false).unwrap();
        assert_eq!(album.images[..784], *set.image(30).unwrap());
        assert_eq!(album.images[784..], *set.image(49).unwrap());
        let list = pair_list::parse(b"0,1\n0,20", Path::new("list.csv")).unwrap();
        let error = Album::new(set.shape).add_list(&list, Some(&set), false).unwrap_err();
        assert!(error.to_string().contains("line 2") && error.to_string().contains("0 to 19"), "{error}");
    }
}
