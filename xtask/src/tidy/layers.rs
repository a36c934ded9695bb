//! One operation has one name, and one file of that name in each layer.

use std::collections::BTreeSet;

use crate::repository::TextFile;

/// The layers: folder and extension.
const LAYERS: [(&str, &str); 3] =
    [("src/op/", ".rs"), ("circuit/src/op/", ".rs"), ("docs/protocol/", ".md")];

/// Pages of the protocol that are about something other than an operation.
const OTHER_PAGES: [&str; 5] = ["README", "state", "block", "settlement", "glossary"];

/// Every operation that a layer lacks.
pub(super) fn broken(files: &[TextFile]) -> Vec<String> {
    let layers = LAYERS.map(|(folder, extension)| names(files, folder, extension));
    let all: BTreeSet<&str> = layers.iter().flatten().copied().collect();
    let mut problems = Vec::new();
    for name in all {
        for ((folder, extension), names) in LAYERS.iter().zip(&layers) {
            if !names.contains(name) {
                problems.push(format!("{folder}{name}{extension} is missing: one name per layer"));
            }
        }
    }
    problems
}

fn names<'a>(files: &'a [TextFile], folder: &str, extension: &str) -> BTreeSet<&'a str> {
    let inside = files.iter().filter_map(|file| file.path.strip_prefix(folder));
    inside
        .filter_map(|name| name.strip_suffix(extension))
        .filter(|name| !name.contains('/') && *name != "tests" && !OTHER_PAGES.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_that_lacks_an_operation_is_named() {
        let paths = ["src/op/deposit.rs", "circuit/src/op/deposit.rs", "docs/protocol/block.md"];
        let files = paths.map(|path| TextFile { path: path.into(), text: String::new() });
        assert_eq!(broken(&files), ["docs/protocol/deposit.md is missing: one name per layer"]);
    }
}
