//! Snapshots: a start reads the newest one and replays only the journal behind it.
//!
//! A snapshot is the fold over the journal up to a block's seal: the state with the leaves of its accounts, the keys
//! that owners have authorised, and the receipts of the last transactions. The [root maker](crate::roots) cuts it off
//! from what the archive holds, so only from what is durable, and never on the builder's thread. [`restore`] believes
//! it only if it fits the journal at hand and its leaves lead to the root of its block; any other is passed over with
//! a warning, for an older one or for the whole journal. That the leaf of an account is the one of its contents shows
//! when the account is used for the first time.

use std::collections::VecDeque;

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};
use zklink::audit::{Imbalance, audit};
use zklink::commitment::StateTree;
use zklink::hash::{Fr, fr_from_be_bytes, fr_to_be_bytes};
use zklink::id::BlockNumber;
use zklink::state::State;
use zklink::tx::{KeyAuthorisations, TxHash};
use zklink_mechanism::timestamp::Timestamp;
use zklink_store::archive::{ArchiveError, ArchiveReader};
use zklink_store::journal::log::Chain;
use zklink_store::journal::{Log, LogError};
use zklink_store::record::{Record, Seal};

use crate::builder::{Place, Receipt};

pub mod maker;
pub mod restore;
#[cfg(test)]
mod tests;

pub use maker::SnapshotFault;
pub use restore::{Base, RestoreError, Restored, WitnessStart, restore};

/// How a snapshot begins: what it is, and the version of the form below.
const MAGIC: &[u8; 8] = b"zklsnap2";
/// Bytes before the body: the magic and the body's SHA-256.
const HEADER_BYTES: usize = 40;

/// See the module. On disk: magic (8 bytes), SHA-256 of the rest (32 bytes), the binary form of this and of the
/// leaves, 32 bytes each.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Snapshot {
    /// Position of the first record of the journal that is not in it: the one behind a seal.
    pub position: u64,
    /// The journal's chain there.
    pub chain: Chain,
    /// The last block; none at genesis, of which no snapshot is stored.
    pub seal: Option<Seal>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct StoredReceipt(pub TxHash, pub BlockNumber, pub u32, pub u64);

impl From<StoredReceipt> for Receipt {
    fn from(StoredReceipt(hash, block, index, time): StoredReceipt) -> Receipt {
        Receipt { hash, place: Place { block, index, time: Timestamp(time) } }
    }
}

/// What a snapshot is made of. It shares with the state of whoever cut it off what is equal in both.
#[derive(Debug)]
pub struct Cut {
    /// The fold.
    pub at: Snapshot,
    /// The leaves of its accounts, in order.
    pub leaves: Vec<Fr>,
    /// All blocks up to this one are proven.
    pub proven: BlockNumber,
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
    Form(#[from] std::io::Error),
    /// There are not as many leaves as accounts, or one is no element of the field.
    #[error("it does not have one leaf for each account")]
    Leaves,
    /// An id is outside of the trees.
    #[error("it has ids that no state has")]
    Ids,
    /// The journal has something else at its position.
    #[error("the journal has no such block at position {0}")]
    OtherJournal(u64),
    /// Its state belongs to another deployment or block.
    #[error("its state is of another deployment or block")]
    OtherState,
    /// Its leaves are not those of its block.
    #[error("its leaves do not lead to the root of block {0}")]
    Root(BlockNumber),
    /// Its books do not balance.
    #[error("its books do not balance: {0}")]
    Imbalance(Imbalance),
}

impl Snapshot {
    /// The fold before the first record.
    pub fn genesis(chain: Chain, state: State) -> Snapshot {
        let (keys, receipts) = (KeyAuthorisations::default(), VecDeque::new());
        Snapshot { position: 0, chain, seal: None, state, keys, keys_seen: 0, receipts }
    }

    /// The bytes that the archive keeps: with the leaves of all accounts.
    pub fn encode(&self, leaves: &[Fr]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.serialize(&mut bytes).expect("into memory, and no list is so long");
        bytes.extend(leaves.iter().flat_map(|leaf| fr_to_be_bytes(*leaf)));
        let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[MAGIC.len()..HEADER_BYTES].copy_from_slice(&digest);
        bytes
    }

    /// Reads what [`Snapshot::encode`] wrote.
    ///
    /// # Errors
    /// [`Unusable`]; what it says of journal and root is checked by [`Snapshot::load`] only.
    pub fn decode(bytes: &[u8]) -> Result<(Snapshot, Vec<Fr>), Unusable> {
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(Unusable::Version)?;
        let digest = header.strip_prefix(MAGIC).ok_or(Unusable::Version)?;
        if *digest != Sha256::digest(body)[..] {
            return Err(Unusable::Damaged);
        }
        let mut rest = body;
        let mut snapshot = Snapshot::deserialize(&mut rest)?;
        snapshot.state.rebuild_index();
        let (leaves, rest) = rest.as_chunks::<32>();
        let leaves: Option<Vec<Fr>> = leaves.iter().map(|leaf| fr_from_be_bytes(*leaf)).collect();
        let leaves = leaves.filter(|_| rest.is_empty()).ok_or(Unusable::Leaves)?;
        Ok((snapshot, leaves))
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
        let (snapshot, leaves) = Snapshot::decode(&bytes)?;
        let seal = snapshot.sealed_in(log)?;
        let (state, system) = (&snapshot.state, snapshot.state.system);
        let told = (system.number, system.timestamp, system.deployment);
        if told != (block, seal.timestamp, genesis.system.deployment) || seal.number != block {
            return Err(Unusable::OtherState);
        }
        if !ids_fit(state) {
            return Err(Unusable::Ids);
        }
        let mut tree = StateTree::of_leaves(state, &leaves).ok_or(Unusable::Leaves)?;
        if archive.root(block)? != Some(tree.root()) {
            return Err(Unusable::Root(block));
        }
        audit(state).map_err(Unusable::Imbalance)?;
        Ok((snapshot, tree))
    }

    /// The seal that the journal has right before this snapshot.
    fn sealed_in(&self, log: &mut dyn Log) -> Result<Seal, Unusable> {
        let other = || Unusable::OtherJournal(self.position);
        let last = self.position.checked_sub(1).filter(|last| *last < log.end());
        let records = log.read(last.ok_or_else(other)?, 1)?;
        let record = records.first().filter(|record| record.chain == self.chain);
        match record.and_then(|record| Record::decode(&record.payload).ok()) {
            Some(Record::Sealed(seal)) if self.seal == Some(seal) => Ok(seal),
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
