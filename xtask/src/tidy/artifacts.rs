//! The compiled contracts belong to their sources. `node build.mjs --check` compiles and compares; this compares hashes
//! only, so that it needs no compiler and runs with every test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What `contracts/build.mjs` wrote about its inputs and outputs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    settings_hash: String,
    sources: BTreeMap<String, String>,
    source_hash: String,
    artifacts: BTreeMap<String, String>,
}

/// What differs between the manifest, the sources and the artifacts.
pub(super) fn stale(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("contracts");
    let Ok(text) = fs::read_to_string(folder.join("artifacts/manifest.json")) else {
        return Ok(vec!["contracts/artifacts/manifest.json is missing: run node build.mjs".into()]);
    };
    let manifest: Manifest =
        serde_json::from_str(&text).context("contracts/artifacts/manifest.json")?;
    let mut sources = BTreeMap::new();
    walk(&folder, "src", &mut sources)?;
    let mut problems = Vec::new();
    let mut compare = |what: String, wanted: Option<&String>, found: Option<&String>| {
        if wanted != found {
            problems
                .push(format!("contracts/{what}: differs from the manifest; run node build.mjs"));
        }
    };
    let settings = digest(&fs::read(folder.join("solc.json"))?);
    compare("solc.json".into(), Some(&manifest.settings_hash), Some(&settings));
    for path in
        sources.keys().chain(manifest.sources.keys()).collect::<std::collections::BTreeSet<_>>()
    {
        compare(path.clone(), manifest.sources.get(path), sources.get(path));
    }
    let mut lines = format!("{settings}  solc.json\n");
    for (path, hash) in &sources {
        lines.push_str(&format!("{hash}  {path}\n"));
    }
    let whole = digest(lines.as_bytes());
    compare("artifacts/manifest.json".into(), Some(&manifest.source_hash), Some(&whole));
    for (name, wanted) in &manifest.artifacts {
        let found = fs::read(folder.join("artifacts").join(name)).ok().map(|bytes| digest(&bytes));
        compare(format!("artifacts/{name}"), Some(wanted), found.as_ref());
    }
    Ok(problems)
}

fn walk(folder: &Path, path: &str, found: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder.join(path)).with_context(|| format!("contracts/{path}"))? {
        let entry = entry?;
        let inside = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            walk(folder, &inside, found)?;
        } else if inside.ends_with(".sol") {
            found.insert(inside, digest(&fs::read(entry.path())?));
        }
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
