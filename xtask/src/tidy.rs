//! What the repository promises of itself, checked: each rule is a function that names what breaks it.

mod artifacts;
mod drivers;
mod edges;
mod layers;
mod modules;
mod paths;
mod sizes;
mod words;

use std::path::Path;

use anyhow::Result;

use crate::{docs, presets, repository, vectors};

/// What is wrong, and what deserves a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    /// Worth a look; does not fail.
    pub(crate) warnings: Vec<String>,
    /// Broken rules.
    pub(crate) failures: Vec<String>,
}

/// Runs every check.
pub(crate) fn problems(root: &Path) -> Result<Problems> {
    let files = repository::text_files(root)?;
    let mut problems = Problems::default();
    problems.failures.extend(edges::broken(root)?);
    problems.failures.extend(modules::broken(&files));
    problems.failures.extend(layers::broken(&files));
    problems.failures.extend(words::broken(&files));
    problems.failures.extend(drivers::broken(&files));
    problems.failures.extend(paths::broken(&files));
    problems.failures.extend(paths::named_in_rules(
        &files,
        "the rule of drivers",
        drivers::excepted(),
    ));
    problems.failures.extend(paths::named_in_rules(
        &files,
        "the count of the mechanism",
        &sizes::MECHANISM,
    ));
    problems.failures.extend(paths::named_in_rules(&files, "a wall", &words::walled()));
    problems.failures.extend(artifacts::stale(root)?);
    problems.failures.extend(presets::broken(root)?);
    problems.failures.extend(docs::stale(root)?);
    problems.failures.extend(vectors::stale(root)?);
    sizes::check(&files, &mut problems);
    Ok(problems)
}

#[cfg(test)]
mod tests {
    /// One test for each group of rules would run the slow ones several times; the list names them all.
    #[test]
    fn the_repository_is_tidy() {
        let problems = super::problems(&crate::repository::root()).expect("it is readable");
        assert_eq!(
            problems.failures,
            Vec::<String>::new(),
            "run: cargo run -p zklink-xtask -- tidy"
        );
    }
}
