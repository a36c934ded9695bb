//! The presets of chains in `config/chains` parse and agree with each other.
//!
//! The node reads them with its own types; this check keeps a wrong preset out of the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A preset. `config/README.md` says what the fields mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are read to check that they are there and of their type")]
struct Preset {
    name: String,
    kind: Kind,
    evm_chain_id: u64,
    zklink_chain_id: u8,
    real: bool,
    state: Standing,
    finality: Finality,
    logs: Logs,
    capabilities: Capabilities,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Evm,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    Live,
    Sunset,
}

/// As `actors/node/src/config/preset.rs` reads it.
#[derive(Debug, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
enum Finality {
    Tag { tag: Tag, floor_seconds: u64 },
    Confirmations { blocks: u64, floor_seconds: u64 },
    Instant { floor_seconds: u64 },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Finalized,
    Safe,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Logs {
    range_max: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as above")]
struct Capabilities {
    eip2537: bool,
    #[serde(default)]
    eip2537_since: Option<toml::value::Datetime>,
    blobs: bool,
}

/// What is wrong with the presets.
pub(crate) fn broken(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("config/chains");
    let mut problems = Vec::new();
    let mut seen: BTreeMap<(&str, u64), String> = BTreeMap::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = format!("config/chains/{}", entry.file_name().to_string_lossy());
        let preset: Preset = match toml::from_str(&fs::read_to_string(entry.path())?) {
            Ok(preset) => preset,
            Err(error) => {
                problems.push(format!("{path}: {error}"));
                continue;
            }
        };
        problems.extend(contradictions(&preset).into_iter().map(|what| format!("{path}: {what}")));
        let ids = [("evm", preset.evm_chain_id), ("zklink", preset.zklink_chain_id.into())];
        for id in ids {
            if let Some(other) = seen.insert(id, path.clone()) {
                problems.push(format!("{path}: {} chain id {} is that of {other}", id.0, id.1));
            }
        }
    }
    Ok(problems)
}

fn contradictions(preset: &Preset) -> Vec<&'static str> {
    let Preset { zklink_chain_id, real, finality, logs, capabilities, .. } = preset;
    let rules = [
        (*zklink_chain_id == 0 || *zklink_chain_id > 63, "zklink_chain_id is 1 to 63"),
        (!real, "a preset is of a real chain: development chains have no preset"),
        (logs.range_max == 0, "logs.range_max is at least 1"),
        (
            matches!(finality, Finality::Confirmations { blocks: 0, .. }),
            "a block is not final without a confirmation",
        ),
        (
            capabilities.eip2537 != capabilities.eip2537_since.is_some(),
            "eip2537_since is given exactly when eip2537 is true",
        ),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, what)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
        name = \"Testland\"
        kind = \"evm\"
        evm_chain_id = 5
        zklink_chain_id = 9
        real = true
        state = \"live\"
        [finality]
        rule = \"tag\"
        tag = \"finalized\"
        floor_seconds = 0
        [logs]
        range_max = 2000
        [capabilities]
        eip2537 = true
        eip2537_since = 2025-05-07
        blobs = false
    ";

    #[test]
    fn presets_of_the_repository_parse() {
        let problems = broken(&crate::repository::root()).expect("the folder is there");
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn unknown_fields_and_contradictions_are_refused() {
        let good: Preset = toml::from_str(GOOD).expect("it is complete");
        assert_eq!(contradictions(&good), Vec::<&str>::new());
        let unknown = GOOD.replace("range_max", "range_maximum");
        assert!(
            toml::from_str::<Preset>(&unknown)
                .is_err_and(|error| error.message().contains("range_maximum"))
        );
        let confirmations = "rule = \"confirmations\"\n blocks = 0";
        let none = GOOD.replace("rule = \"tag\"\n        tag = \"finalized\"", confirmations);
        let none: Preset = toml::from_str(&none).expect("the types are right");
        assert_eq!(contradictions(&none), ["a block is not final without a confirmation"]);
        let bare: Preset = toml::from_str(&GOOD.replace("eip2537 = true", "eip2537 = false"))
            .expect("the types are right");
        assert_eq!(contradictions(&bare), ["eip2537_since is given exactly when eip2537 is true"]);
    }
}
