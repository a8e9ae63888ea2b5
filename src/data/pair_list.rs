//! Pairs that a user lists in a CSV file, `a,b` or `a,b,same` a line: each image is the number of a
//! test image or the path of a picture file. Semicolons or tabs may stand for the commas.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::DataError;

/// Most bytes of a list.
pub const LIMIT: u64 = 1 << 30;
/// Most bytes of a line: two paths as long as any system has them.
const LINE_LIMIT: usize = 1 << 14;

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

/// Bad lines, or lines of bad pictures, that may be left out.
#[derive(Debug, Default)]
pub struct Skips {
    pub allowed: usize,
    /// What was wrong with those that were.
    pub skipped: Vec<DataError>,
}

impl Skips {
    /// Leaves out one more.
    ///
    /// # Errors
    /// The same, where it is one too many.
    pub fn skip(&mut self, error: DataError) -> Result<(), DataError> {
        if self.skipped.len() >= self.allowed {
            return Err(error);
        }
        self.skipped.push(error);
        Ok(())
    }
}

/// Reads a list of pairs. The first line may be a heading. Either every pair says whether it is the same (1 or 0, true
/// or false, yes or no, same or different), or none does.
///
/// # Errors
/// The file cannot be read, is no such list (with its line), or has no pair.
pub fn read(path: &Path, skips: &mut Skips) -> Result<Vec<ListedPair>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), offset: 0, source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    parse(BufReader::new(file), path, skips)
}

/// The pairs in the text of a list; `path` is where it stands.
///
/// # Errors
/// As [`read`].
pub fn parse(text: impl BufRead, path: &Path, skips: &mut Skips) -> Result<Vec<ListedPair>, DataError> {
    let wrong = |line: u64, message: String| DataError::PairList { path: path.to_owned(), line, message };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut text = text.take(LIMIT + 1);
    let (mut pairs, mut delimiter, mut bytes) = (Vec::<ListedPair>::new(), None, Vec::new());
    for line in 1.. {
        bytes.clear();
        let read = text.by_ref().take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut bytes);
        match read.map_err(|source| DataError::Read { path: path.to_owned(), offset: 0, source })? {
            0 if text.limit() == 0 => {
                return Err(wrong(line, format!("the file has more than {LIMIT} bytes")));
            }
            0 => break,
            count if count > LINE_LIMIT => {
                return Err(wrong(line, format!("the line has more than {LINE_LIMIT} bytes")));
            }
            _ => {}
        }
        let Ok(content) = std::str::from_utf8(&bytes) else {
            skips.skip(wrong(line, "it is no UTF-8 text".into()))?;
            continue;
        };
        let content = if line == 1 { content.trim_start_matches('\u{feff}') } else { content };
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        let begins = delimiter.is_none();
        let record = fields(content, *delimiter.get_or_insert_with(|| delimiter_of(content)));
        let record = match record {
            Ok(record) if begins && is_heading(&record, folder) => continue,
            Ok(record) => record,
            Err(error) => {
                skips.skip(wrong(line, error.to_string()))?;
                continue;
            }
        };
        match pair(&record, line, folder, pairs.first()) {
            Ok(pair) => pairs.push(pair),
            Err(message) => skips.skip(wrong(line, message))?,
        }
    }
    if pairs.is_empty() {
        return Err(wrong(1, "there is no pair".into()));
    }
    Ok(pairs)
}

/// The pair of a line; `first` is that of another one.
fn pair(
    record: &csv::StringRecord,
    line: u64,
    folder: &Path,
    first: Option<&ListedPair>,
) -> Result<ListedPair, String> {
    let fields: Vec<&str> = record.iter().collect();
    let (a, b, same) = match fields[..] {
        [a, b] | [a, b, ""] => (a, b, None),
        [a, b, same] => {
            let known =
                label(same).ok_or_else(|| format!("\"{same}\" is neither 1 (same) nor 0 (different)"))?;
            (a, b, Some(known))
        }
        _ => return Err(format!("{} fields, where `a,b` or `a,b,same` is wanted", fields.len())),
    };
    if let Some(first) = first.filter(|first| first.same.is_some() != same.is_some()) {
        let [with, without] = if same.is_some() { [line, first.line] } else { [first.line, line] };
        return Err(format!("line {with} says whether its images are the same, but line {without} does not"));
    }
    let member = |field: &str| match field {
        "" => Err("an image is missing".to_owned()),
        _ => Ok(match field.parse() {
            Ok(index) => Member::Index(index),
            Err(_) => Member::File(folder.join(field)),
        }),
    };
    let names = [a.to_owned(), b.to_owned()];
    Ok(ListedPair { a: member(a)?, b: member(b)?, names, same, line })
}

fn label(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "same" => Some(true),
        "false" | "no" | "different" => Some(false),
        // Also as 1.0, which spreadsheets and data frames make of it.
        number => match number.parse::<f64>() {
            Ok(1.0) => Some(true),
            Ok(0.0) => Some(false),
            _ => None,
        },
    }
}

