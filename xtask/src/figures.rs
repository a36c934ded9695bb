//! The figures that this project claims of itself, each from the thing itself: constraints from the circuits, gas and
//! bytes from the contracts. Documents quote this command; tests pin the counts.

mod blocks;
mod mix;
mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

pub(crate) use tables::tables;

/// What to measure, and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    /// Write the figures to this file as one JSON object: docs/figures.json for the documents.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Blocks of each mix.
    #[arg(long, default_value_t = 100)]
    blocks: usize,
    /// Base-2 logarithm of the number of accounts in the state.
    #[arg(long, default_value_t = 20)]
    accounts: u32,
    /// Leave out the contracts, which need Node and forge.
    #[arg(long)]
    no_contracts: bool,
}

/// Figures by their names.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Where those stand that documents quote. `figures --json docs/figures.json` writes it.
const FILE: &str = "docs/figures.json";

/// Measures and shows.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let mut figures = blocks::parts();
    figures.extend(blocks::mixes(options.blocks, options.accounts));
    if !options.no_contracts {
        figures.extend(contracts(root)?);
    }
    // More digits would differ with the order of a sum.
    for figure in figures.values_mut() {
        *figure = rounded(*figure);
    }
    for (name, figure) in &figures {
        println!("{name:<44} {:>14}", shown(*figure));
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// To three digits behind the point.
fn rounded(figure: f64) -> f64 {
    (figure * 1_000.0).round() / 1_000.0
}

/// Whole numbers without digits behind the point.
fn shown(figure: f64) -> String {
    if figure.fract() == 0.0 { format!("{figure:.0}") } else { format!("{figure:.3}") }
}

/// What the contracts measure of themselves.
fn contracts(root: &Path) -> Result<Figures> {
    let folder = root.join("contracts");
    crate::test::install(&folder)?;
    let file = std::env::temp_dir().join(format!("zklink-gas-{}.json", std::process::id()));
    eprintln!("measuring the contracts");
    let status = Command::new("node")
        .args(["gas.mjs", "--json"])
        .arg(&file)
        .current_dir(&folder)
        .stdout(std::process::Stdio::null())
        .status()
        .context("starting node: node 20 and npm are needed, or --no-contracts")?;
    ensure!(
        status.success(),
        "the contracts could not be measured: run node gas.mjs in contracts/"
    );
    let text = std::fs::read_to_string(&file).context("reading what gas.mjs wrote")?;
    std::fs::remove_file(&file)?;
    let all: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&text).context("gas.mjs writes one object")?;
    let mut figures = Figures::new();
    for (name, value) in all {
        if let Some(figure) = value.as_f64() {
            figures.insert(name, figure);
        } else if let Some(steps) = value.as_object() {
            let gas = |(step, gas): (&String, &serde_json::Value)| {
                Some((format!("gas.step: {step}"), gas.as_f64()?))
            };
            figures.extend(steps.iter().filter_map(gas));
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository;

    fn json(path: &str) -> serde_json::Value {
        let text = std::fs::read_to_string(repository::root().join(path)).expect("it is there");
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Those of the mixes take minutes: another test holds them to their bars on fewer blocks.
    #[test]
    fn what_documents_quote_is_what_is_measured() {
        let again = "run: cargo run --release -p zklink-xtask -- figures --json docs/figures.json";
        let mut figures: Figures = serde_json::from_value(json(FILE)).expect("it has figures");
        for (name, figure) in blocks::parts() {
            assert_eq!(figures.remove(&name), Some(rounded(figure)), "{name}; {again}");
        }
        let snapshot: BTreeMap<String, String> =
            serde_json::from_value(json("contracts/snapshots/gas.json")).expect("it has steps");
        for (step, gas) in snapshot {
            let figure = figures.remove(&format!("gas.step: {step}"));
            assert_eq!(figure, gas.parse().ok(), "{step}; {again}");
        }
        let manifest = json("contracts/artifacts/manifest.json");
        for (name, contract) in [("hub", "Hub"), ("rollup", "Rollup")] {
            let code = manifest["contracts"][contract]["code"].as_f64().expect("it has a size");
            let figure = figures.remove(&format!("contracts.{name}_bytes_free"));
            assert_eq!(figure, Some(24_576.0 - code), "{contract}; {again}");
        }
        assert!(figures["circuit.retail_fill_rate"] >= 0.75);
        let known = |name: &&String| name.starts_with("circuit.") || name.starts_with("gas.");
        assert_eq!(figures.keys().find(|name| !known(name)), None, "{again}");
    }
}
