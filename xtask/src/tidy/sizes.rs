//! Sizes of files and lines.

use super::Problems;
use crate::repository::TextFile;

/// Above this a file is reported.
const LINES_WARN: usize = 400;
/// Above this it fails.
const LINES_MAX: usize = 600;
/// The widest line. rustfmt holds code to 100 columns; this is for what it leaves alone: comments, text, macros.
const COLUMNS: usize = 120;

/// The actor mechanism: how a message gets from a port into a machine. It has to fit into one head.
pub(super) const MECHANISM: [&str; 4] = [
    "actors/mechanism/src/port.rs",
    "actors/mechanism/src/turn.rs",
    "actors/mechanism/src/machine.rs",
    "actors/mechanism/src/shell.rs",
];
/// Lines of code in it, all files together, without comments.
const MECHANISM_MAX: usize = 300;

/// Reports large files and wide lines of Rust and Solidity.
pub(super) fn check(files: &[TextFile], problems: &mut Problems) {
    for file in files.iter().filter(|file| file.is(".rs") || file.is(".sol")) {
        // Tests beside the code do not count: they make a file longer, not harder to hold in mind.
        let code = file.text.split_once("#[cfg(test)]\nmod tests {");
        let lines = code.map_or(&*file.text, |(code, _)| code).lines().count();
        let said = format!("{}: {lines} lines", file.path);
        if lines > LINES_MAX && !is_test(&file.path) {
            problems.failures.push(format!("{said}, at most {LINES_MAX}"));
        } else if lines > LINES_WARN {
            problems.warnings.push(format!("{said}, aim at {LINES_WARN}"));
        }
        problems.failures.extend(wide(file));
    }
    let mechanism: usize =
        files.iter().filter(|file| is_mechanism(&file.path)).map(lines_of_code).sum();
    if mechanism > MECHANISM_MAX {
        let text =
            format!("the actor mechanism has {mechanism} lines of code, at most {MECHANISM_MAX}");
        problems.failures.push(text);
    }
}

fn is_mechanism(path: &str) -> bool {
    MECHANISM.contains(&path)
}

fn lines_of_code(file: &TextFile) -> usize {
    let lines = file.text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn wide(file: &TextFile) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS && !is_constant(line.trim()) {
            let place = format!("{}:{}", file.path, at + 1);
            problems.push(format!("{place}: {columns} columns, at most {COLUMNS}"));
        }
    }
    problems
}

/// Whether the file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("tests/") || path.contains("/test/")
}

/// A hexadecimal or text constant alone on its line.
fn is_constant(code: &str) -> bool {
    let bare = code.trim_end_matches([',', ';', ')']);
    bare.starts_with('"') && bare.ends_with('"') && !bare.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: String) -> Problems {
        let mut problems = Problems::default();
        check(&[TextFile { path: "src/a.rs".into(), text }], &mut problems);
        problems
    }

    #[test]
    fn large_files_are_reported_and_larger_ones_fail() {
        assert_eq!(checked("x\n".repeat(400)), Problems::default());
        assert_eq!(checked("x\n".repeat(401)).warnings, ["src/a.rs: 401 lines, aim at 400"]);
        assert_eq!(checked("x\n".repeat(601)).failures, ["src/a.rs: 601 lines, at most 600"]);
        let tested =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(5), "y\n".repeat(900));
        assert_eq!(checked(tested), Problems::default());
    }

    #[test]
    fn wide_lines_fail() {
        let code = format!("let {} = 1;\n", "a".repeat(120));
        assert_eq!(checked(code).failures, ["src/a.rs:1: 129 columns, at most 120"]);
        assert_eq!(checked(format!("// {}\n", "a ".repeat(55))), Problems::default());
        assert_eq!(checked(format!("    \"{}\",\n", "0".repeat(200))), Problems::default());
    }

    #[test]
    fn files_of_tests_are_reported_and_do_not_fail() {
        assert!(is_test("src/key/tests.rs") && is_test("tests/reject.rs"));
        assert!(is_test("contracts/test/Hub.t.sol") && !is_test("src/attestation.rs"));
    }

    #[test]
    fn the_mechanism_is_counted_over_its_files_without_comments() {
        let file = |name: &str, lines: usize| TextFile {
            path: format!("actors/mechanism/src/{name}.rs"),
            text: "/// Said.\nlet a = 1;\n".repeat(lines),
        };
        let failures = |lines| {
            let mut problems = Problems::default();
            let files = [file("port", 100), file("shell", lines), file("world", 100)];
            check(&files, &mut problems);
            problems.failures
        };
        assert_eq!(failures(200), Vec::<String>::new());
        let text = "the actor mechanism has 301 lines of code, at most 300";
        assert_eq!(failures(201), [text.to_owned()]);
    }
}
