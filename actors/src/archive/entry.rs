//! What the archive holds, as values and as bytes. The columns are in `zklink_migrations::schema`.

use std::fmt;

use zklink::id::{AccountId, BlockNumber};

use crate::journal::log::{Chain, brief};

/// Hash of a transaction.
pub type TxHash = [u8; 32];

/// What a journal record adds to the store.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A sealed block. Numbers follow each other.
    Block {
        /// Its number.
        number: BlockNumber,
        /// The block as its owner encodes it.
        bytes: Vec<u8>,
    },
    /// Where a transaction is now; replaces what was known before.
    Transaction {
        /// Its hash.
        hash: TxHash,
        /// Where it is.
        place: TxPlace,
    },
    /// One more transaction of an account, after those that it has.
    AccountTransaction {
        /// The account.
        account: AccountId,
        /// The transaction's hash.
        hash: TxHash,
    },
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { number, bytes } => write!(f, "Block({number}, {})", brief(bytes)),
            Self::Transaction { hash, place } => {
                write!(f, "Transaction({}, {place:?})", brief(hash))
            }
            Self::AccountTransaction { account, hash } => {
                write!(f, "AccountTransaction({account}, {})", brief(hash))
            }
        }
    }
}

/// What followers of the archive make and give back to it. It can be made again.
#[derive(Clone, PartialEq, Eq)]
pub enum Made {
    /// The proof of a block; it was checked.
    Proof {
        /// The block.
        block: BlockNumber,
        /// The proof's bytes.
        bytes: Vec<u8>,
    },
    /// What was published for a block.
    Commitment {
        /// The block.
        block: BlockNumber,
        /// The commitment's bytes.
        bytes: Vec<u8>,
    },
    /// A state from which replay can start. Replaces the one before.
    Snapshot(Snapshot),
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof { block, bytes } => write!(f, "Proof({block}, {})", brief(bytes)),
            Self::Commitment { block, bytes } => write!(f, "Commitment({block}, {})", brief(bytes)),
            Self::Snapshot(snapshot) => snapshot.fmt(f),
        }
    }
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxPlace {
    /// Executed, in a block that is not sealed yet.
    Pending,
    /// In a sealed block.
    Included {
        /// The block.
        block: BlockNumber,
        /// Its place among the block's operations, from zero.
        index: u32,
    },
}

impl TxPlace {
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Pending => vec![0],
            Self::Included { block, index } => {
                [&[1][..], &block.0.to_be_bytes(), &index.to_be_bytes()].concat()
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(Self::Pending),
            [1, place @ ..] => {
                let (block, index) = place.split_at_checked(4)?;
                let block = BlockNumber(u32::from_be_bytes(block.try_into().ok()?));
                Some(Self::Included { block, index: u32::from_be_bytes(index.try_into().ok()?) })
            }
            _ => None,
        }
    }
}

/// How far the journal is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Position of the next record.
    pub next: u64,
    /// The journal's chain up to there.
    pub chain: Chain,
}

impl Applied {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.next.to_be_bytes()[..], &self.chain].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (next, chain) = bytes.split_at_checked(8)?;
        let next = u64::from_be_bytes(next.try_into().ok()?);
        Some(Self { next, chain: chain.try_into().ok()? })
    }
}

/// A state from which replay can start.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Position of the first record that is not in it.
    pub position: u64,
    /// The state as its owner encodes it.
    pub bytes: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.position.to_be_bytes()[..], &self.bytes].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (position, state) = bytes.split_at_checked(8)?;
        let position = u64::from_be_bytes(position.try_into().ok()?);
        Some(Self { position, bytes: state.to_vec() })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({}, {})", self.position, brief(&self.bytes))
    }
}

pub(crate) fn block_key(block: BlockNumber) -> Vec<u8> {
    block.0.to_be_bytes().to_vec()
}

pub(crate) fn account_key(account: AccountId) -> Vec<u8> {
    account.0.to_be_bytes().to_vec()
}

pub(crate) fn account_place_key(account: AccountId, place: u64) -> Vec<u8> {
    [&account.0.to_be_bytes()[..], &place.to_be_bytes()].concat()
}
