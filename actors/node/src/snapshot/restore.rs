//! A builder, a root maker and a witness maker's beginning, from what is on disk.

use std::sync::Arc;

use zklink::commitment::StateTree;
use zklink::id::{BlockNumber, ShapeId};
use zklink::state::State;
use zklink::token::Network;
use zklink_mechanism::port::{Deliver, Envelope, Port, Refused};
use zklink_store::archive::{ArchiveError, ArchiveReader};
use zklink_store::journal::{Append, Log, LogError, replay};
use zklink_store::record::Record;

use super::Snapshot;
use crate::builder::{self, Builder, Ledger, ReplayError};
use crate::roots::{Policy, RootMaker};

/// What a deployment begins with.
#[derive(Clone, Debug)]
pub struct Base {
    /// Chains and tokens.
    pub network: Arc<Network>,
    /// The shapes with keys, the cheapest first.
    pub shapes: Vec<ShapeId>,
    /// The state before the first block.
    pub genesis: State,
    /// All blocks up to this one are proven on the hub, finally: nobody needs their proofs any more.
    pub proven: BlockNumber,
}

/// Where the witness maker begins: not behind the first block without a proof.
#[derive(Clone, Debug)]
pub struct WitnessStart {
    /// The state behind a block.
    pub state: State,
    /// Its trees.
    pub tree: StateTree,
    /// All blocks up to this one are proven, whether their proofs are here or not.
    pub proven: BlockNumber,
}

/// What a start has read.
#[derive(Debug)]
pub struct Restored {
    /// The builder with everything that the journal holds; its records go nowhere until
    /// [`Builder::connect`].
    pub builder: Builder,
    /// Where the witness maker begins.
    pub witness: WitnessStart,
    /// Makes the roots of the blocks behind the snapshot.
    pub roots: RootMaker,
    /// The block of the snapshot that was used.
    pub from: Option<BlockNumber>,
    /// Records that were replayed behind it.
    pub replayed: u64,
}

/// Why the journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The journal does not lead to the state that it says.
    #[error("record {position} of the journal: {error}")]
    Replay {
        /// Its position.
        position: u64,
        /// What is wrong.
        error: ReplayError,
    },
    /// A record of the journal cannot be read.
    #[error("record {position} of the journal: {reason}")]
    Record {
        /// Its position.
        position: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Where the builder's records go while it is given what the journal holds already: a replay makes none.
struct Nowhere;

impl Deliver<Append> for Nowhere {
    fn deliver(&self, envelope: Envelope<Append>) -> Result<(), Refused<Append>> {
        Err(Refused::Closed(envelope.message))
    }
}

/// Reads the newest snapshot that is good, and replays the journal behind it; all of the journal when there
/// is none. The result is the same. The archive must have caught up with the journal before.
///
/// # Errors
/// [`RestoreError`]. A bad snapshot is no error but a warning.
pub fn restore(
    base: &Base,
    config: builder::Config,
    records_between: u64,
    archive: &ArchiveReader,
    log: &mut dyn Log,
) -> Result<Restored, RestoreError> {
    let mut found = Candidates::list(archive);
    let newest = found.next_good(BlockNumber(u32::MAX), archive, log, &base.genesis);
    let proven = proven_prefix(found.proven.max(base.proven), archive)?;
    let from = newest.as_ref().map(|(snapshot, _)| snapshot.state.system.number);
    let (at, tree) = newest.unwrap_or_else(|| at_genesis(base, log));
    let witness = if at.state.system.number <= proven {
        (at.state.clone(), tree.clone())
    } else {
        let older = found.next_good(proven, archive, log, &base.genesis);
        let (older, tree) = older.unwrap_or_else(|| at_genesis(base, log));
        (older.state, tree)
    };
    let witness = WitnessStart { state: witness.0, tree: witness.1, proven };

    let mut builder = begin(base, config, &at);
    let position = at.position;
    replay(log, position, |record| {
        let position = record.position;
        let parsed = Record::decode(&record.payload)
            .map_err(|bad| RestoreError::Record { position, reason: bad.to_string() })?;
        builder.replay(&parsed).map_err(|error| RestoreError::Replay { position, error })
    })?;
    let policy = Policy { records: records_between, receipts_max: config.receipts_max };
    let network = Arc::clone(&base.network);
    let roots = RootMaker::new(archive.clone(), network, policy, (at, tree), proven);
    Ok(Restored { builder, witness, roots, from, replayed: log.end() - position })
}

/// The fold before the first record, with the trees of its state.
fn at_genesis(base: &Base, log: &dyn Log) -> (Snapshot, StateTree) {
    let tree = StateTree::of(&base.genesis);
    (Snapshot::genesis(log.start(), base.genesis.clone()), tree)
}

/// A builder on a fold.
fn begin(base: &Base, config: builder::Config, at: &Snapshot) -> Builder {
    let network = Arc::clone(&base.network);
    let ledger = Ledger::resume(network, &base.shapes, at.state.clone(), at.keys.clone());
    let receipts = at.receipts.iter().map(|receipt| (*receipt).into()).collect();
    Builder::resume(config, ledger, receipts, Port::new(Nowhere))
}

/// The snapshots that were not tried yet, in order.
struct Candidates {
    kept: Vec<BlockNumber>,
    proven: BlockNumber,
}

impl Candidates {
    fn list(archive: &ArchiveReader) -> Candidates {
        let listed = archive.snapshots().unwrap_or_else(|error| {
            tracing::warn!(%error, "the list of snapshots cannot be read");
            zklink_store::archive::Snapshots::default()
        });
        Candidates { kept: listed.kept, proven: listed.proven }
    }

    /// The newest good snapshot that is not behind `last`.
    fn next_good(
        &mut self,
        last: BlockNumber,
        archive: &ArchiveReader,
        log: &mut dyn Log,
        genesis: &State,
    ) -> Option<(Snapshot, StateTree)> {
        while let Some(block) = self.kept.pop() {
            if block > last {
                continue;
            }
            match Snapshot::load(block, archive, log, genesis) {
                Ok(loaded) => return Some(loaded),
                Err(error) => {
                    tracing::warn!(%block, %error, "a snapshot of the state is not used");
                }
            }
        }
        None
    }
}

/// The block up to which all have proofs, from one up to which they had before.
fn proven_prefix(
    before: BlockNumber,
    archive: &ArchiveReader,
) -> Result<BlockNumber, ArchiveError> {
    let mut proven = before;
    while let Some(next) = proven.next() {
        if archive.proof(next)?.is_none() {
            break;
        }
        proven = next;
    }
    Ok(proven)
}
