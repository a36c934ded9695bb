//! Which crate may use which. Every arrow points to the protocol. What is optional is switched on by the one feature
//! that is named here, so that a build without default features is known to lack it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A crate and what it may use of ours.
const ALLOWED: [(&str, &[Edge]); 16] = [
    ("zklink", &[]),
    ("zklink-circuit", &[Edge::always("zklink")]),
    ("zklink-client", &[Edge::always("zklink")]),
    ("zklink-migrations", &[Edge::always("zklink")]),
    ("zklink-devnet", &[]),
    ("zklink-chain", &[Edge::always("zklink"), Edge::optional("zklink-devnet", "testing")]),
    ("zklink-mechanism", &[]),
    (
        "zklink-store",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-migrations"),
            Edge::always("zklink-mechanism"),
        ],
    ),
    (
        "zklink-prover",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
        ],
    ),
    (
        "zklink-settlement",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-chain"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
            Edge::for_tests("zklink-devnet"),
        ],
    ),
    (
        "zklink-transport",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-prover"),
            Edge::always("zklink-settlement"),
            Edge::always("zklink-store"),
        ],
    ),
    (
        "zklink-node",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-client"),
            Edge::always("zklink-chain"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
            Edge::always("zklink-prover"),
            Edge::always("zklink-settlement"),
            Edge::always("zklink-transport"),
            Edge::for_tests("zklink-migrations"),
            Edge::for_tests("zklink-devnet"),
        ],
    ),
    (
        "zklink-actors",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-client"),
            Edge::always("zklink-chain"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
            Edge::always("zklink-prover"),
            Edge::always("zklink-settlement"),
            Edge::always("zklink-transport"),
            Edge::always("zklink-node"),
            Edge::optional("zklink-devnet", "devnet"),
        ],
    ),
    (
        "zklink-integration-tests",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-client"),
            Edge::always("zklink-devnet"),
            Edge::always("zklink-chain"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
            Edge::always("zklink-prover"),
            Edge::always("zklink-settlement"),
            Edge::always("zklink-node"),
            Edge::always("zklink-transport"),
        ],
    ),
    (
        "zklink-load",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-chain"),
            Edge::always("zklink-mechanism"),
            Edge::always("zklink-store"),
            Edge::always("zklink-prover"),
            Edge::always("zklink-settlement"),
            Edge::always("zklink-transport"),
            Edge::always("zklink-node"),
        ],
    ),
    ("zklink-xtask", &[Edge::always("zklink"), Edge::always("zklink-circuit")]),
];

/// Features that only tests switch on: simulated worlds and disks, development chains.
const FOR_TESTS: [&str; 3] = ["simulation", "testing", "fixtures"];

/// A permitted use.
struct Edge {
    to: &'static str,
    when: When,
}

/// Where a use is permitted.
#[derive(Clone, Copy)]
enum When {
    /// Everywhere.
    Always,
    /// Behind this feature, and in tests.
    Feature(&'static str),
    /// In tests.
    Tests,
}

impl Edge {
    const fn always(to: &'static str) -> Edge {
        Edge { to, when: When::Always }
    }

    const fn optional(to: &'static str, feature: &'static str) -> Edge {
        Edge { to, when: When::Feature(feature) }
    }

    const fn for_tests(to: &'static str) -> Edge {
        Edge { to, when: When::Tests }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    /// Features, and what each switches on.
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    optional: bool,
    /// Nothing for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
    /// Set for crates of this workspace.
    path: Option<String>,
}

/// Every edge that is not allowed.
pub(super) fn broken(root: &Path) -> Result<Vec<String>> {
    let described = cargo(root, &["metadata", "--no-deps", "--offline", "--format-version", "1"])?;
    let metadata: Metadata = serde_json::from_slice(&described)?;
    let mut problems: Vec<String> = metadata.packages.iter().flat_map(broken_of).collect();
    for (name, allowed) in ALLOWED {
        for edge in allowed.iter().filter(|edge| matches!(edge.when, When::Feature(_))) {
            let tree = ["tree", "--offline", "--package", name, "--no-default-features"];
            let plain = ["--edges", "normal", "--prefix", "none"];
            let used = cargo(root, &[&tree[..], &plain[..]].concat())?;
            problems.extend(still_used(name, edge.to, &String::from_utf8_lossy(&used)));
        }
    }
    // As the program is built: with its default features, without what tests depend on.
    let tree = ["tree", "--offline", "--package", "zklink-actors", "--prefix", "none"];
    let features = cargo(root, &[&tree[..], &["--edges", "normal,features"]].concat())?;
    problems.extend(test_features(&String::from_utf8_lossy(&features)));
    Ok(problems)
}

/// Features of ours in the tree of the program (`crate feature "name"` on a line) that belong to tests.
fn test_features(tree: &str) -> BTreeSet<String> {
    let named = tree.lines().filter_map(|line| line.split_once(" feature \""));
    let ours = named.filter(|(name, _)| name.starts_with("zklink"));
    let ours = ours.filter_map(|(name, rest)| Some((name, rest.split_once('"')?.0)));
    let of_tests = ours.filter(|(_, feature)| FOR_TESTS.contains(feature));
    let said = of_tests
        .map(|(name, feature)| format!("the program has {feature} of {name}: it is for tests"));
    said.collect()
}

/// What cargo says.
fn cargo(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root).output();
    let output = output.with_context(|| format!("starting cargo {}", arguments[0]))?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {} failed: {message}", arguments[0]);
    Ok(output.stdout)
}

/// Whether a tree without default features (a crate and its version on each line) still has what it must lack.
fn still_used(from: &str, to: &str, tree: &str) -> Option<String> {
    let mut names = tree.lines().filter_map(|line| line.split(' ').next());
    let found = names.any(|name| name == to);
    found.then(|| {
        format!("{from} uses {to} without default features too: nobody could leave it out")
    })
}

fn broken_of(package: &Package) -> Vec<String> {
    let from = &package.name;
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
        return vec![format!("{from}: not in the table of crates in xtask/src/tidy/edges.rs")];
    };
    let mut problems = Vec::new();
    // A crate may use itself: its tests switch on its own fixtures.
    let ours = package.dependencies.iter().filter(|used| used.path.is_some() && used.name != *from);
    for used in ours {
        let to = &used.name;
        match allowed.iter().find(|edge| edge.to == to) {
            None => problems.push(format!("{from} must not use {to}")),
            Some(Edge { when: When::Tests, .. }) if used.kind.as_deref() != Some("dev") => {
                problems.push(format!("{from} may use {to} for its tests only"));
            }
            Some(Edge { when: When::Feature(_), .. }) if used.kind.is_none() && !used.optional => {
                problems.push(format!("{from} may use {to} only as an optional dependency"));
            }
            Some(Edge { when: When::Feature(feature), .. }) => {
                let others = switches(package, to).filter(|other| other != feature);
                problems.extend(others.map(|other| {
                    format!("{from}: the feature {other} uses {to}; only {feature} may name it")
                }));
            }
            Some(Edge { when: When::Always | When::Tests, .. }) => {}
        }
    }
    problems
}

