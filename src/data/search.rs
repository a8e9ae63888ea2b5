//! Looks for the files of a set.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::DataError;

/// The first of some names that a folder has; a name that ends in `/` is a folder's.
pub fn first(place: &Path, names: &[String]) -> Option<PathBuf> {
    let there = |name: &String, path: &Path| if name.ends_with('/') { path.is_dir() } else { path.is_file() };
    names
        .iter()
        .map(|name| (name, place.join(name)))
        .find(|(name, path)| there(name, path))
        .map(|(_, path)| path)
}

/// The first of some places that has all files of a set; `names` has the names that each file may
/// have, the preferred one first, as for [`first`].
///
/// # Errors
/// [`DataError::NotFound`], with what each place lacks.
pub fn find<const N: usize>(
    dataset: &'static str,
    places: &[PathBuf],
    names: &[Vec<String>; N],
) -> Result<[PathBuf; N], DataError> {
    let (mut searched, mut incomplete) = (String::new(), false);
    for place in places {
        let paths = names.each_ref().map(|names| first(place, names));
        let missing: Vec<&str> = paths
            .iter()
            .zip(names)
            .filter(|(path, _)| path.is_none())
            .map(|(_, names)| names[0].as_str())
            .collect();
        if missing.is_empty() {
            return Ok(paths.map(Option::unwrap_or_default));
        }
        let state = match missing.len() {
            _ if !place.is_dir() => "no such folder".to_owned(),
            many if many == N => "none of the files".to_owned(),
            many => {
                incomplete = true;
                format!("only {} of the files; missing: {}", N - many, missing.join(", "))
            }
        };
        // Writing to a String cannot fail.
        let _ = writeln!(searched, "  {}: {state}", place.display());
    }
    let files = names.each_ref().map(|names| names[0].as_str()).join(", ");
    Err(DataError::NotFound { dataset, searched, files, incomplete })
}
