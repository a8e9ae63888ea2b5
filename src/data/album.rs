//! The images that pairs name, each once: what has to be on a device to score them.

use std::collections::HashMap;
use std::path::Path;

use super::pair_list::{ListedPair, Member, Skips};
use super::{DataError, Dataset, Pair, Preparation, Shape, picture};

/// Images in the order in which pairs name them first.
#[derive(Clone, Debug)]
pub struct Album {
    pub shape: Shape,
    /// NCHW bytes, image after image.
    pub images: Vec<u8>,
    /// What a user should know about picture files, a sentence each.
    pub warnings: Vec<String>,
    /// Of picture files.
    preparation: Preparation,
    rows: HashMap<Member, u32>,
}

impl Album {
    pub fn new(shape: Shape) -> Self {
        Self::prepared(shape, Preparation::default())
    }

    /// An album whose picture files are prepared so.
    pub fn prepared(shape: Shape, preparation: Preparation) -> Self {
        Album { shape, images: Vec::new(), warnings: Vec::new(), preparation, rows: HashMap::new() }
    }

    /// An album of such images, numbered from 0.
    pub fn of_images(shape: Shape, images: Vec<u8>) -> Self {
        let count = (images.len() / shape.len()) as u32;
        let rows = (0..count).map(|row| (Member::Index(row), row)).collect();
        Album { images, rows, ..Self::new(shape) }
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

    /// A picture file; returns its number here.
    ///
    /// # Errors
    /// The picture cannot be had.
    pub fn add_picture(&mut self, path: &Path) -> Result<u32, DataError> {
        let (shape, preparation) = (self.shape, self.preparation);
        let mut warnings = Vec::new();
        let row = self.row(Member::File(path.to_owned()), || {
            let image;
            (image, warnings) = picture::load(path, shape, &preparation)?;
            Ok(image)
        })?;
        self.warnings.extend(warnings.iter().map(|warning| format!("{} {warning}", path.display())));
        Ok(row)
    }

    /// Pairs of a user's list, which stands at `path`. Pairs that do not say whether they are the same come as
    /// different; those that are skipped are taken out of the list.
    ///
    /// # Errors
    /// A number that is no test image of `dataset`, or a picture that cannot be had, and none may be skipped any more.
    pub fn add_list(
        &mut self,
        list: &mut Vec<ListedPair>,
        path: &Path,
        dataset: Option<&Dataset>,
        skips: &mut Skips,
    ) -> Result<Vec<Pair>, DataError> {
        let (mut pairs, mut failed) = (Vec::with_capacity(list.len()), None);
        list.retain(|pair| {
            if failed.is_some() {
                return false;
            }
            let mut member = |member| self.listed(member, dataset);
            let outcome = member(&pair.a).and_then(|a| Ok((a, member(&pair.b)?)));
            match outcome {
                Ok((a, b)) => pairs.push(Pair { a, b, same: pair.same.unwrap_or(false) }),
                Err(source) => {
                    let (path, source) = (path.to_owned(), Box::new(source));
                    failed = skips.skip(DataError::Listed { path, line: pair.line, source }).err();
                    return false;
                }
            }
            true
        });
        failed.map_or(Ok(pairs), Err)
    }

    fn listed(&mut self, member: &Member, dataset: Option<&Dataset>) -> Result<u32, DataError> {
        let index = match member {
            Member::File(path) => return self.add_picture(path),
            Member::Index(index) => *index,
        };
        let image = dataset.and_then(|set| set.image((index as usize).checked_add(set.train_images)?));
        let test_images = dataset.map_or(0, Dataset::test_images);
        self.row(member.clone(), || {
            image.map(<[u8]>::to_vec).ok_or(DataError::NoTestImage { index, test_images })
        })
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
        let mut album = Album::new(set.shape);
        let add = |album: &mut Album, text: &[u8], allowed| {
            let (path, mut skips) = (Path::new("list.csv"), Skips { allowed, ..Skips::default() });
            let mut list = pair_list::parse(text, path, &mut skips).unwrap();
            album.add_list(&mut list, path, Some(&set), &mut skips).map(|pairs| (pairs.len(), list.len()))
        };
        assert_eq!(add(&mut album, b"0,19", 0).unwrap(), (1, 1));
        assert_eq!(album.images[..784], *set.image(30).unwrap());
        assert_eq!(album.images[784..], *set.image(49).unwrap());
        let error = add(&mut Album::new(set.shape), b"0,1\n0,20\n1,nothing.png\n", 0).unwrap_err();
        assert!(
            error.to_string().contains("list.csv, line 2") && error.to_string().contains("0 to 19"),
            "{error}"
        );
        let error = add(&mut Album::new(set.shape), b"0,1\n0,20\n1,nothing.png\n", 1).unwrap_err();
        assert!(error.to_string().starts_with("list.csv, line 3: nothing.png: cannot read"), "{error}");
        assert_eq!(add(&mut album, b"0,1\n0,20\n1,nothing.png\n", 2).unwrap(), (1, 1));
    }
}
