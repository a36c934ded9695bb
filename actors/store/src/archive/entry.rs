//! What the archive holds, as values and as bytes. The columns are in `zklink_migrations::schema`.

use std::fmt;

use zklink::hash::{Fr, fr_from_be_bytes, fr_to_be_bytes};
use zklink::id::{AccountId, BlockNumber, ChainId, Serial};
use zklink_migrations::schema::KEY_WATCHED;

use crate::journal::log::{Chain, brief};

/// The newest snapshots, which are kept: a damaged one has others to fall back to.
const SNAPSHOTS_KEPT: usize = 3;

/// Hash of a transaction.
pub type TxHash = [u8; 32];

/// What a journal record adds to the store.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A sealed block without its roots. Numbers follow each other.
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
    /// One more block with operations of a chain, after those that it has.
    ChainBlock {
        /// The chain.
        chain: ChainId,
        /// The block.
        number: BlockNumber,
        /// The hash of what it holds for the chain.
        content: [u8; 32],
    },
    /// One more key that an owner authorised on a chain.
    Key {
        /// The key as its owner encodes it.
        bytes: Vec<u8>,
    },
    /// One more deposit of a transaction on a chain.
    Deposit {
        /// The hash of that transaction.
        l1_tx: [u8; 32],
        /// The hash of the deposit.
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
            Self::ChainBlock { chain, number, .. } => write!(f, "ChainBlock({chain}, {number})"),
            Self::Key { bytes } => write!(f, "Key({})", brief(bytes)),
            Self::Deposit { l1_tx, hash } => {
                write!(f, "Deposit({}, {})", brief(l1_tx), brief(hash))
            }
        }
    }
}

/// What followers of the archive make and give back to it. It can be made again.
#[derive(Clone, PartialEq, Eq)]
pub enum Made {
    /// The root of the state behind a block, or at genesis, behind block 0.
    Root {
        /// The block.
        block: BlockNumber,
        /// The root.
        root: Fr,
    },
    /// The proof of a block; it was checked.
    Proof {
        /// The block.
        block: BlockNumber,
        /// The proof's bytes.
        bytes: Vec<u8>,
    },
    /// A state from which replay can start, made from what the archive holds.
    Snapshot {
        /// The block behind which it stands.
        block: BlockNumber,
        /// All blocks up to this one are proven.
        proven: BlockNumber,
        /// The state as its owner encodes it.
        bytes: Vec<u8>,
    },
    /// Up to where a chain was read. Replaces what was known before.
    Watched {
        /// The chain.
        chain: ChainId,
        /// How far.
        to: Watched,
    },
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { block, root } => write!(f, "Root({block}, {root})"),
            Self::Proof { block, bytes } => write!(f, "Proof({block}, {})", brief(bytes)),
            Self::Snapshot { block, bytes, .. } => write!(f, "Snapshot({block}, {})", brief(bytes)),
            Self::Watched { chain, to } => write!(f, "Watched({chain}, {})", to.block),
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

/// The snapshots that the store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// All blocks up to this one were proven when the last snapshot was stored.
    pub proven: BlockNumber,
    /// The blocks behind which the snapshots stand, in order.
    pub kept: Vec<BlockNumber>,
}

impl Snapshots {
    /// The list with one more, and those that are not needed any more: beside the newest ones, one that
    /// is not newer than the proven blocks stays, because whoever makes witnesses begins there.
    pub(crate) fn with(&self, block: BlockNumber, proven: BlockNumber) -> (Self, Vec<BlockNumber>) {
        let mut kept = self.kept.clone();
        kept.retain(|known| *known < block);
        kept.push(block);
        let base = kept.iter().rev().find(|known| **known <= proven).copied();
        let newest = kept.len().saturating_sub(SNAPSHOTS_KEPT);
        let mut place = 0;
        kept.retain(|known| {
            place += 1;
            place > newest || Some(*known) == base
        });
        let is_dropped = |known: &BlockNumber| *known != block && !kept.contains(known);
        let dropped = self.kept.iter().copied().filter(is_dropped).collect();
        (Self { proven, kept }, dropped)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [self.proven].into_iter().chain(self.kept.iter().copied());
        numbers.flat_map(|number| number.0.to_be_bytes()).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let (proven, kept) = numbers.split_first().filter(|_| rest.is_empty())?;
        let number = |bytes: &[u8; 4]| BlockNumber(u32::from_be_bytes(*bytes));
        Some(Self { proven: number(proven), kept: kept.iter().map(number).collect() })
    }
}

/// Up to where the events of a chain are in the journal: a start need not read them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    /// A final block of the chain; no event of it or of one before it is missing.
    pub block: u64,
    /// Its hash: a chain that has another block there is read from the beginning.
    pub hash: [u8; 32],
    /// The serial of the first deposit behind it.
    pub next: Serial,
}

impl Watched {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.block.to_be_bytes()[..], &self.hash, &self.next.0.to_be_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (block, rest) = bytes.split_at_checked(8)?;
        let (hash, next) = rest.split_at_checked(32)?;
        let number = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        let next = Serial(number(next)?);
        Some(Self { block: number(block)?, hash: hash.try_into().ok()?, next })
    }
}

pub(crate) fn block_key(block: BlockNumber) -> Vec<u8> {
    block.0.to_be_bytes().to_vec()
}

pub(crate) fn account_key(account: AccountId) -> Vec<u8> {
    account.0.to_be_bytes().to_vec()
}

/// A block of a chain's list, and the chain's rolling content after it.
pub(crate) type ChainBlock = (BlockNumber, [u8; 32]);

pub(crate) fn encode_chain_block((number, rolling): ChainBlock) -> Vec<u8> {
    [&number.0.to_be_bytes()[..], &rolling].concat()
}

pub(crate) fn decode_chain_block(bytes: &[u8]) -> Option<ChainBlock> {
    let (number, rolling) = bytes.split_at_checked(4)?;
    let number = BlockNumber(u32::from_be_bytes(number.try_into().ok()?));
    Some((number, rolling.try_into().ok()?))
}

pub(crate) fn encode_root(root: Fr) -> Vec<u8> {
    fr_to_be_bytes(root).to_vec()
}

pub(crate) fn decode_root(bytes: &[u8]) -> Option<Fr> {
    fr_from_be_bytes(bytes.try_into().ok()?)
}

pub(crate) fn watched_key(chain: ChainId) -> Vec<u8> {
    [KEY_WATCHED, &[chain.0]].concat()
}

/// Key of one place of a list whose count stands under `list`.
pub(crate) fn place_key(list: &[u8], place: u64) -> Vec<u8> {
    [list, &place.to_be_bytes()].concat()
}
