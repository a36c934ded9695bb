//! What a run comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use zklink::tx::TxHash;
use zklink_store::journal::disk::FileDisk;
use zklink_store::journal::log::{LogError, replay};
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::record::Record;

use crate::LoadArgs;
use crate::crowd::{Request, deployment};
use crate::drive::Driven;
use crate::process::Usage;

/// Requests without an answer of which something is said.
const TOLD: usize = 8;

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Nothing is proven, and the node's chains are out of reach.
    pub(crate) proving: bool,
    pub(crate) accounts: u32,
    pub(crate) active_accounts: u32,
    pub(crate) websockets: usize,
    pub(crate) offered_per_second: u32,
    pub(crate) seconds: u32,
    pub(crate) sent: usize,
    pub(crate) accepted: usize,
    pub(crate) accepted_per_second: f64,
    /// From when a request was due to its acknowledgement.
    pub(crate) ack_ms: Quantiles,
    /// Acknowledged, and not in the journal.
    pub(crate) lost_acknowledgements: usize,
    pub(crate) unanswered: usize,
    pub(crate) refused: BTreeMap<i64, (u64, String)>,
    pub(crate) node_cpu_us_per_tx: f64,
    pub(crate) generator_cpu_us_per_tx: f64,
    /// What checking one transaction costs by itself.
    pub(crate) signature_share_us: f64,
    pub(crate) node_rss_mib: Rss,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rss {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Report {
    pub(crate) fn of(
        load: &LoadArgs,
        accounts: u32,
        driven: &Driven,
        lost_acknowledgements: usize,
        (node, own, rss, signature_share_us): (Usage, Usage, (u64, u64), f64),
    ) -> Report {
        let accepted = driven.acknowledged.len();
        let refused: u64 = driven.refused.values().map(|(count, _)| count).sum();
        let answered = accepted + usize::try_from(refused).unwrap_or(usize::MAX);
        let each = |seconds: f64| seconds * 1e6 / accepted.max(1) as f64;
        Report {
            proving: false,
            accounts,
            active_accounts: load.active,
            websockets: load.websockets,
            offered_per_second: load.rate,
            seconds: load.seconds,
            sent: driven.sent,
            accepted,
            accepted_per_second: accepted as f64 / driven.took.as_secs_f64().max(f64::EPSILON),
            ack_ms: quantiles(driven),
            lost_acknowledgements,
            unanswered: driven.sent.saturating_sub(answered),
            refused: driven.refused.clone(),
            node_cpu_us_per_tx: each(node.cpu_s),
            generator_cpu_us_per_tx: each(own.cpu_s),
            signature_share_us,
            node_rss_mib: Rss { start: rss.0, end: rss.1 },
        }
    }
}

pub(crate) fn quantiles(driven: &Driven) -> Quantiles {
    let mut late: Vec<u32> = driven.acknowledged.iter().map(|(_, micros)| *micros).collect();
    late.sort_unstable();
    let at = |share: f64| {
        let place = (late.len() as f64 * share) as usize;
        late.get(place.min(late.len().saturating_sub(1)))
            .map_or(0.0, |micros| f64::from(*micros) / 1e3)
    };
    Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

/// Says of some requests without an answer when they were due, and whether they were executed: a hint for whoever looks
/// for the cause. The node must not run any more.
pub(crate) fn tell_unanswered(
    folder: &Path,
    requests: &[Request],
    driven: &Driven,
    rate: u32,
) -> Result<()> {
    let refused: u64 = driven.refused.values().map(|(count, _)| count).sum();
    if refused > 0 {
        // Which ones were refused is not noted.
        return Ok(());
    }
    let known: BTreeSet<usize> = driven.acknowledged.iter().map(|(place, _)| *place).collect();
    let without = (0..driven.sent).filter(|place| !known.contains(place));
    let without: Vec<usize> = without.take(TOLD).collect();
    if without.is_empty() {
        return Ok(());
    }
    let kept = kept(folder)?;
    for place in without {
        let executed = if kept.contains(&requests[place].hash) { "" } else { " not" };
        let due = place as f64 / f64::from(rate);
        eprintln!("no answer to the request of {due:.3} s, which was{executed} executed");
    }
    Ok(())
}

/// Acknowledged transactions of several runs that the journal of the folder does not have. The node must not run any
/// more.
pub(crate) fn lost(folder: &Path, runs: &[(&[Request], &Driven)]) -> Result<usize> {
    let kept = kept(folder)?;
    let acknowledged = runs.iter().flat_map(|(requests, driven)| {
        driven.acknowledged.iter().map(|(place, _)| requests[*place].hash)
    });
    Ok(acknowledged.filter(|hash| !kept.contains(hash)).count())
}

/// The hashes of what the journal of a folder holds.
fn kept(folder: &Path) -> Result<BTreeSet<TxHash>> {
    let disk = FileDisk::open(&folder.join("journal"))?;
    let (mut log, _) = SegmentLog::open(disk, &deployment().deployment_id.0, SEGMENT_BYTES)?;
    let mut kept = BTreeSet::new();
    replay(&mut log, 0, |record| {
        if let Ok(Record::Executed(executed)) = Record::decode(&record.payload) {
            kept.insert(executed.source.hash());
        }
        Ok::<_, LogError>(())
    })?;
    Ok(kept)
}

/// A table of runs.
pub(crate) fn print(reports: &[Report]) {
    println!("proving off; node and generator share the cores");
    println!(
        "{:>9}{:>9}{:>10}{:>9}{:>9}{:>9}{:>6}{:>10}{:>10}{:>8}{:>8}{:>9}",
        "accounts",
        "offered",
        "accepted",
        "p50 ms",
        "p99 ms",
        "p99.9",
        "lost",
        "unansw.",
        "node us",
        "gen us",
        "sig us",
        "RSS MiB"
    );
    for report in reports {
        println!(
            "{:>9}{:>9}{:>10.0}{:>9.1}{:>9.1}{:>9.1}{:>6}{:>10}{:>10.0}{:>8.0}{:>8.0}{:>4}-{}",
            report.accounts,
            report.offered_per_second,
            report.accepted_per_second,
            report.ack_ms.p50,
            report.ack_ms.p99,
            report.ack_ms.p999,
            report.lost_acknowledgements,
            report.unanswered,
            report.node_cpu_us_per_tx,
            report.generator_cpu_us_per_tx,
            report.signature_share_us,
            report.node_rss_mib.start,
            report.node_rss_mib.end,
        );
        for (code, (count, text)) in &report.refused {
            println!("          refused {count} times with {code}: {text}");
        }
    }
    if let (Some(first), Some(last)) = (reports.first(), reports.last())
        && reports.len() > 1
    {
        let growth = last.node_cpu_us_per_tx / first.node_cpu_us_per_tx;
        println!("growth of the node's CPU a transfer: {growth:.2}");
    }
}
