//! How much of the protocol its tests notice: a seeded sample of mutants of `src/`, each run against the tests of the
//! package with cargo-mutants.
//!
//! A mutant that no test can notice, because it means the same, is listed in `xtask/mutants-equivalent.txt` with the
//! reason. It is shown and not counted.

mod equivalent;
mod outcome;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use zklink::fixtures::Dice;

use equivalent::Equivalents;
use outcome::{Count, Outcome};

/// Share of mutants that must be noticed, in percent.
const GOAL: f64 = 95.0;

/// What of the package is no protocol: help for tests.
const LEFT_OUT: [&str; 2] = ["src/fixtures.rs", "src/fixtures/**"];

/// What to run, and where to say it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Mutants to run; all when there are fewer.
    #[arg(long, default_value_t = 300)]
    sample: usize,
    /// Which sample.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the figures and every outcome to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A mutant as cargo-mutants lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Mutant {
    /// File, line, column and what is replaced.
    name: String,
}

/// What is said of a campaign.
#[derive(Serialize)]
struct Report {
    seed: u64,
    mutants: usize,
    sample: usize,
    caught: usize,
    timeout: usize,
    missed: usize,
    unviable: usize,
    equivalent: usize,
    /// Of the sample, but not run: the campaign was interrupted.
    left: usize,
    /// Caught and timed out, in percent of the viable ones.
    score: f64,
    outcomes: BTreeMap<String, String>,
}

/// Runs a sample and prints what came of it. It fails below the goal.
pub(crate) fn run(root: &Path, options: &Options) -> Result<ExitCode> {
    let tool = Tool::find(root)?;
    let mutants = tool.list()?;
    let equivalents = Equivalents::read(root)?;
    let keys = equivalent::keys(mutants.iter().map(|mutant| &*mutant.name));
    equivalents.check(&keys)?;
    let chosen = sample(mutants.len(), options.sample, options.seed);
    let (known, chosen): (Vec<usize>, Vec<usize>) =
        chosen.into_iter().partition(|at| equivalents.reason(&keys[*at]).is_some());
    println!(
        "{} of {} mutants, seed {}; {} of them mean the same",
        known.len() + chosen.len(),
        mutants.len(),
        options.seed,
        known.len()
    );
    let names: Vec<&str> = chosen.iter().map(|at| &*mutants[*at].name).collect();
    let mut outcomes = tool.test(&names)?;
    let left = names.iter().filter(|name| !outcomes.contains_key(**name)).count();
    for at in &known {
        outcomes.insert(mutants[*at].name.clone(), Outcome::Equivalent);
        println!("means the same: {}: {}", keys[*at], equivalents.reason(&keys[*at]).unwrap_or(""));
    }
    let report = Report { left, ..report(options.seed, mutants.len(), &outcomes) };
    print(&report, &outcomes);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(ExitCode::from(u8::from(report.score < GOAL || left > 0)))
}

/// Which of `count` things are in the sample with this seed, in order.
fn sample(count: usize, size: usize, seed: u64) -> Vec<usize> {
    let mut dice = Dice::new(seed);
    let mut all: Vec<usize> = (0..count).collect();
    for at in 0..size.min(count) {
        let other = at + dice.below((count - at) as u64) as usize;
        all.swap(at, other);
    }
    all.truncate(size);
    all.sort_unstable();
    all
}

/// cargo-mutants, and where it works.
struct Tool {
    root: PathBuf,
    program: PathBuf,
    target: PathBuf,
}

impl Tool {
    /// Installs cargo-mutants below the target folder where it is missing.
    fn find(root: &Path) -> Result<Tool> {
        let target = root.join("target");
        let tools = target.join("tools");
        let program = tools.join("bin/cargo-mutants");
        if !program.exists() {
            let mut install = Command::new("cargo");
            install.args(["install", "cargo-mutants", "--locked", "--root"]).arg(&tools);
            let status = install.status().context("starting cargo")?;
            ensure!(status.success(), "cargo-mutants could not be installed");
        }
        Ok(Tool { root: root.to_path_buf(), program, target: target.join("mutants") })
    }

