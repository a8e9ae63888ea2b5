//! Words: settings that stand in files as the text that the command line takes, and names that were mistyped.

/// Makes a type that has `Display` and `FromStr<Err = String>` go into and out of a `String`, for serde's
/// `into` and `try_from`.
macro_rules! stands_as_text {
    ($($name:ident),*) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}
pub(crate) use stands_as_text;

/// The one of some names that a mistyped one may have been meant for: the same letters and digits, or all but two of
/// them in their places.
pub(crate) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<Vec<_>>();
    let wanted = plain(name);
    let far = |other: &&&str| edits(&wanted, &plain(other));
    known.iter().min_by_key(far).filter(|other| far(other) <= 2.min(wanted.len() / 2)).copied()
}

/// Letters to put in, leave out or change, from one word to another (Levenshtein's distance).
fn edits(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
