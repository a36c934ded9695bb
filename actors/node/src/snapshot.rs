//! Snapshots: a start reads the newest one and replays only the journal behind it.
//!
//! A snapshot is the fold over the journal up to a block's seal: the state, the keys that owners have
//! authorised, and the receipts of the last transactions. The [`SnapshotMaker`] makes it from what the
//! archive holds, so only from what is durable, and never on the builder's thread. [`restore`] believes
//! it only if it fits the journal at hand and its trees lead to the root that the journal says; any
//! other is passed over with a warning, for an older one or for the whole journal.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zklink::audit::{Imbalance, audit};
use zklink::block::Head;
use zklink::commitment::StateTree;
use zklink::id::BlockNumber;
use zklink::state::State;
use zklink::tx::{KeyAuthorisations, TxHash};
use zklink_mechanism::timestamp::Timestamp;
use zklink_store::archive::{ArchiveError, ArchiveReader};
use zklink_store::journal::log::Chain;
use zklink_store::journal::{Log, LogError};
use zklink_store::record::Record;

use crate::builder::{Place, Receipt};

pub mod maker;
pub mod restore;
#[cfg(test)]
mod tests;

pub use maker::{Policy, SnapshotFault, SnapshotMaker};
pub use restore::{Base, RestoreError, Restored, WitnessStart, restore};

/// How a snapshot begins: what it is, and the version of the form below.
const MAGIC: &[u8; 8] = b"zklsnap1";
/// Bytes before the body: the magic and the body's SHA-256.
const HEADER_BYTES: usize = 40;

/// See the module. On disk: magic (8 bytes), SHA-256 of the rest (32 bytes), JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Position of the first record of the journal that is not in it: the one behind a seal.
    pub position: u64,
    /// The journal's chain there.
    #[serde(with = "hex::serde")]
    pub chain: Chain,
    /// The last block; none at genesis, of which no snapshot is stored.
    pub head: Option<Head>,
    /// The state behind that block.
    pub state: State,
    /// The keys that were authorised and not used.
    pub keys: KeyAuthorisations,
    /// Length of the archive's list of keys.
    pub keys_seen: u64,
    /// The last transactions, oldest first.
    pub receipts: VecDeque<StoredReceipt>,
}

/// A receipt in short: hash, block, index, time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredReceipt(pub TxHash, pub BlockNumber, pub u32, pub u64);

impl From<StoredReceipt> for Receipt {
    fn from(StoredReceipt(hash, block, index, time): StoredReceipt) -> Receipt {
        Receipt { hash, place: Place { block, index, time: Timestamp(time) } }
    }
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is listed and not there.
    #[error("it is missing")]
    Missing,
    /// The store failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The journal failed where the snapshot was compared with it.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// It is none, or of another version of this program.
    #[error("it was not written by this version of the program")]
    Version,
    /// Its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// Its body does not parse.
    #[error("it does not parse: {0}")]
    Form(#[from] serde_json::Error),
    /// An id is outside of the trees.
    #[error("it has ids that no state has")]
    Ids,
    /// The journal has something else at its position.
    #[error("the journal has no such block at position {0}")]
    OtherJournal(u64),
    /// Its state belongs to another deployment or block.
    #[error("its state is of another deployment or block")]
    OtherState,
    /// Its state has another root than its block.
    #[error("its state does not have the root of block {0}")]
    Root(BlockNumber),
    /// Its books do not balance.
    #[error("its books do not balance: {0}")]
    Imbalance(Imbalance),
}

impl Snapshot {
    /// The fold before the first record.
    pub fn genesis(chain: Chain, state: State) -> Snapshot {
        let (keys, receipts) = (KeyAuthorisations::default(), VecDeque::new());
        Snapshot { position: 0, chain, head: None, state, keys, keys_seen: 0, receipts }
    }

    /// The bytes that the archive keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        serde_json::to_writer(&mut bytes, self).expect("strings, numbers and lists, into memory");
        let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..HEADER_BYTES].copy_from_slice(&digest);
        bytes
    }

    /// Reads what [`Snapshot::encode`] wrote.
    ///
    /// # Errors
    /// [`Unusable`]; what it says of journal and root is checked by [`Snapshot::load`] only.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, Unusable> {
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(Unusable::Version)?;
        let digest = header.strip_prefix(MAGIC).ok_or(Unusable::Version)?;
        if *digest != Sha256::digest(body)[..] {
            return Err(Unusable::Damaged);
        }
        let mut snapshot: Snapshot = serde_json::from_slice(body)?;
        snapshot.state.rebuild_index();
        Ok(snapshot)
    }

    /// The snapshot behind a block with the trees of its state, if journal and root agree with it.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn load(
        block: BlockNumber,
        archive: &ArchiveReader,
        log: &mut dyn Log,
        genesis: &State,
    ) -> Result<(Snapshot, StateTree), Unusable> {
        let bytes = archive.snapshot(block)?.ok_or(Unusable::Missing)?;
        let snapshot = Snapshot::decode(&bytes)?;
        let head = snapshot.sealed_in(log)?;
        let (state, system) = (&snapshot.state, snapshot.state.system);
        let told = (system.number, system.timestamp, system.deployment);
        if told != (block, head.timestamp, genesis.system.deployment) || head.number != block {
            return Err(Unusable::OtherState);
        }
        if !ids_fit(state) {
            return Err(Unusable::Ids);
        }
        let mut tree = StateTree::of(state);
        if tree.root() != head.new_root {
            return Err(Unusable::Root(block));
        }
        audit(state).map_err(Unusable::Imbalance)?;
        Ok((snapshot, tree))
    }

    /// The head of the block that the journal seals right before this snapshot.
    fn sealed_in(&self, log: &mut dyn Log) -> Result<Head, Unusable> {
        let other = || Unusable::OtherJournal(self.position);
        let last = self.position.checked_sub(1).filter(|last| *last < log.end());
        let records = log.read(last.ok_or_else(other)?, 1)?;
        let record = records.first().filter(|record| record.chain == self.chain);
        match record.and_then(|record| Record::decode(&record.payload).ok()) {
            Some(Record::Sealed(sealed)) if self.head == Some(sealed.block.head) => {
                Ok(sealed.block.head)
            }
            _ => Err(other()),
        }
    }
}

/// Whether every id has a place in the trees, which panic at others.
fn ids_fit(state: &State) -> bool {
    let mut accounts = state.accounts();
    state.chains().all(|(chain, _)| chain.is_valid())
        && accounts.all(|(id, account)| {
            id.is_valid() && account.sub_accounts.keys().all(|sub| sub.is_valid())
        })
}
