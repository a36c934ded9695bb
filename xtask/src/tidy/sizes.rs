//! Sizes of files and lines.

use super::Problems;
use crate::repository::TextFile;

/// Above this a file is reported.
const LINES_WARN: usize = 400;
/// Above this it fails.
const LINES_MAX: usize = 600;
/// The widest line of Rust.
const COLUMNS: usize = 100;
/// The widest line of a comment: prose may run a little longer than code, because rustfmt leaves it alone.
const COMMENT_COLUMNS: usize = 120;

/// Reports large files and wide lines of Rust and Solidity.
pub(super) fn check(files: &[TextFile], problems: &mut Problems) {
    for file in files.iter().filter(|file| file.is(".rs") || file.is(".sol")) {
        // Tests beside the code do not count: they make a file longer, not harder to hold in mind.
        let code = file.text.split_once("#[cfg(test)]\nmod tests {");
        let lines = code.map_or(&*file.text, |(code, _)| code).lines().count();
        let said = format!("{}: {lines} lines", file.path);
        if lines > LINES_MAX {
            problems.failures.push(format!("{said}, at most {LINES_MAX}"));
        } else if lines > LINES_WARN {
            problems.warnings.push(format!("{said}, aim at {LINES_WARN}"));
        }
        problems.failures.extend(wide(file));
    }
}

fn wide(file: &TextFile) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let code = line.trim_start();
        // A quoted line cannot be broken without changing what it says.
        let quoted = code.contains('"');
        let limit = if code.starts_with("//") || code.starts_with('*') || file.is(".sol") || quoted
        {
            COMMENT_COLUMNS
        } else {
            COLUMNS
        };
        let columns = line.chars().count();
        if columns > limit && !is_constant(code) {
            problems.push(format!("{}:{}: {columns} columns, at most {limit}", file.path, at + 1));
        }
    }
    problems
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
        let code = format!("let {} = 1;\n", "a".repeat(100));
        assert_eq!(checked(code).failures, ["src/a.rs:1: 109 columns, at most 100"]);
        assert_eq!(checked(format!("// {}\n", "a ".repeat(55))), Problems::default());
        assert_eq!(checked(format!("    \"{}\",\n", "0".repeat(200))), Problems::default());
    }
}
