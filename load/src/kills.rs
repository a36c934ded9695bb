//! Nodes that are killed under load. What they acknowledged must be in their journals, and they must start again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::LoadArgs;
use crate::crowd::{Crowd, signed_transfers};
use crate::drive::drive;
use crate::process::NodeProcess;
use crate::report;

/// The first moment at which a node is killed, and the step from one node to the next.
const FIRST: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(37);
/// After so many steps it begins anew.
const STEPS: u32 = 50;
/// How long is sent: longer than any node lives.
const SECONDS: u32 = 3;

/// What came of it. Nothing is proven.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) proving: bool,
    pub(crate) killed: u32,
    pub(crate) offered_per_second: u32,
    pub(crate) acknowledged: usize,
    /// Acknowledged, and not in the journal.
    pub(crate) lost_acknowledgements: usize,
    /// The longest start on the folder of a killed node, until it listens.
    pub(crate) restart_s_max: f64,
}

/// Kills so many nodes.
#[expect(clippy::disallowed_methods, reason = "a measurement of time")]
pub(crate) fn run(load: &LoadArgs, times: u32) -> Result<Report> {
    let crowd = Crowd::of(load.active);
    let count = usize::try_from(u64::from(load.rate) * u64::from(SECONDS))?;
    let requests = signed_transfers(&crowd, crowd.all(), count);
    let mut report = Report {
        proving: false,
        killed: 0,
        offered_per_second: load.rate,
        acknowledged: 0,
        lost_acknowledgements: 0,
        restart_s_max: 0.0,
    };
    for number in 0..times {
        let folder = tempfile::tempdir().context("making a folder")?;
        let node = NodeProcess::start(folder.path(), load.active, load.active)?;
        let after = FIRST + STEP * (number % STEPS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let driven =
            runtime.block_on(drive(&node, &requests, load.rate, load.websockets, Some(after)))?;
        node.stop()?;
        let lost = report::lost(folder.path(), &[(&requests, &driven)])?;
        let begun = Instant::now();
        NodeProcess::start(folder.path(), load.active, load.active)?.stop()?;
        report.restart_s_max = report.restart_s_max.max(begun.elapsed().as_secs_f64());
        report.killed += 1;
        report.acknowledged += driven.acknowledged.len();
        report.lost_acknowledgements += lost;
        eprintln!(
            "{}: killed after {} ms with {} acknowledged, {lost} of them lost",
            report.killed,
            after.as_millis(),
            driven.acknowledged.len()
        );
    }
    Ok(report)
}

/// What came of it, in words.
pub(crate) fn print(report: &Report) {
    println!("proving off; node and generator share the cores");
    println!(
        "{} nodes killed under {} transfers a second: {} acknowledged, {} of them lost; the longest start again \
         {:.1} s",
        report.killed,
        report.offered_per_second,
        report.acknowledged,
        report.lost_acknowledgements,
        report.restart_s_max
    );
}
