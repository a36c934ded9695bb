//! The schema of the store: its columns and keys. Any stored byte is found from here.
//!
//! All integers in keys and values are big-endian.

use std::path::Path;

use parity_db::Options;

/// The version that this program reads and writes.
pub const VERSION: u32 = 1;

/// A column of the store. From the first deployment on the numbers are for ever: a column that falls out of use keeps
/// its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Column {
    /// The few values of the store as a whole, by the `KEY_` constants below.
    Meta = 0,
    /// Sealed blocks without their roots: number (u32) -> the block's bytes.
    Blocks = 1,
    /// Where a transaction is: its hash (32 bytes) -> 0 when pending, or 1, block (u32), index (u32).
    Transactions = 2,
    /// The transactions of an account: account (u32) -> their count (u64); account (u32), place
    /// (u64, from zero) -> the transaction's hash.
    AccountTransactions = 3,
    /// Proofs that were checked: block (u32) -> the proof's bytes.
    Proofs = 4,
    /// Snapshots of the state: block (u32) -> the snapshot's bytes. [`KEY_SNAPSHOTS`] lists them.
    Snapshots = 5,
    /// The blocks with operations of a chain: chain (u8) -> their count (u64); chain (u8), place
    /// (u64, from zero) -> the block (u32), the chain's rolling content after it (32 bytes).
    ChainBlocks = 6,
    /// Where the journal stands behind a block: block (u32) -> position behind the record that sealed
    /// it (u64), the journal's chain there (32 bytes).
    Seals = 7,
    /// Keys that owners authorised on a chain: [`KEY_COUNT`] -> their count (u64); place (u64, from
    /// zero) -> position of the record (u64), the key's bytes.
    Keys = 8,
    /// The deposits that a transaction of a chain made: its hash (32 bytes) -> their count (u64); its
    /// hash, place (u64, from zero) -> the hash of the deposit (32 bytes).
    Deposits = 9,
    /// The root of the state behind a block: number (u32), zero for genesis -> the root (32 bytes).
    Roots = 10,
}

impl Column {
    /// All columns, in order.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Blocks,
        Self::Transactions,
        Self::AccountTransactions,
        Self::Proofs,
        Self::Snapshots,
        Self::ChainBlocks,
        Self::Seals,
        Self::Keys,
        Self::Deposits,
        Self::Roots,
    ];

    /// Its number in parity-db.
    pub fn id(self) -> u8 {
        self as u8
    }
}

/// In [`Column::Meta`]: the schema's version (u32).
pub const KEY_SCHEMA: &[u8] = b"schema";
/// In [`Column::Meta`]: the journal position behind the last applied record (u64) and the
/// journal's chain up to there (32 bytes).
pub const KEY_APPLIED: &[u8] = b"applied";
/// In [`Column::Meta`]: the number of the last block (u32).
pub const KEY_HEAD: &[u8] = b"head";
/// In [`Column::Meta`]: the number of the last block whose root is known (u32).
pub const KEY_ROOTED: &[u8] = b"rooted";
/// In [`Column::Meta`]: the snapshots that are kept: the block up to which all are proven (u32), then
/// the block of each snapshot (u32), in order.
pub const KEY_SNAPSHOTS: &[u8] = b"snapshots";
/// In [`Column::Meta`], followed by a chain (u8): up to where the chain's events are in the journal.
pub const KEY_WATCHED: &[u8] = b"watched";
/// In [`Column::Keys`]: the number of keys.
pub const KEY_COUNT: &[u8] = b"count";

/// How the store at `path` is opened with `columns` columns. All columns are hash-indexed with
/// parity-db's own salted key hash, because keys such as transaction hashes come from outside.
pub fn options(path: &Path, columns: u8) -> Options {
    let mut options = Options::with_columns(path, columns);
    options.sync_wal = true;
    options.sync_data = true;
    options.stats = false;
    options
}
