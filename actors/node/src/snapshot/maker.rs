//! The maker of snapshots: a follower of the archive with a state of its own.
//!
//! It executes sealed blocks and hashes nothing; whether a snapshot leads to the right root is checked
//! where it is used. What it cannot go on from costs the next start time, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::audit::{Imbalance, audit};
use zklink::id::BlockNumber;
use zklink::op::Op;
use zklink::reject::Reject;
use zklink::token::Network;
use zklink_mechanism::platform::Offload;
use zklink_mechanism::port::{Port, Refused};
use zklink_store::archive::{ArchiveError, ArchiveReader, Keep, Made};
use zklink_store::record::{KeyAuthorised, SealedBlock, Source};

use super::{Snapshot, StoredReceipt};
use crate::builder::ledger::forget_keys;

/// How long to wait when there is nothing to do, or when the archive is full.
const PAUSE: Duration = Duration::from_millis(500);
/// A snapshot of so many bytes is worth one more record of replay: writing it must not become more work
/// than what it spares.
const BYTES_PER_RECORD: u64 = 1024;
/// A larger snapshot is not stored, bytes.
const BYTES_MAX: usize = 1 << 30;

/// When snapshots are made.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Records of the journal between two of them, at least. A large snapshot waits for one more record
    /// for each KiB of it.
    pub records: u64,
    /// Receipts that are in it: as many as the builder keeps.
    pub receipts_max: usize,
}

impl Policy {
    /// Records between two snapshots where nobody says otherwise: some seconds of replay.
    pub const RECORDS: u64 = 10_000;
}

/// Why no more snapshots can be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A stored block or key cannot be read.
    #[error("block {0} or a key before it cannot be read: {1}")]
    Unreadable(BlockNumber, serde_json::Error),
    /// A block does not continue the one before.
    #[error("block {0} does not continue the journal before it")]
    Order(BlockNumber),
    /// The books of the state behind a block do not balance.
    #[error("the books behind block {0} do not balance: {1}")]
    Imbalance(BlockNumber, Imbalance),
    /// An operation of a sealed block is refused.
    #[error("an operation of block {0} is refused: {1}")]
    Refused(BlockNumber, Reject),
}

/// See the module.
#[derive(Debug)]
pub struct SnapshotMaker {
    archive: ArchiveReader,
    network: Arc<Network>,
    pub(super) policy: Policy,
    at: Snapshot,
    /// Position and size of the last snapshot.
    taken: (u64, u64),
    proven: BlockNumber,
}

impl SnapshotMaker {
    /// A maker that goes on from `at`, which is stored or genesis. All blocks up to `proven` are proven.
    pub fn new(
        archive: ArchiveReader,
        network: Arc<Network>,
        policy: Policy,
        at: Snapshot,
        proven: BlockNumber,
    ) -> SnapshotMaker {
        let taken = (at.position, 0);
        SnapshotMaker { archive, network, policy, at, taken, proven }
    }

    /// The fold so far.
    pub fn at(&self) -> &Snapshot {
        &self.at
    }

    /// Follows the next sealed block; nothing when there is none. Gives what is to be kept of it: at most
    /// one snapshot.
    ///
    /// # Errors
    /// [`SnapshotFault`], after which the maker must not be used.
    pub fn step(&mut self) -> Result<Option<Vec<Made>>, SnapshotFault> {
        let Some(number) = self.at.state.system.number.next() else { return Ok(None) };
        let Some(bytes) = self.archive.block(number)? else { return Ok(None) };
        let sealed: SealedBlock = serde_json::from_slice(&bytes)
            .map_err(|error| SnapshotFault::Unreadable(number, error))?;
        self.follow(number, &sealed)?;
        let (position, size) = self.taken;
        let due = self.policy.records.max(size / BYTES_PER_RECORD);
        if self.at.position.saturating_sub(position) < due {
            return Ok(Some(Vec::new()));
        }
        self.take(number).map(Some)
    }

