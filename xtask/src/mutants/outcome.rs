//! What came of mutants.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What the tests made of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A test failed.
    Caught,
    /// The tests did not end: whoever runs them notices.
    Timeout,
    /// All tests passed.
    Missed,
    /// It does not compile.
    Unviable,
    /// It means the same as what is written; it was not run.
    Equivalent,
}

impl Outcome {
    /// The name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Outcome::Caught => "caught",
            Outcome::Timeout => "timeout",
            Outcome::Missed => "missed",
            Outcome::Unviable => "unviable",
            Outcome::Equivalent => "equivalent",
        }
    }

    fn of_summary(summary: &str) -> Option<Outcome> {
        match summary {
            "CaughtMutant" => Some(Outcome::Caught),
            "Timeout" => Some(Outcome::Timeout),
            "MissedMutant" => Some(Outcome::Missed),
            "Unviable" => Some(Outcome::Unviable),
            _ => None,
        }
    }
}

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) caught: usize,
    pub(super) timeout: usize,
    pub(super) missed: usize,
    pub(super) unviable: usize,
    pub(super) equivalent: usize,
}

impl Count {
    /// Counts.
    pub(super) fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Count {
        let mut count = Count::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Caught => count.caught += 1,
                Outcome::Timeout => count.timeout += 1,
                Outcome::Missed => count.missed += 1,
                Outcome::Unviable => count.unviable += 1,
                Outcome::Equivalent => count.equivalent += 1,
            }
        }
        count
    }

    /// Percent of the viable mutants that were noticed; all when there is none.
    pub(super) fn score(self) -> f64 {
        let noticed = self.caught + self.timeout;
        let viable = noticed + self.missed;
        if viable == 0 { 100.0 } else { 100.0 * noticed as f64 / viable as f64 }
    }
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    scenario: Scenario,
    summary: String,
}

/// The run without a mutant, or one with.
#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant(super::Mutant),
}

/// Reads the report of cargo-mutants. Of two mutants with one name, the missed one counts.
pub(super) fn read(text: &[u8]) -> Result<BTreeMap<String, Outcome>> {
    let read: Outcomes = serde_json::from_slice(text).context("the report of cargo-mutants")?;
    let mut outcomes = BTreeMap::new();
    for run in read.outcomes {
        let Scenario::Mutant(mutant) = run.scenario else { continue };
        let outcome = Outcome::of_summary(&run.summary);
        let outcome = outcome
            .with_context(|| format!("unknown outcome {} of {}", run.summary, mutant.name))?;
        let known = outcomes.entry(mutant.name).or_insert(outcome);
        if outcome == Outcome::Missed {
            *known = outcome;
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_and_counted() {
        let text = br#"{"outcomes": [
            {"scenario": "Baseline", "summary": "Success"},
            {"scenario": {"Mutant": {"name": "a", "genre": "FnValue"}}, "summary": "CaughtMutant"},
            {"scenario": {"Mutant": {"name": "b"}}, "summary": "MissedMutant"},
            {"scenario": {"Mutant": {"name": "b"}}, "summary": "CaughtMutant"},
            {"scenario": {"Mutant": {"name": "c"}}, "summary": "Timeout"},
            {"scenario": {"Mutant": {"name": "d"}}, "summary": "Unviable"},
            {"scenario": {"Mutant": {"name": "e"}}, "summary": "CaughtMutant"}
        ]}"#;
        let outcomes = read(text).expect("it is a report");
        let count = Count::of(outcomes.values());
        let wanted = Count { caught: 2, timeout: 1, missed: 1, unviable: 1, equivalent: 0 };
        assert_eq!((outcomes.len(), count), (5, wanted));
        assert_eq!((count.score(), Count::default().score()), (75.0, 100.0));
        assert!(
            read(br#"{"outcomes": [{"scenario": {"Mutant": {"name": "a"}}, "summary": "?"}]}"#)
                .is_err()
        );
    }
}
