//! Which crate may use which. Every arrow points to the protocol.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A crate and what it may use of ours.
const ALLOWED: [(&str, &[Edge]); 8] = [
    ("zklink", &[]),
    ("zklink-circuit", &[Edge::always("zklink")]),
    ("zklink-client", &[Edge::always("zklink")]),
    ("zklink-migrations", &[Edge::always("zklink")]),
    ("zklink-devnet", &[]),
    (
        "zklink-actors",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-client"),
            Edge::always("zklink-migrations"),
            Edge::optional("zklink-devnet"),
        ],
    ),
    (
        "zklink-integration-tests",
        &[
            Edge::always("zklink"),
            Edge::always("zklink-circuit"),
            Edge::always("zklink-client"),
            Edge::always("zklink-migrations"),
            Edge::always("zklink-devnet"),
            Edge::always("zklink-actors"),
        ],
    ),
    ("zklink-xtask", &[Edge::always("zklink")]),
];

/// A permitted use.
struct Edge {
    to: &'static str,
    /// Only behind a feature, except for tests.
    optional: bool,
}

impl Edge {
    const fn always(to: &'static str) -> Edge {
        Edge { to, optional: false }
    }

    const fn optional(to: &'static str) -> Edge {
        Edge { to, optional: true }
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
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("starting cargo metadata")?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "cargo metadata failed: {message}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    Ok(metadata.packages.iter().flat_map(broken_of).collect())
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
            Some(edge) if edge.optional && used.kind.is_none() && !used.optional => {
                problems.push(format!("{from} may use {to} only as an optional dependency"));
            }
            Some(_) => {}
        }
    }
    problems
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
        Package { name: name.into(), dependencies: vec![used] }
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
        assert_eq!(uses("zklink", "zklink", false, Some("dev")), Vec::<String>::new());
        assert_eq!(uses("zklink-stranger", "zklink", false, None).len(), 1);
    }
}
