//! The figures that this project claims of itself, each from the thing itself: constraints from the circuits, gas and
//! bytes from the contracts. Documents quote this command; tests pin the counts.

mod blocks;
mod mix;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// What to measure, and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    /// Write the figures to this file as one JSON object.
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

/// Measures and shows.
pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let mut figures = blocks::measure(options.blocks, options.accounts);
    if !options.no_contracts {
        figures.extend(contracts(root)?);
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
