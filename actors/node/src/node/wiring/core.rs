//! Archive, journal and builder: the machines that own truth.

use std::sync::Arc;

use zklink::id::ShapeId;
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::supervised::Origin;
use zklink_store::archive::Archive;
use zklink_store::fold;
use zklink_store::journal::{Journal, Log};

use super::{Core, MAILBOX, Parts, StartError};
use crate::roots::RootMaker;
use crate::snapshot::{Base, Restored, WitnessStart, restore};

/// Archive, journal and builder, with everything that the journal holds.
pub(super) async fn start_core<P: Platform>(
    platform: &mut P,
    parts: &Parts,
    mut log: Box<dyn Log>,
) -> Result<(Core<P>, WitnessStart, RootMaker), StartError> {
    let (archive, caught_up) = Archive::open(Arc::clone(&parts.store), fold::fold(), &mut *log)?;
    tracing::info!(records = log.end(), caught_up, "journal and archive are open");
    let reader = archive.reader();
    let thread = platform.thread();
    let archive = platform.start(&thread, "archive", MAILBOX, Origin::Once(archive)).await?;

    let shapes: Vec<ShapeId> = parts.deployment.shapes.iter().map(|shape| shape.id).collect();
    let network = Arc::new(parts.deployment.network());
    let (genesis, proven) = (parts.genesis.clone(), parts.proven);
    let base = Base { network, shapes, genesis, proven };
    let restored = restore(&base, parts.builder, parts.snapshot_records, &reader, &mut *log)?;
    let Restored { builder: mut machine, witness, roots, from, replayed } = restored;
    tracing::info!(snapshot = ?from, replayed, "the state is read");
    let (thread, journal) = (platform.thread(), Journal::new(log, archive.port()));
    let journal = platform.start(&thread, "journal", parts.mailbox, Origin::Once(journal)).await?;
    machine.connect(journal.port());
    machine.ask_fees(parts.fees.clone());

    let (thread, view) = (platform.thread(), machine.reader());
    let builder = platform.start(&thread, "builder", parts.mailbox, Origin::Once(machine)).await?;
    let ticks = vec![builder.port()];
    let core = Core { archive, journal, builder, reader, view, started_from: from, ticks };
    Ok((core, witness, roots))
}
