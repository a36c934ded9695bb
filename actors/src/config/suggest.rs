//! Errors of figment in words, with the known key that an unknown one resembles.

use figment::Error;
use figment::error::Kind;

/// Keys that differ by more letters are not called similar.
const DISTANCE_MAX: usize = 3;

/// The first error, with what to do about it.
pub(super) fn explain(error: &Error) -> String {
    match &error.kind {
        Kind::UnknownField(field, known) => {
            let place = error.path.iter().filter(|part| *part != field).cloned();
            let key: Vec<String> = place.chain([field.clone()]).collect();
            let key = key.join(".");
            match nearest(field, known) {
                Some(near) => format!("unknown key {key:?}: did you mean {near:?}?"),
                None => format!("unknown key {key:?}: there are {}", known.join(", ")),
            }
        }
        Kind::MissingField(field) => format!("{:?} is missing", full(error, field)),
        _ => error.to_string().trim().to_owned(),
    }
}

fn full(error: &Error, field: &str) -> String {
    let parts: Vec<&str> = error.path.iter().map(String::as_str).chain([field]).collect();
    parts.join(".")
}

fn nearest(field: &str, known: &[&'static str]) -> Option<&'static str> {
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