    /// A run over the protocol.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["mutants", "--package", "zklink", "--colors", "never"]);
        for glob in LEFT_OUT {
            command.args(["--exclude", glob]);
        }
        // The copies share what is built of other crates.
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    fn list(&self) -> Result<Vec<Mutant>> {
        let output = self.command().args(["--list", "--json"]).output();
        let output = output.context("starting cargo-mutants")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mutants could not be listed: {said}");
        serde_json::from_slice(&output.stdout).context("the list of mutants")
    }

    /// Runs the tests of the package on each of these mutants, on a copy of the sources, in any order.
    ///
    /// Deleted fields of structs it runs whatever is asked for; they count as well.
    fn test(&self, names: &[&str]) -> Result<BTreeMap<String, Outcome>> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut command = self.command();
        let path = self.target.join("mutants.out/outcomes.json");
        if path.exists() {
            std::fs::remove_file(&path).context("removing the report of the last campaign")?;
        }
        command.args(["--profile", "mutants", "--minimum-test-timeout", "60", "--shuffle"]);
        command.arg("--output").arg(&self.target);
        for name in names {
            command.arg("--re").arg(format!("^{}$", literal(name)));
        }
        // It exits with an error also when mutants are missed, and early when it is interrupted; its report says what
        // ran.
        command.status().context("starting cargo-mutants")?;
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let outcomes = outcome::read(&text)?;
        ensure!(!outcomes.is_empty(), "no mutant was run: do the tests pass?");
        Ok(outcomes)
    }
}

/// The text as a regular expression for itself. Other punctuation stays as it is: `\<` would be the start of a word.
fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(2 * text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn report(seed: u64, mutants: usize, outcomes: &BTreeMap<String, Outcome>) -> Report {
    let count = Count::of(outcomes.values());
    Report {
        seed,
        mutants,
        sample: outcomes.len(),
        caught: count.caught,
        timeout: count.timeout,
        missed: count.missed,
        unviable: count.unviable,
        equivalent: count.equivalent,
        left: 0,
        score: count.score(),
        outcomes: outcomes.iter().map(|(name, of)| (name.clone(), of.name().into())).collect(),
    }
}

/// The table by files, and every mutant that was missed.
fn print(report: &Report, outcomes: &BTreeMap<String, Outcome>) {
    let mut files: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for (name, outcome) in outcomes {
        let file = name.split(':').next().unwrap_or(name);
        files.entry(file).or_default().push(outcome);
    }
    let row = |name: &str, count: Count| {
        let Count { caught, timeout, missed, unviable, equivalent } = count;
        let score = count.score();
        println!(
            "{name:<28}{caught:>8}{timeout:>9}{missed:>8}{unviable:>10}{equivalent:>12}{score:>8.1}"
        );
    };
    println!(
        "{:<28}{:>8}{:>9}{:>8}{:>10}{:>12}{:>8}",
        "file", "caught", "timeout", "missed", "unviable", "equivalent", "score"
    );
    for (file, of_file) in files {
        row(file, Count::of(of_file.into_iter()));
    }
    row("all", Count::of(outcomes.values()));
    for (name, _) in outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Missed) {
        println!("missed: {name}");
    }
    if report.left > 0 {
        println!("{} of the sample were not run", report.left);
    }
    println!("score {:.1} %, goal {GOAL} %, seed {}", report.score, report.seed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_a_sample() {
        let ten = sample(100, 10, 1);
        assert_eq!(ten, sample(100, 10, 1));
        assert_ne!(ten, sample(100, 10, 2));
        assert!(ten.len() == 10 && ten.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ten.iter().all(|at| *at < 100));
        assert_eq!(sample(3, 10, 1), [0, 1, 2]);
    }

    #[test]
    fn names_are_taken_literally() {
        let name = "src/a.rs:1:2: replace + with <*> in f -> [u8; 2]";
        let wanted = r"src/a\.rs:1:2: replace \+ with <\*> in f -> \[u8; 2\]";
        assert_eq!(literal(name), wanted);
    }
}
