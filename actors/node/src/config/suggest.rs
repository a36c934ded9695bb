//! Errors of figment in words, with the known key that an unknown one resembles.

use figment::Error;
use figment::error::{Actual, Kind};

/// Keys that differ by more letters are not called similar.
const DISTANCE_MAX: usize = 3;

/// The first error, with what to do about it.
pub(super) fn explain(error: &Error) -> String {
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let key = key(error, ".");
            match nearest(field, known) {
                Some(near) => format!("unknown key {key:?}: did you mean {near:?}?"),
                None => format!("unknown key {key:?}: there are {}", known.join(", ")),
            }
        }
        Kind::MissingField(_) => format!("{:?} is missing", key(error, ".")),
        Kind::InvalidType(Actual::Str(_), wanted) if wanted == "a sequence" => {
            format!("{}: found a text, wanted a list: [\"...\"]", quoted(error))
        }
        // The value may be a secret, or an address that holds one: it is never shown.
        Kind::InvalidType(actual, wanted) | Kind::InvalidValue(actual, wanted) => {
            format!("{}: found {}, wanted {wanted}", quoted(error), kind_of(actual))
        }
        Kind::Message(text) => {
            let text = without_secrets(text);
            if error.path.is_empty() { text } else { format!("{}: {text}", quoted(error)) }
        }
        kind => without_secrets(&format!("{}: {kind}", quoted(error))),
    }
}

/// The key that an error is about, its parts with this between them.
pub(super) fn key(error: &Error, between: &str) -> String {
    let mut parts: Vec<&str> = error.path.iter().map(String::as_str).collect();
    if let Kind::UnknownField(field, _) = &error.kind {
        parts.retain(|part| part != field);
        parts.push(field);
    }
    if let Kind::MissingField(field) = &error.kind {
        parts.push(field);
    }
    parts.join(between)
}

fn quoted(error: &Error) -> String {
    format!("{:?}", error.path.join("."))
}

/// What a value is, without the value.
fn kind_of(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a fraction",
        Actual::Char(_) | Actual::Str(_) => "a text",
        Actual::Bytes(_) => "bytes",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

/// A parser's message without the lines of the file that it quotes, and without what stands behind `://`.
fn without_secrets(text: &str) -> String {
    let is_quoted = |line: &str| line.split_once('|').is_some_and(|(number, _)| is_number(number));
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_quoted(line)).collect();
    let mut shown = String::new();
    for (place, part) in lines.join(", ").split("://").enumerate() {
        let end = part.find(|letter: char| letter.is_whitespace() || "\"'`,".contains(letter));
        match place {
            0 => shown.push_str(part),
            _ => {
                shown.push_str("://...");
                shown.push_str(&part[end.unwrap_or(part.len())..]);
            }
        }
    }
    shown
}

fn is_number(text: &str) -> bool {
    text.trim().chars().all(|letter| letter.is_ascii_digit())
}

/// The known name that another one resembles, if one does.
pub(crate) fn nearest(field: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|name| (distance(field, name), *name));
    let (distance, name) = distances.min()?;
    (distance <= DISTANCE_MAX && distance < name.len()).then_some(name)
}

/// The least number of letters to insert, remove or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_changes() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("pol_ms", &["poll_ms", "rpc"]), Some("poll_ms"));
        assert_eq!(nearest("colour", &["poll_ms", "rpc"]), None);
    }
}
