//! Mutants that mean the same as what is written.
//!
//! A line of the file is a key, ` -- `, and the reason. The key is the name of the mutant without line and column, so
//! that it survives edits elsewhere; where a file has several of one key, ` #2` and so on tell them apart.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Where they are listed.
const FILE: &str = "xtask/mutants-equivalent.txt";

/// Keys and reasons.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Equivalents(BTreeMap<String, String>);

impl Equivalents {
    /// Reads the list.
    pub(super) fn read(root: &Path) -> Result<Equivalents> {
        let text = std::fs::read_to_string(root.join(FILE)).with_context(|| FILE.to_owned())?;
        Equivalents::parse(&text)
    }

    fn parse(text: &str) -> Result<Equivalents> {
        let mut listed = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, reason) = line.split_once(" -- ").unwrap_or((line, ""));
            ensure!(!reason.is_empty(), "{FILE}: {key} has no reason");
            let twice = listed.insert(key.to_owned(), reason.to_owned()).is_some();
            ensure!(!twice, "{FILE}: {key} is listed twice");
        }
        Ok(Equivalents(listed))
    }

    /// Every listed mutant must exist, so that the list does not outlive the code.
    pub(super) fn check(&self, keys: &[String]) -> Result<()> {
        for key in self.0.keys() {
            ensure!(keys.contains(key), "{FILE}: there is no mutant {key}");
        }
        Ok(())
    }

    /// Why the mutant with this key means the same, if it does.
    pub(super) fn reason(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// The keys of mutants, in the order of their names.
pub(super) fn keys<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut keys = Vec::new();
    for name in names {
        let mut parts = name.splitn(4, ':');
        let (file, what) = (parts.next().unwrap_or(name), parts.nth(2).unwrap_or(""));
        let key = format!("{file}:{what}");
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        keys.push(if *count == 1 { key } else { format!("{key} #{count}") });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_leave_out_where_a_mutant_stands() {
        let names = [
            "src/a.rs:1:2: replace + with * in Tree::set",
            "src/a.rs:9:9: replace + with * in Tree::set",
        ];
        let wanted = [
            "src/a.rs: replace + with * in Tree::set",
            "src/a.rs: replace + with * in Tree::set #2",
        ];
        assert_eq!(keys(names.into_iter()), wanted);
    }

    #[test]
    fn every_line_has_a_reason_and_a_mutant() {
        let listed =
            Equivalents::parse("# why\n\nsrc/a.rs: b -- it is the same\n").expect("a list");
        assert_eq!(listed.reason("src/a.rs: b"), Some("it is the same"));
        assert_eq!(listed.reason("src/a.rs: c"), None);
        assert!(listed.check(&["src/a.rs: b".to_owned()]).is_ok());
        assert!(listed.check(&["src/a.rs: c".to_owned()]).is_err());
        assert!(Equivalents::parse("src/a.rs: b\n").is_err());
        assert!(Equivalents::parse("a -- b\na -- c\n").is_err());
    }
}