/// Words for an image, without the letter or number that tells one from the other.
const IMAGE_WORDS: &[&str] = &[
    "", "image", "img", "picture", "pic", "photo", "file", "filename", "path", "sample", "item", "id",
    "index",
];

/// Whether the first line names its columns: two words for images that are neither numbers nor files here, and what
/// is no answer to whether they are the same.
fn is_heading(record: &csv::StringRecord, folder: &Path) -> bool {
    let names_an_image = |field: &str| {
        let plain: String = field.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
        let word = plain.trim_end_matches(|c: char| c.is_ascii_digit());
        let word = word.strip_suffix(['a', 'b']).filter(|_| word == plain).unwrap_or(word);
        let known = IMAGE_WORDS.contains(&word)
            || ["left", "right", "first", "second", "anchor", "other"].contains(&word);
        known
            && !plain.is_empty()
            && !plain.bytes().all(|byte| byte.is_ascii_digit())
            && !folder.join(field).exists()
    };
    let mut fields = record.iter();
    let images = [fields.next(), fields.next()];
    // "same" is the usual name of the column too.
    let answered =
        fields.next().is_some_and(|same| label(same).is_some() && !same.eq_ignore_ascii_case("same"));
    images.iter().all(|field| field.is_some_and(names_an_image)) && !answered && fields.next().is_none()
}

/// What parts the fields of a line: the first of comma, semicolon and tab that makes two or three of it.
fn delimiter_of(line: &str) -> u8 {
    let parts = |delimiter: &u8| fields(line, *delimiter).is_ok_and(|fields| (2..=3).contains(&fields.len()));
    [b',', b';', b'\t'].into_iter().find(parts).unwrap_or(b',')
}

/// The fields of a line, quotes taken off.
fn fields(line: &str, delimiter: u8) -> Result<csv::StringRecord, csv::Error> {
    let mut record = csv::StringRecord::new();
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
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
        let mut none = Skips::default();
        parse(text.as_bytes(), Path::new("lists/pairs.csv"), &mut none).map_err(|error| error.to_string())
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
        let parsed =
            |text: &[u8]| parse(text, Path::new("p"), &mut Skips::default()).unwrap_err().to_string();
        assert!(parsed(b"1,2\n1,\xff\xfe\n").contains("line 2: it is no UTF-8"));
        assert!(parsed(&[0; 1 << 15]).contains("line 1: the line has more than"));
    }

    #[test]
    fn headings_delimiters_and_answers_come_in_many_forms() {
        for heading in [
            "a,b,same",
            "A,B,Same",
            "image1,image2,label",
            "Image_A,Image_B,is_same",
            "img1,img2,target",
            "left,right,y",
            "file_1,file_2,match",
            "\u{feff}a,b,same",
            "path1;path2;same",
            "image 1\timage 2\tsame",
            "first,second,",
        ] {
            let mark = if heading.contains(';') {
                ";"
            } else if heading.contains('\t') {
                "\t"
            } else {
                ","
            };
            let lines = [[heading, ""], ["3", "1.0"], ["x.png", "0.0"]];
            let text: String = lines
                .iter()
                .map(|[a, same]| match *same {
                    "" => format!("{a}\n"),
                    same => [a, "y 2.png", same].join(mark) + "\r\n",
                })
                .collect();
            let pairs = parsed(&text).unwrap_or_else(|error| panic!("{heading}: {error}"));
            let same: Vec<_> = pairs.iter().map(|pair| (pair.same, pair.line)).collect();
            assert_eq!(same, [(Some(true), 2), (Some(false), 3)], "{heading}");
            assert_eq!(pairs[0].b, Member::File("lists/y 2.png".into()));
        }
        for (answer, same) in
            [("TRUE", true), ("yes", true), ("Same", true), ("1.00", true), ("no", false), ("0", false)]
        {
            assert_eq!(parsed(&format!("1,2,{answer}")).unwrap()[0].same, Some(same), "{answer}");
        }
        // No heading: a picture that must be there, and an answer.
        assert_eq!(parsed("cat,dog\n1,2\n").unwrap().len(), 2);
        assert_eq!(parsed("a,b,1\n").unwrap().len(), 1);
        assert_eq!(parsed("1,2\n").unwrap()[0].a, Member::Index(1));
        for (answer, words) in [("-1", "\"-1\" is neither"), ("0.5", "\"0.5\""), ("nan", "\"nan\"")] {
            assert!(parsed(&format!("1,2,{answer}\n")).unwrap_err().contains(words));
        }
    }

    #[test]
    fn so_many_bad_lines_are_left_out() {
        let text = "1,2,1\n3\n4,5,maybe\n6,7,0\n";
        let read = |allowed| {
            let mut skips = Skips { allowed, ..Skips::default() };
            let lines = parse(text.as_bytes(), Path::new("p"), &mut skips)
                .map(|pairs| pairs.iter().map(|pair| pair.line).collect::<Vec<_>>());
            (lines.map_err(|error| error.to_string()), skips.skipped.len())
        };
        assert_eq!(read(2), (Ok(vec![1, 4]), 2));
        let (refused, skipped) = read(1);
        assert!(refused.unwrap_err().contains("line 3: \"maybe\"") && skipped == 1);
    }
}
