//! Makes mutants of a WGSL text: one operator another, or two arguments in each other's place.

use std::ops::Range;

/// One change in one function of a shader.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The shader's stem.
    pub stem: &'static str,
    pub function: String,
    /// The line before and after.
    pub line: String,
    pub becomes: String,
    /// The whole text, changed.
    pub text: String,
}

impl Mutant {
    /// `stem.function`
    pub fn place(&self) -> String {
        format!("{}.{}", self.stem, self.function)
    }

    pub fn describe(&self) -> String {
        format!("{}: `{}` became `{}`", self.place(), self.line, self.becomes)
    }
}

/// A function of a shader: its name, and where its body is.
struct Function {
    name: String,
    body: Range<usize>,
}

/// What each operator becomes. The longest come first; those without an entry are passed over.
const OPERATORS: &[(&str, &[&str])] = &[
    ("->", &[]),
    ("++", &[]),
    ("--", &[]),
    ("+=", &["-=", "="]),
    ("-=", &["+=", "="]),
    ("*=", &["+=", "="]),
    ("/=", &["*=", "="]),
    ("&&", &["||"]),
    ("||", &["&&"]),
    ("==", &["!="]),
    ("!=", &["=="]),
    ("<=", &["<", ">"]),
    (">=", &[">", "<"]),
    ("<<", &[">>"]),
    (">>", &["<<"]),
    ("<", &["<=", ">="]),
    (">", &[">=", "<="]),
    ("+", &["-", "*"]),
    ("-", &["+"]),
    ("*", &["+", "/"]),
    ("/", &["*", "%"]),
    ("%", &["/", "*"]),
    ("&", &["|"]),
    ("|", &["&"]),
    ("^", &["|"]),
];

/// Types whose name may be followed by a template's `<`.
const TEMPLATES: &[&str] = &["array", "atomic", "bitcast", "mat", "ptr", "var", "vec"];

/// The functions of a text, helpers and entry points.
fn functions(text: &str) -> Vec<Function> {
    let code = without_comments(text);
    let starts = code.match_indices("fn ").filter(|(at, _)| *at == 0 || code[..*at].ends_with('\n'));
    starts
        .filter_map(|(at, start)| {
            let name = word(&code[at + start.len()..]).to_string();
            let open = at + code[at..].find('{')?;
            Some(Function { name, body: open..open + code[open..].find("\n}")? })
        })
        .collect()
}

/// The functions of a text that get to `function`, itself included.
pub fn reaching(text: &str, function: &str) -> Vec<String> {
    let code = without_comments(text);
    let functions = functions(text);
    let mut reaching = vec![function.to_string()];
    let mut next = 0;
    while next < reaching.len() {
        for Function { name, body } in &functions {
            let calls = call_sites(&code[body.clone()], &reaching[next]).next().is_some();
            if calls && !reaching.contains(name) {
                reaching.push(name.clone());
            }
        }
        next += 1;
    }
    reaching
}

/// All mutants of a text.
pub fn mutants(stem: &'static str, text: &str) -> Vec<Mutant> {
    let code = without_comments(text);
    let mut mutants = Vec::new();
    for Function { name, body } in functions(text) {
        let mut changes = operators(&code, body.clone());
        changes.extend(swaps(&code, body));
        // An increment gone wrong may loop for very long.
        changes.retain(|(at, _)| !increments(&code, at.start));
        changes.sort_by_key(|(at, _)| at.start);
        mutants.extend(changes.into_iter().map(|(at, by)| {
            let begin = text[..at.start].rfind('\n').map_or(0, |newline| newline + 1);
            let end = at.end + text[at.end..].find('\n').unwrap_or(0);
            let becomes = format!("{}{by}{}", &text[begin..at.start], &text[at.end..end]);
            Mutant {
                stem,
                function: name.clone(),
                line: text[begin..end].trim().into(),
                becomes: becomes.trim().into(),
                text: format!("{}{by}{}", &text[..at.start], &text[at.end..]),
            }
        }));
    }
    mutants
}

/// The same text with blanks for comments.
fn without_comments(text: &str) -> String {
    let blank = |line: &str| match line.split_once("//") {
        Some((code, comment)) => format!("{code}{}", " ".repeat(comment.len() + 2)),
        None => line.to_string(),
    };
    text.split('\n').map(blank).collect::<Vec<_>>().join("\n")
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name at the start of a text.
fn word(text: &str) -> &str {
    text.split(|c| !is_name(c)).next().unwrap_or_default()
}

/// The name at the end of a text.
fn last_word(text: &str) -> &str {
    text.rsplit(|c| !is_name(c)).next().unwrap_or_default()
}

fn operators(code: &str, body: Range<usize>) -> Vec<(Range<usize>, String)> {
    let mut changes = Vec::new();
    let (mut at, mut templates) = (body.start, 0);
    while at < body.end {
        let (before, rest) = (&code[..at], &code[at..]);
        if rest.starts_with('<') && TEMPLATES.iter().any(|name| last_word(before).starts_with(name)) {
            templates += 1;
            at += 1;
            continue;
        }
        if rest.starts_with('>') && templates > 0 {
            templates -= 1;
            at += 1;
            continue;
        }
        let unary = unary(before) && (rest.starts_with('-') || rest.starts_with('!'));
        if unary && !rest.starts_with("!=") {
            changes.push((at..at + 1, String::new()));
            at += 1;
            continue;
        }
        let Some((operator, others)) = OPERATORS.iter().find(|(operator, _)| rest.starts_with(operator))
        else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let place = at..at + operator.len();
        changes.extend(others.iter().map(|other| (place.clone(), other.to_string())));
        at = place.end;
    }
    changes
}

/// Whether an operator behind `before` has nothing on its left.
fn unary(before: &str) -> bool {
    let before = before.trim_end();
    let operand = before.ends_with(|c: char| is_name(c) || c == ')' || c == ']');
    !operand || last_word(before) == "return"
}

/// The values of each `select` swapped, each `min` a `max` and each `max` a `min`.
fn swaps(code: &str, body: Range<usize>) -> Vec<(Range<usize>, String)> {
    let mut changes = Vec::new();
    for (name, other) in [("min", "max"), ("max", "min")] {
        for at in call_sites(&code[body.clone()], name).map(|at| at + body.start) {
            changes.push((at..at + name.len(), other.into()));
        }
    }
    for at in call_sites(&code[body.clone()], "select").map(|at| at + body.start) {
        let start = at + "select(".len();
        let commas = commas(&code[start..]);
        let [first, second, ..] = commas[..] else { continue };
        let (a, b) = (&code[start..start + first], &code[start + first + 1..start + second]);
        changes.push((start..start + second, format!("{}, {}", b.trim(), a.trim())));
    }
    changes
}

/// Where `function` is called.
fn call_sites<'a>(code: &'a str, function: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(function)
        .map(|(at, _)| at)
        .filter(move |&at| !code[..at].ends_with(is_name) && code[at + function.len()..].starts_with('('))
}

/// The commas between the arguments of a call that has just been opened.
fn commas(arguments: &str) -> Vec<usize> {
    let mut depth = 0;
    let mut commas = Vec::new();
    for (at, c) in arguments.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' if depth == 0 => break,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => commas.push(at),
            _ => {}
        }
    }
    commas
}

/// Whether this place is in the last part of a `for (start; condition; increment)`.
fn increments(code: &str, at: usize) -> bool {
    let line = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let before = &code[line..at];
    before.trim_start().starts_with("for (") && before.matches(';').count() == 2
}
