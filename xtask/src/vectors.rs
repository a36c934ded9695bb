//! The golden files in `vectors/`: made from `src`, read by Solidity, circuits and SDKs.
//!
//! Everything is written from structs, so that the order of the fields is that of their declaration, whatever
//! features of the JSON library other crates switch on.

mod block;
mod hash;
mod layout;
mod settlement;
mod signature;
mod state;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use zklink::hash::{Fr, fr_to_be_bytes};

/// The texts of all files, by name.
pub(crate) fn texts() -> Result<BTreeMap<&'static str, String>> {
    Ok(BTreeMap::from([
        ("poseidon2.json", text(&hash::vectors())?),
        ("layout.json", text(&layout::vectors()?)?),
        ("signature.json", text(&signature::vectors()?)?),
        ("state.json", text(&state::vectors()?)?),
        ("block.json", text(&block::vectors()?)?),
        ("settlement.json", text(&settlement::vectors()?)?),
    ]))
}

fn text(vectors: &impl Serialize) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(vectors)?))
}

/// Writes the files and removes others.
pub(crate) fn write(root: &Path) -> Result<()> {
    let folder = root.join("vectors");
    let texts = texts()?;
    fs::create_dir_all(&folder)?;
    for name in strangers(&folder, &texts)? {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in texts {
        fs::write(folder.join(name), text).with_context(|| format!("writing vectors/{name}"))?;
    }
    Ok(())
}

/// What is wrong with the stored files.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("vectors");
    let texts = texts()?;
    let mut problems: Vec<String> = strangers(&folder, &texts)?
        .into_iter()
        .map(|name| format!("vectors/{name}: not written by xtask; remove it"))
        .collect();
    for (name, text) in texts {
        if fs::read_to_string(folder.join(name)).ok().as_ref() != Some(&text) {
            problems
                .push(format!("vectors/{name}: stale; run cargo run -p zklink-xtask -- vectors"));
        }
    }
    Ok(problems)
}

/// JSON files in the folder that nothing here writes.
fn strangers(folder: &Path, texts: &BTreeMap<&'static str, String>) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !texts.contains_key(name.as_str()) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Bytes as 0x and hex digits.
fn bytes(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A field element as a 32-byte word.
fn word(element: Fr) -> String {
    bytes(&fr_to_be_bytes(element))
}

/// Field elements as 32-byte words.
fn words(elements: &[Fr]) -> Vec<String> {
    elements.iter().copied().map(word).collect()
}

#[cfg(test)]
mod document;

#[cfg(test)]
mod tests {
    #[test]
    fn vectors_are_fresh() {
        let stale = super::stale(&crate::repository::root()).expect("the repository is readable");
        assert_eq!(stale, Vec::<String>::new());
    }
}
