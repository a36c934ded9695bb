//! A flood: more than a node can take, and how it does before, meanwhile and afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::LoadArgs;
use crate::crowd::{Crowd, Request, Senders, signed_transfers};
use crate::drive::{Driven, drive};
use crate::process::NodeProcess;
use crate::report::{self, Quantiles, quantiles};

/// How long it is calm before and afterwards, seconds.
const CALM_S: u32 = 10;
/// The calm rate is so many times smaller than the one of the flood is larger.
const CALM_SHARE: u32 = 4;
/// How long nothing is sent after the flood.
const REST: Duration = Duration::from_secs(5);

/// What came of it. Nothing is proven.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) proving: bool,
    pub(crate) before: Phase,
    pub(crate) flood: Phase,
    /// Begins five seconds after the flood.
    pub(crate) afterwards: Phase,
    /// Acknowledged, and not in the journal.
    pub(crate) lost_acknowledgements: usize,
    pub(crate) node_rss_mib_start: u64,
}

/// Some seconds at one rate.
#[derive(Debug, Serialize)]
pub(crate) struct Phase {
    pub(crate) offered_per_second: u32,
    pub(crate) seconds: u32,
    pub(crate) accepted: usize,
    pub(crate) accepted_per_second: f64,
    pub(crate) ack_ms: Quantiles,
    /// By code, each with the text of one.
    pub(crate) refused: BTreeMap<i64, (u64, String)>,
    pub(crate) unanswered: usize,
    /// At its end.
    pub(crate) node_rss_mib: u64,
}

impl Phase {
    fn of(rate: u32, seconds: u32, driven: &Driven) -> Phase {
        let accepted = driven.acknowledged.len();
        let refused: u64 = driven.refused.values().map(|(count, _)| count).sum();
        let answered = accepted + usize::try_from(refused).unwrap_or(usize::MAX);
        Phase {
            offered_per_second: rate,
            seconds,
            accepted,
            accepted_per_second: accepted as f64 / driven.took.as_secs_f64().max(f64::EPSILON),
            ack_ms: quantiles(driven),
            refused: driven.refused.clone(),
            unanswered: driven.sent.saturating_sub(answered),
            node_rss_mib: driven.usage.rss_mib,
        }
    }
}

/// Runs the three phases on a fresh node. One half of the users sends when it is calm, the other one the flood.
pub(crate) fn run(load: &LoadArgs, times: u32) -> Result<Report> {
    let crowd = Crowd::of(load.active);
    let half = load.active / 2;
    let calm = load.rate / CALM_SHARE;
    let flood = load.rate * times;
    let sign = |senders: Senders, rate: u32, seconds: u32| -> Result<Vec<Request>> {
        let count = usize::try_from(u64::from(rate) * u64::from(seconds))?;
        eprintln!("signing {count} transfers");
        Ok(signed_transfers(&crowd, senders, count))
    };
    // Whoever sends when it is calm goes on behind his last nonce: all before are accepted then.
    let turns = (calm * CALM_S).div_ceil(half);
    let calm_users = |nonce| Senders { first: half, users: half, nonce };
    let before = sign(calm_users(0), turns * half / CALM_S, CALM_S)?;
    let flooding = sign(Senders { first: 0, users: half, nonce: 0 }, flood, load.seconds)?;
    let nonce = u32::try_from(before.len())?.div_ceil(half);
    let after = sign(calm_users(nonce), calm, CALM_S)?;
    let folder = tempfile::tempdir().context("making a folder")?;
    eprintln!("starting a node with {} accounts", load.active);
    let node = NodeProcess::start(folder.path(), load.active, load.active)?;
    let node_rss_mib_start = node.usage()?.rss_mib;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let phase = |requests: &[Request], rate: u32| {
        eprintln!("{rate} a second");
        runtime.block_on(drive(&node, requests, rate, load.websockets, None))
    };
    let of_before = phase(&before, turns * half / CALM_S)?;
    let of_flood = phase(&flooding, flood)?;
    std::thread::sleep(REST);
    let of_after = phase(&after, calm)?;
    node.stop()?;
    let runs: [(&[Request], &Driven); 3] =
        [(&before, &of_before), (&flooding, &of_flood), (&after, &of_after)];
    Ok(Report {
        proving: false,
        before: Phase::of(turns * half / CALM_S, CALM_S, &of_before),
        flood: Phase::of(flood, load.seconds, &of_flood),
        afterwards: Phase::of(calm, CALM_S, &of_after),
        lost_acknowledgements: report::lost(folder.path(), &runs)?,
        node_rss_mib_start,
    })
}

/// A table of the phases.
pub(crate) fn print(report: &Report) {
    println!("proving off; node and generator share the cores");
    println!(
        "{:<12}{:>9}{:>10}{:>9}{:>9}{:>9}{:>10}{:>9}",
        "", "offered", "accepted", "p50 ms", "p99 ms", "p99.9", "unansw.", "RSS MiB"
    );
    let phases =
        [("before", &report.before), ("flood", &report.flood), ("afterwards", &report.afterwards)];
    for (name, phase) in phases {
        println!(
            "{name:<12}{:>9}{:>10.0}{:>9.1}{:>9.1}{:>9.1}{:>10}{:>9}",
            phase.offered_per_second,
            phase.accepted_per_second,
            phase.ack_ms.p50,
            phase.ack_ms.p99,
            phase.ack_ms.p999,
            phase.unanswered,
            phase.node_rss_mib,
        );
        for (code, (count, text)) in &phase.refused {
            println!("            refused {count} times with {code}: {text}");
        }
    }
    println!("acknowledged and lost: {}", report.lost_acknowledgements);
}
