//! What a node takes from a preset of `config/chains`. The other fields are for people and for `tidy`.

use std::path::Path;

use serde::Deserialize;
use zklink_chain::finality::{Anchor, Finality};

use super::{ConfigError, MAX_BYTES, secret};

/// A preset, as far as a node needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preset {
    pub(super) evm_chain_id: u64,
    pub(super) finality: Finality,
    pub(super) max_log_range: u64,
}

#[derive(Deserialize)]
struct Written {
    evm_chain_id: u64,
    finality: WrittenFinality,
    logs: WrittenLogs,
}

#[derive(Deserialize)]
struct WrittenLogs {
    range_max: u64,
}

#[derive(Deserialize)]
struct WrittenFinality {
    #[serde(flatten)]
    rule: Rule,
    floor_seconds: u64,
}

#[derive(Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
enum Rule {
    Tag { tag: Tag },
    Confirmations { blocks: u64 },
    Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Finalized,
    Safe,
}

pub(super) fn read(path: &Path) -> Result<Preset, ConfigError> {
    let text = secret::read_bounded(path, MAX_BYTES)?;
    parse(&text).map_err(|error| ConfigError::Content {
        path: path.to_owned(),
        what: error.message().to_owned(),
    })
}

fn parse(text: &str) -> Result<Preset, toml::de::Error> {
    let Written { evm_chain_id, finality, logs } = toml::from_str(text)?;
    let anchor = match finality.rule {
        Rule::Tag { tag: Tag::Finalized } => Anchor::Finalized,
        Rule::Tag { tag: Tag::Safe } => Anchor::Safe,
        Rule::Confirmations { blocks } => Anchor::Confirmations(blocks),
        // A chain without reorganisations: one block more costs little and forgives an endpoint that is ahead.
        Rule::Instant => Anchor::Confirmations(1),
    };
    let finality = Finality { anchor, min_age_seconds: finality.floor_seconds };
    Ok(Preset { evm_chain_id, finality, max_log_range: logs.range_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_of_the_repository_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/chains");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let preset = read(&entry.unwrap().path()).unwrap();
            assert!(preset.max_log_range > 0);
            count += 1;
        }
        assert!(count >= 10, "{count}");
    }

    #[test]
    fn rules_become_anchors() {
        let text = "evm_chain_id = 7\n[logs]\nrange_max = 5\n\
            [finality]\nrule = \"confirmations\"\nblocks = 12\nfloor_seconds = 60\n";
        let finality = Finality { anchor: Anchor::Confirmations(12), min_age_seconds: 60 };
        assert_eq!(parse(text).unwrap(), Preset { evm_chain_id: 7, finality, max_log_range: 5 });
    }
}
