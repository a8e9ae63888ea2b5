//! Figures as text.

/// Keeps a figure and its unit on one line.
const NARROW: char = '\u{a0}';

/// `20,000`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 image`, `20,000 images`, `10 classes`
pub fn counted(number: usize, noun: &str) -> String {
    let ending = match (number, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{}{NARROW}{noun}{ending}", grouped(number as u64))
}

/// `99.92 %`, from a number in percent.
pub fn percent(value: f64) -> String {
    format!("{value:.2}{NARROW}%")
}

/// `0.03 s`, `7.6 s`, `21,530 s`
pub fn seconds(value: f64) -> String {
    let figure = match value {
        ..1.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => grouped(value.round() as u64),
    };
    format!("{figure}{NARROW}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (96_000, "96,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn nouns_follow_their_number() {
        for (number, noun, text) in [
            (1, "class", "1\u{a0}class"),
            (10, "class", "10\u{a0}classes"),
            (0, "pair", "0\u{a0}pairs"),
            (1, "pair", "1\u{a0}pair"),
        ] {
            assert_eq!(counted(number, noun), text);
        }
    }

    #[test]
    fn times_have_the_digits_that_matter() {
        for (value, text) in
            [(0.034, "0.03\u{a0}s"), (7.64, "7.6\u{a0}s"), (215.4, "215\u{a0}s"), (21_529.7, "21,530\u{a0}s")]
        {
            assert_eq!(seconds(value), text);
        }
    }
}
