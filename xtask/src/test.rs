//! Runs every test of the repository and counts them in the last line.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

/// Reads how many tests a line says have run.
type Reader = fn(&str) -> Option<Count>;

/// A part of the tests: a program, its folder, and how to read its summary.
struct Part {
    name: &'static str,
    folder: &'static str,
    program: &'static [&'static str],
    reader: Reader,
}

const PARTS: [Part; 2] = [
    // Test vectors, format, artifacts compiled again and compared, forge, gas figures, and a node with EIP-2537.
    Part {
        name: "contracts",
        folder: "contracts",
        program: &["node", "test.mjs"],
        reader: contracts_summary,
    },
    Part {
        name: "workspace",
        folder: ".",
        program: &["cargo", "test", "--release", "--workspace", "--no-fail-fast", "--locked"],
        reader: cargo_summary,
    },
];

/// Runs all parts, the later ones also when an earlier one failed.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    install(&root.join("contracts"))?;
    let mut total = Count::default();
    for part in &PARTS {
        println!("== {}", part.name);
        total.add(run_part(root, part)?);
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(ExitCode::from(u8::from(total.failed > 0)))
}

/// Fetches the pinned tools of the contracts where they are missing or older than the lock file.
pub(crate) fn install(folder: &Path) -> Result<()> {
    let time = |path: &str| std::fs::metadata(folder.join(path)).and_then(|meta| meta.modified());
    let fresh = match (time("node_modules/.package-lock.json"), time("package-lock.json")) {
        (Ok(installed), Ok(wanted)) => installed >= wanted,
        _ => false,
    };
    if fresh {
        return Ok(());
    }
    let npm =
        Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder).status();
    ensure!(npm.context("starting npm: node 20 and npm are needed")?.success(), "npm ci failed");
    Ok(())
}

/// Runs a part and shows its output as it comes.
fn run_part(root: &Path, part: &Part) -> Result<Count> {
    let (program, arguments) = part.program.split_first().expect("a part names its program");
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root.join(part.folder))
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let output = child.stdout.take().expect("it was asked for");
    let mut count = Count::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if let Some(found) = (part.reader)(&line) {
            count.add(found);
        }
    }
    // A program that dies before it counts, for instance because it does not compile, is one failure.
    let success = child.wait()?.success();
    if !success && count.failed == 0 {
        println!("{}: {} failed without naming a test", part.name, part.program.join(" "));
        count.failed = 1;
    }
    Ok(count)
}

/// `test result: ok. 12 passed; 0 failed; 0 ignored; ..`.
fn cargo_summary(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?;
    let (_, counts) = rest.split_once(". ")?;
    Some(Count { passed: before(counts, " passed")?, failed: before(counts, " failed")? })
}

/// `Ran 9 test suites in 3.1s (1.9s CPU time): 120 tests passed, 0 failed, 0 skipped (120 total tests)`.
fn forge_summary(line: &str) -> Option<Count> {
    let plain = without_colours(line);
    let rest = plain.trim_start().strip_prefix("Ran ")?;
    let (head, counts) = rest.split_once(": ")?;
    // Each suite has a line of its own, which begins with "Suite result" or counts one file.
    head.contains("test suite").then_some(())?;
    counts.contains("total tests").then_some(())?;
    Some(Count { passed: before(counts, " tests passed")?, failed: before(counts, " failed")? })
}

/// What the tests of the contracts say: forge counts, each other check is a line of its own.
fn contracts_summary(line: &str) -> Option<Count> {
    let single = line == "artifacts agree with the sources" || line.starts_with("ok: ");
    if single {
        return Some(Count { passed: 1, failed: 0 });
    }
    forge_summary(line)
}

/// The number in front of a word.
fn before(text: &str, word: &str) -> Option<u64> {
    let (head, _) = text.split_once(word)?;
    head.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Leaves out what colours a terminal.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(|letter| letter.is_ascii_alphabetic());
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(cargo_summary(line), Some(Count { passed: 12, failed: 3 }));
        assert_eq!(cargo_summary("test deposit ... ok"), None);
        let line = "Ran 9 test suites in 3.10s (1.90s CPU time): \u{1b}[32m120\u{1b}[0m tests passed, \
                    \u{1b}[31m2\u{1b}[0m failed, \u{1b}[33m0\u{1b}[0m skipped (122 total tests)";
        assert_eq!(forge_summary(line), Some(Count { passed: 120, failed: 2 }));
        assert_eq!(forge_summary("Ran 14 tests for test/Hub.t.sol:HubTest"), None);
        let single = Some(Count { passed: 1, failed: 0 });
        assert_eq!(contracts_summary("artifacts agree with the sources"), single);
        assert_eq!(contracts_summary("ok: prague: a good proof is accepted"), single);
        assert_eq!(contracts_summary("vectors agree"), None);
    }
}