/// The features of a package that name one of its dependencies, as `dep:name`, `name/feature` or `name?/feature`.
fn switches<'a>(package: &'a Package, to: &'a str) -> impl Iterator<Item = &'a str> {
    let names = move |entry: &String| {
        let entry = entry.strip_prefix("dep:").unwrap_or(entry);
        entry.split(['/', '?']).next() == Some(to)
    };
    let features = package.features.iter().filter(move |(_, on)| on.iter().any(names));
    features.map(|(feature, _)| feature.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, to: &str, optional: bool, kind: Option<&str>) -> Package {
        let used = Dependency {
            name: to.into(),
            optional,
            kind: kind.map(String::from),
            path: Some("here".into()),
        };
        Package { name: name.into(), dependencies: vec![used], features: BTreeMap::new() }
    }

    #[test]
    fn forbidden_edges_are_named() {
        let uses = |from, to, optional, kind| broken_of(&package(from, to, optional, kind));
        assert_eq!(
            uses("zklink-circuit", "zklink-actors", false, Some("dev")),
            ["zklink-circuit must not use zklink-actors"]
        );
        assert_eq!(uses("zklink", "zklink-circuit", false, None).len(), 1);
        assert_eq!(uses("zklink-devnet", "zklink", false, None).len(), 1);
        assert_eq!(uses("zklink-actors", "zklink-devnet", false, None).len(), 1);
        assert_eq!(uses("zklink-actors", "zklink-devnet", true, None), Vec::<String>::new());
        assert_eq!(uses("zklink-node", "zklink-devnet", false, Some("dev")), [""; 0]);
        assert_eq!(
            uses("zklink-node", "zklink-devnet", true, None),
            ["zklink-node may use zklink-devnet for its tests only"]
        );
        assert_eq!(uses("zklink", "zklink", false, Some("dev")), Vec::<String>::new());
        assert_eq!(uses("zklink-stranger", "zklink", false, None).len(), 1);
    }
    #[test]
    fn a_default_feature_may_switch_an_optional_crate_on_by_its_own_feature_only() {
        let with = |features: &[(&str, &str)]| {
            let mut package = package("zklink-actors", "zklink-devnet", true, None);
            let features = features.iter();
            let features = features.map(|(name, on)| (name.to_string(), vec![on.to_string()]));
            package.features = features.collect();
            broken_of(&package)
        };
        assert_eq!(with(&[("default", "devnet"), ("devnet", "dep:zklink-devnet")]), [""; 0]);
        assert_eq!(
            with(&[("default", "dep:zklink-devnet"), ("devnet", "dep:zklink-devnet")]),
            ["zklink-actors: the feature default uses zklink-devnet; only devnet may name it"]
        );
        assert_eq!(with(&[("metrics", "zklink-devnet/metrics")]).len(), 1);
        assert_eq!(with(&[("metrics", "zklink-devnet-metrics")]), [""; 0]);
    }

    #[test]
    fn what_belongs_to_tests_is_not_in_the_program() {
        let tree = "zklink-mechanism feature \"default\"\nproptest feature \"simulation\"\n";
        assert_eq!(test_features(tree), BTreeSet::new());
        let tree = format!("{tree}zklink-mechanism feature \"simulation\" (command-line)\n");
        assert_eq!(test_features(&tree).len(), 1);
    }

    #[test]
    fn what_stays_without_default_features_is_named() {
        let tree = "zklink-actors v0.1.0 (here)\nanyhow v1.0.0\nzklink-devnet-like v1.0.0\n";
        assert_eq!(still_used("zklink-actors", "zklink-devnet", tree), None);
        let tree = format!("{tree}zklink-devnet v0.1.0 (here) (*)\n");
        assert_eq!(
            still_used("zklink-actors", "zklink-devnet", &tree).as_deref(),
            Some(
                "zklink-actors uses zklink-devnet without default features too: nobody could leave it out"
            )
        );
    }
}