    /// Between two seals the journal has exactly the block's entries and the keys that came meanwhile, so
    /// that the positions of the keys tell the order of all.
    fn follow(&mut self, number: BlockNumber, sealed: &SealedBlock) -> Result<(), SnapshotFault> {
        let order = SnapshotFault::Order(number);
        let Some(seal) = self.archive.seal(number)? else { return Err(order) };
        let head = sealed.block.head;
        let behind = seal.next.checked_sub(1).filter(|last| *last >= self.at.position);
        let (Some(last), true) = (behind, head.number == number) else { return Err(order) };
        let mut entries = (0..).zip(sealed.entries());
        let mut key = self.archive.key(self.at.keys_seen)?;
        for position in self.at.position..last {
            if let Some((_, bytes)) = key.take_if(|(at, _)| *at == position) {
                self.authorise(number, &bytes)?;
                key = self.archive.key(self.at.keys_seen)?;
            } else if let Some((index, (op, source))) = entries.next() {
                self.execute(number, index, op, source)?;
            } else {
                return Err(order);
            }
        }
        if entries.next().is_some() {
            return Err(order);
        }
        let at = &mut self.at;
        at.state.end_block(number, head.timestamp);
        (at.position, at.chain, at.head) = (seal.next, seal.chain, Some(head));
        Ok(())
    }

    fn authorise(&mut self, number: BlockNumber, bytes: &[u8]) -> Result<(), SnapshotFault> {
        let key: KeyAuthorised = serde_json::from_slice(bytes)
            .map_err(|error| SnapshotFault::Unreadable(number, error))?;
        // The builder journals only keys that it took, so that nothing is checked here.
        self.at.keys.insert(key.chain, key.owner, key.nonce, &key.key);
        self.at.keys_seen += 1;
        Ok(())
    }

    fn execute(
        &mut self,
        number: BlockNumber,
        index: u32,
        op: &Op,
        source: &Source,
    ) -> Result<(), SnapshotFault> {
        let at = &mut self.at;
        op.apply(&mut at.state).map_err(|reject| SnapshotFault::Refused(number, reject))?;
        if let Op::ChangePubKey(change) = op {
            forget_keys(&mut at.keys, &self.network, change.owner, change.nonce);
        }
        if let Source::Tx(tx) = source {
            at.receipts.push_back(StoredReceipt(tx.hash, number, index, tx.time));
            if at.receipts.len() > self.policy.receipts_max {
                at.receipts.pop_front();
            }
        }
        Ok(())
    }

    fn take(&mut self, number: BlockNumber) -> Result<Vec<Made>, SnapshotFault> {
        // The builder checks what each block changed; here the whole is added up.
        let audited = audit(&self.at.state);
        audited.map_err(|imbalance| SnapshotFault::Imbalance(number, imbalance))?;
        while let Some(next) = self.proven.next().filter(|next| *next <= number) {
            if self.archive.proof(next)?.is_none() {
                break;
            }
            self.proven = next;
        }
        let bytes = self.at.encode();
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.taken = (self.at.position, size);
        if bytes.len() > BYTES_MAX {
            tracing::warn!(block = %number, size, "a snapshot of the state is too large to be kept");
            return Ok(Vec::new());
        }
        Ok(vec![Made::Snapshot { block: number, proven: self.proven, bytes }])
    }
}

/// Makes snapshots until `stop` becomes true. A fault ends it, not the node: the next start takes longer.
///
/// # Errors
/// [`SnapshotFault::Imbalance`]: the node must not go on.
pub async fn drive(
    mut maker: SnapshotMaker,
    keep: Port<Keep>,
    offload: Offload,
    stop: watch::Receiver<bool>,
) -> Result<(), SnapshotFault> {
    while !*stop.borrow() {
        let work = move || {
            let made = maker.step();
            (maker, made)
        };
        let (back, made) = offload.run(work).await;
        maker = back;
        match made {
            Ok(None) => tokio::time::sleep(PAUSE).await,
            Ok(Some(made)) if made.is_empty() => {}
            Ok(Some(made)) => store(Keep { made }, &keep, &stop).await,
            Err(fault @ SnapshotFault::Imbalance(..)) => return Err(fault),
            Err(fault) => {
                tracing::error!(%fault, "no more snapshots are made");
                break;
            }
        }
    }
    Ok(())
}

async fn store(mut keep: Keep, port: &Port<Keep>, stop: &watch::Receiver<bool>) {
    while !*stop.borrow() {
        match port.tell(keep) {
            Ok(()) | Err(Refused::Closed(_)) => return,
            Err(Refused::Full(back)) => keep = back,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
