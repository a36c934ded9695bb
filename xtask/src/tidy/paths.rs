//! Files that documents name, and files that the rules of this folder name, are there.

use crate::repository::TextFile;

/// Endings of files that are looked for. Others, such as keys and reports, are made when something runs.
const KINDS: [&str; 7] = [".rs", ".sol", ".md", ".mjs", ".toml", ".json", ".txt"];
/// Folders of files that exist only where something ran, or as a name in an example.
const MADE: [&str; 4] = ["contracts/out/", "node_modules/", "target/", "data/"];

/// Every path in a document that leads nowhere. Documents may leave out the beginning of a path.
pub(super) fn broken(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    // An old decision and the list of changes speak of their own time.
    let documents = files
        .iter()
        .filter(|file| file.is(".md") && !file.is_in("docs/adr") && file.path != "CHANGELOG.md");
    for document in documents {
        for (at, line) in document.text.lines().enumerate() {
            let lost = paths(line).filter(|path| !exists(files, path));
            problems
                .extend(lost.map(|path| format!("{}:{}: no file {path}", document.path, at + 1)));
        }
    }
    problems
}

/// Whether a rule's own list still means something: a rule about a file that has moved would hold for ever.
pub(super) fn named_in_rules(files: &[TextFile], rule: &str, paths: &[&str]) -> Vec<String> {
    let there = |path: &str| {
        files
            .iter()
            .any(|file| file.path == path || path.ends_with('/') && file.path.starts_with(path))
    };
    let lost = paths.iter().filter(|path| !there(path));
    lost.map(|path| format!("{rule} names {path}, which is not there")).collect()
}

/// What looks like a path in code quotes: it has a folder and one of the known endings.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let one = quoted.map(|text| text.split_once("::").map_or(text, |(path, _)| path));
    one.filter(|text| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
        text.chars().all(plain)
            && text.contains('/')
            && !text.starts_with(['/', '.'])
            && KINDS.iter().any(|kind| text.ends_with(kind))
            && !MADE.iter().any(|made| text.contains(made))
    })
}

fn exists(files: &[TextFile], path: &str) -> bool {
    let whole = |file: &TextFile| {
        file.path.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    files.iter().any(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_document_that_names_a_file_that_is_not_there_is_named() {
        let files = [
            file("chain/src/scan.rs", ""),
            file("docs/flow.md", "`src/scan.rs`, `scan.rs::next` and `chain/lost.rs`, `src/an.rs`"),
            file("docs/adr/0001.md", "`chain/gone.rs`"),
        ];
        let lost = ["docs/flow.md:1: no file chain/lost.rs", "docs/flow.md:1: no file src/an.rs"];
        assert_eq!(broken(&files), lost);
    }

    #[test]
    fn a_rule_about_a_file_that_has_moved_is_named() {
        let files = [file("chain/src/scan.rs", "")];
        assert_eq!(named_in_rules(&files, "a rule", &["chain/src/scan.rs", "chain/"]), [""; 0]);
        assert_eq!(
            named_in_rules(&files, "a rule", &["chain/scan.rs"]),
            ["a rule names chain/scan.rs, which is not there"]
        );
    }
}
