//! Pairs that a user lists in a CSV file, `a,b` or `a,b,same` a line: each image is the number of a
//! test image or the path of a picture file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::DataError;

/// Most bytes of a list.
pub const LIMIT: u64 = 1 << 30;

/// An image that a list names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// Number of a test image, from 0.
    Index(u32),
    /// A picture file; relative paths start at the list's folder.
    File(PathBuf),
}

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPair {
    pub a: Member,
    pub b: Member,
    /// The two fields as written.
    pub names: [String; 2],
    pub same: Option<bool>,
    /// Line of the file, from 1.
    pub line: u64,
}

/// Reads a list of pairs. A first line `a,b` or `a,b,same` is a heading. Either every pair says
/// whether it is the same (1 or 0, true or false), or none does.
///
/// # Errors
/// The file cannot be read, is no such list (with its line), or has no pair.
pub fn read(path: &Path) -> Result<Vec<ListedPair>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text))
        .map_err(unreadable)?;
    if text.len() as u64 > LIMIT {
        let message = format!("the file has more than {LIMIT} bytes");
        return Err(DataError::PairList { path: path.to_owned(), line: 1, message });
    }
    parse(&text, path)
}

/// The pairs in the text of a list; `path` is where it stands.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &[u8], path: &Path) -> Result<Vec<ListedPair>, DataError> {
    let wrong = |line: u64, message: String| DataError::PairList { path: path.to_owned(), line, message };
    let folder = path.parent().unwrap_or(Path::new(""));
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = 1 + text[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        wrong(line as u64, "it is no UTF-8 text".into())
    })?;
    let mut pairs: Vec<ListedPair> = Vec::new();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (number, (line, content)) in lines.enumerate() {
        let record = fields(content).map_err(|error| wrong(line, error.to_string()))?;
        let fields: Vec<&str> = record.iter().collect();
        if number == 0 && matches!(fields[..], ["a", "b"] | ["a", "b", "same"]) {
            continue;
        }
        let (a, b, same) = match fields[..] {
            [a, b] | [a, b, ""] => (a, b, None),
            [a, b, same] => match same.to_ascii_lowercase().as_str() {
                "1" | "true" => (a, b, Some(true)),
                "0" | "false" => (a, b, Some(false)),
                _ => return Err(wrong(line, format!("\"{same}\" is neither 1 (same) nor 0 (different)"))),
            },
            _ => {
                return Err(wrong(
                    line,
                    format!("{} fields, where `a,b` or `a,b,same` is wanted", fields.len()),
                ));
            }
        };
        if let Some(first) = pairs.first().filter(|first| first.same.is_some() != same.is_some()) {
            let [with, without] = if same.is_some() { [line, first.line] } else { [first.line, line] };
            let message =
                format!("line {with} says whether its images are the same, but line {without} does not");
            return Err(wrong(line, message));
        }
        let member = |field: &str| match field {
            "" => Err(wrong(line, "an image is missing".into())),
            _ => Ok(match field.parse() {
                Ok(index) => Member::Index(index),
                Err(_) => Member::File(folder.join(field)),
            }),
        };
        let names = [a.to_owned(), b.to_owned()];
        pairs.push(ListedPair { a: member(a)?, b: member(b)?, names, same, line });
    }
    if pairs.is_empty() {
        return Err(wrong(1, "there is no pair".into()));
    }
    Ok(pairs)
}

/// The fields of a line, quotes taken off.
fn fields(line: &str) -> Result<csv::StringRecord, csv::Error> {
    let mut record = csv::StringRecord::new();
    csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .buffer_capacity(line.len().max(1))
        .from_reader(line.as_bytes())
        .read_record(&mut record)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<ListedPair>, String> {
        parse(text.as_bytes(), Path::new("lists/pairs.csv")).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_test_images_and_everything_else_is_a_file() {
        let pairs =
            parsed("a,b,same\n3, 14 ,1\nx.png,./7,0\n\n# a remark\n/abs/y.png,\"a,b.png\",true\n").unwrap();
        let file = |path: &str| Member::File(path.into());
        assert_eq!(
            (&pairs[0].a, &pairs[0].b, pairs[0].same),
            (&Member::Index(3), &Member::Index(14), Some(true))
        );
        assert_eq!((&pairs[1].a, &pairs[1].b), (&file("lists/x.png"), &file("lists/./7")));
        assert_eq!((&pairs[2].a, &pairs[2].b), (&file("/abs/y.png"), &file("lists/a,b.png")));
        assert_eq!((pairs[1].same, pairs[2].same, pairs[2].line), (Some(false), Some(true), 6));
        assert_eq!(parsed("1,2\n3,4").unwrap()[1].same, None);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, words) in [
            ("", "there is no pair"),
            ("a,b,same\n", "there is no pair"),
            ("1,2\n3\n", "line 2: 1 fields"),
            ("1,2,0\n1,2,3,4\n", "line 2: 4 fields"),
            ("1,2,maybe\n", "line 1: \"maybe\" is neither"),
            ("1,2,1\n3,4\n", "line 2: line 1 says whether"),
            ("1,2\n3,4,0\n", "line 2: line 2 says whether"),
            ("1,\n", "line 1: an image is missing"),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(message.contains(words) && message.contains("lists/pairs.csv"), "{text:?}: {message}");
        }
        assert!(parse(b"1,\xff\xfe\n", Path::new("p")).is_err());
    }
}
