//! Archive, journal and builder: the machines that own truth.

use std::sync::Arc;

use zklink::id::ShapeId;
use zklink::token::Network;
use zklink_mechanism::clock::{Clock, SystemClock, Tick};
use zklink_mechanism::host::Host;
use zklink_mechanism::port::Port;
use zklink_mechanism::shell::{MachineRef, Thread};
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::{Config as SupervisorConfig, Supervisor};
use zklink_store::archive::parity::ParityStore;
use zklink_store::archive::{Archive, ArchiveReader};
use zklink_store::fold;
use zklink_store::journal::Journal;
use zklink_store::journal::disk::FileDisk;
use zklink_store::journal::segment::SegmentLog;

use super::{MAILBOX, Setup, StartError};
use crate::builder::{self, Builder, ViewReader};
use crate::snapshot::{Base, Restored, SnapshotMaker, WitnessStart, restore};

/// Bytes after which the journal begins a new segment.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Supervision: wait before a rebuild, the longest wait, failures in a window, the window.
pub(super) const RESTARTS: SupervisorConfig = SupervisorConfig {
    backoff_first_ms: 100,
    backoff_max_ms: 10_000,
    failures_max: 5,
    window_ms: 60_000,
};

/// What is there after the core was started.
pub(super) struct Core {
    pub(super) host: Host,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) archive: ArchiveReader,
    pub(super) keep: Port<zklink_store::archive::Keep>,
    pub(super) builder: MachineRef<Builder>,
    pub(super) view: ViewReader,
    pub(super) ticks: Vec<Port<Tick>>,
    pub(super) supervisor: MachineRef<Supervisor>,
}

/// Archive, journal and builder, with everything that the journal holds.
pub(super) async fn start_core(
    setup: &Setup,
    network: &Arc<Network>,
) -> Result<(Core, WitnessStart, SnapshotMaker), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (mut host, supervisor) =
        Host::supervised_by(Arc::clone(&clock), Supervisor::new(RESTARTS)).await?;
    let data = &setup.data;
    std::fs::create_dir_all(data)
        .map_err(|source| StartError::Folder { path: data.clone(), source })?;
    let disk = FileDisk::open(&data.join("journal"))?;
    let identity = setup.deployment.deployment_id.0;
    let (mut log, opened) = SegmentLog::open(disk, &identity, SEGMENT_BYTES)?;
    if let Some(cut) = &opened.cut {
        tracing::warn!(?cut, "the last write was torn and is cut off; nobody was told of it");
    }
    let store = Arc::new(ParityStore::open(&data.join("archive"))?);
    let meaning = Box::new(|record: &zklink_store::journal::Record| fold::fold(&record.payload));
    let (archive, caught_up) = Archive::open(store, meaning, &mut log)?;
    tracing::info!(records = opened.records, caught_up, "journal and archive are open");
    let reader = archive.reader();
    let archive = host.start(&Thread::start(), "archive", MAILBOX, Origin::Once(archive)).await?;

    let shapes: Vec<ShapeId> = setup.deployment.shapes.iter().map(|shape| shape.id).collect();
    let config = builder::Config {
        block_age_max_ms: setup.block_max_age_ms,
        pace: Some(setup.terms.pace),
        ..builder::Config::default()
    };
    let base = Base { network: Arc::clone(network), shapes, genesis: setup.genesis.clone() };
    let restored = restore(&base, config, setup.snapshot_records, &reader, &mut log)?;
    let Restored { builder: mut machine, witness, snapshots, from, replayed } = restored;
    tracing::info!(snapshot = ?from, replayed, "the state is read");
    let journal = Journal::new(log, archive.port());
    let journal =
        host.start(&Thread::start(), "journal", 4 * MAILBOX, Origin::Once(journal)).await?;
    machine.connect(journal.port());
    machine.ask_fees(setup.terms.fees.clone());

    let view = machine.reader();
    let builder =
        host.start(&Thread::start(), "builder", 4 * MAILBOX, Origin::Once(machine)).await?;
    let ticks = vec![builder.port()];
    let keep = archive.port();
    let archive = reader;
    let core = Core { host, clock, archive, keep, builder, view, ticks, supervisor };
    Ok((core, witness, snapshots))
}
