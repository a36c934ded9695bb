//! Words that must not appear, and libraries that may be named in few files only.

use crate::repository::{TextFile, code_of};

/// The files that list the words, and therefore contain them.
const LISTS: [&str; 2] = ["xtask/src/tidy/words.rs", "docs/protocol/glossary.md"];

/// Banned synonyms, and the word of the glossary.
const SYNONYMS: [(&str, &str); 12] = [
    ("exodus", "Dunkirk"),
    ("sub account", "sub-account"),
    ("subaccount", "sub-account"),
    ("priority op", "priority request"),
    ("priority operation", "priority request"),
    ("master chain", "hub"),
    ("slave chain", "spoke"),
    ("primary chain", "hub"),
    ("secondary chain", "spoke"),
    ("state keeper", "builder"),
    ("merkle proof", "path"),
    ("pubdata chunk", "word"),
];

/// Marks of unfinished work. `TODO` with an issue is allowed, these are not.
const UNFINISHED: [&str; 5] = ["FIXME", "todo!(", "unimplemented!(", "#[ignore", "dbg!("];

/// A library that is kept behind a wall: what names it in code, and the places where it may be named.
const WALLS: [(&str, &[&str]); 3] = [
    ("actix", &["actors/mechanism/src/shell.rs"]),
    ("parity_db", &["actors/store/src/archive.rs", "actors/store/src/archive/", "migrations/"]),
    (
        "web3::",
        &["chain/src/endpoint.rs", "chain/src/endpoint/", "devnet/tests/", "integration-tests/"],
    ),
];

/// Paths of a machine, and hosts of package registries; written so that this file does not name them itself.
const PLACES: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("registry.", "npmjs"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
];

/// Every use of a word that does not belong.
pub(super) fn broken(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !LISTS.contains(&file.path.as_str())) {
        if file.is(".rs") {
            walls(file, &mut problems);
        }
        // What lock files say is not ours to choose.
        if !file.is(".lock") && !file.is("package-lock.json") {
            words(file, &mut problems);
        }
    }
    problems
}

fn walls(file: &TextFile, problems: &mut Vec<String>) {
    let code = code_of(&file.text);
    for (library, places) in WALLS {
        let allowed = places.iter().any(|place| {
            file.path == *place || place.ends_with('/') && file.path.starts_with(place)
        });
        if !allowed && named(&code, library) {
            problems.push(format!(
                "{}: {library} is named only in {}",
                file.path,
                places.join(", ")
            ));
        }
    }
}

/// The places where a walled library may be named.
pub(super) fn walled() -> Vec<&'static str> {
    WALLS.iter().flat_map(|(_, places)| places.iter().copied()).collect()
}

/// Whether the code has the name at the start of a word: `my_web3::` is another one.
fn named(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

fn words(file: &TextFile, problems: &mut Vec<String>) {
    for (at, line) in file.text.lines().enumerate() {
        let mut say = |what: String| problems.push(format!("{}:{}: {what}", file.path, at + 1));
        for mark in UNFINISHED {
            // Whoever writes about a macro in prose puts it in quotes and without its bracket.
            if line.contains(mark) {
                say(format!("{mark} is not merged"));
            }
        }
        for place in PLACES {
            if line.contains(place) {
                say(format!("{place} belongs to a machine, not to the repository"));
            }
        }
        let lower = line.to_lowercase();
        for (synonym, word) in SYNONYMS {
            if names_in_prose(&lower, line, synonym) {
                say(format!("say {word}, not {synonym} (docs/protocol/glossary.md)"));
            }
        }
    }
}

/// Whether the line has the words as prose. `SubAccountId` and `subAccount` are identifiers, which have no hyphen.
fn names_in_prose(lower: &str, line: &str, words: &str) -> bool {
    lower.match_indices(words).any(|(at, _)| {
        // Lower case may have another length for letters outside of ASCII; such a line is looked at whole.
        let written = line.get(at..at + words.len()).unwrap_or(words);
        let rest = lower.get(at + words.len()..).unwrap_or_default().chars().next();
        let before = lower.get(..at).and_then(|text| text.chars().next_back());
        let inside = |letter: Option<char>| letter.is_some_and(|l| l.is_alphanumeric() || l == '_');
        let plural = rest == Some('s');
        !inside(before)
            && (!inside(rest) || plural)
            && !written.chars().skip(1).any(char::is_uppercase)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        broken(&[TextFile { path: path.into(), text: text.into() }])
    }

    #[test]
    fn a_library_behind_a_wall_is_named_at_its_place_only() {
        assert_eq!(
            check("actors/mechanism/src/shell.rs", "use actix::Actor;"),
            Vec::<String>::new()
        );
        assert_eq!(check("actors/src/port.rs", "// as actix does"), Vec::<String>::new());
        assert_eq!(
            check("actors/src/port.rs", "use actix::Actor;"),
            ["actors/src/port.rs: actix is named only in actors/mechanism/src/shell.rs"]
        );
        assert_eq!(check("migrations/src/lib.rs", "use parity_db::Db;"), Vec::<String>::new());
        assert_eq!(check("actors/src/rpc.rs", "use parity_db::Db;").len(), 1);
    }

    #[test]
    fn unfinished_work_and_machine_paths_are_named() {
        assert_eq!(check("src/a.rs", "// FIXME later"), ["src/a.rs:1: FIXME is not merged"]);
        assert_eq!(check("docs/a.md", "see /home/me").len(), 1);
    }

    #[test]
    fn synonyms_are_prose_only() {
        assert_eq!(
            check("docs/a.md", "The Exodus begins."),
            ["docs/a.md:1: say Dunkirk, not exodus (docs/protocol/glossary.md)"]
        );
        assert_eq!(check("docs/a.md", "a sub account").len(), 1);
        assert_eq!(check("docs/a.md", "its subaccounts").len(), 1);
        let identifiers = "a sub-account, `subAccount`, `SubAccountId`, `sub_account`";
        assert_eq!(check("docs/a.md", identifiers), Vec::<String>::new());
    }
}
