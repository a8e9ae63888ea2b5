//! Settings that stand in files as the text that the command line takes.

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
