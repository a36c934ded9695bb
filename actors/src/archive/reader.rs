//! Read access to the archive. Readers never wait for the writer.

use std::fmt;
use std::sync::Arc;

use zklink::id::{AccountId, BlockNumber};
use zklink_migrations::schema::{Column, KEY_APPLIED, KEY_HEAD, KEY_LATEST};

use super::entry::{self, Applied, Snapshot, TxHash, TxPlace};
use super::store::{Store, StoreError};

/// Most transactions of an account in one answer.
pub const PAGE_MAX: usize = 100;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds something that this program never wrote.
    #[error("the store's {0:?} holds a malformed value: move the store away, it is rebuilt")]
    Malformed(Column),
}

/// Reads what the archive holds. Cheap to clone.
#[derive(Clone)]
pub struct ArchiveReader {
    store: Arc<dyn Store>,
}

/// A part of an account's transactions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Hashes with their places in the account's history, counted from zero.
    pub transactions: Vec<(u64, TxHash)>,
    /// Number of all transactions of the account.
    pub total: u64,
}

impl ArchiveReader {
    /// Reads from `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// How far the journal is applied; `None` for an empty store.
    ///
    /// # Errors
    /// [`ArchiveError`], as all methods here.
    pub fn applied(&self) -> Result<Option<Applied>, ArchiveError> {
        self.read(Column::Meta, KEY_APPLIED, Applied::decode)
    }

    /// The number of the last sealed block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn head(&self) -> Result<Option<BlockNumber>, ArchiveError> {
        let number = |bytes: &[u8]| Some(BlockNumber(u32::from_be_bytes(bytes.try_into().ok()?)));
        self.read(Column::Meta, KEY_HEAD, number)
    }

    /// A sealed block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn block(&self, number: BlockNumber) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.store.get(Column::Blocks, &entry::block_key(number))?)
    }

    /// The proof of a block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn proof(&self, block: BlockNumber) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.store.get(Column::Proofs, &entry::block_key(block))?)
    }

    /// What was published for a block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn commitment(&self, block: BlockNumber) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.store.get(Column::Commitments, &entry::block_key(block))?)
    }

    /// Where a transaction is; `None` for one that was never accepted.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn transaction(&self, hash: &TxHash) -> Result<Option<TxPlace>, ArchiveError> {
        self.read(Column::Transactions, hash, TxPlace::decode)
    }

    /// Number of transactions of an account.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn account_transaction_count(&self, account: AccountId) -> Result<u64, ArchiveError> {
        let count = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        let key = entry::account_key(account);
        Ok(self.read(Column::AccountTransactions, &key, count)?.unwrap_or(0))
    }

    /// Transactions of an account, newest first: those before place `before` (all when `None`), at
    /// most `limit` and at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn account_transactions(
        &self,
        account: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, ArchiveError> {
        let total = self.account_transaction_count(account)?;
        let end = before.unwrap_or(total).min(total);
        let mut transactions = Vec::new();
        for place in (0..end).rev().take(limit.min(PAGE_MAX)) {
            let key = entry::account_place_key(account, place);
            let hash = self.read(Column::AccountTransactions, &key, |hash| hash.try_into().ok())?;
            let hash = hash.ok_or(ArchiveError::Malformed(Column::AccountTransactions))?;
            transactions.push((place, hash));
        }
        Ok(Page { transactions, total })
    }

    /// The latest snapshot of the state.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn snapshot(&self) -> Result<Option<Snapshot>, ArchiveError> {
        self.read(Column::Snapshots, KEY_LATEST, Snapshot::decode)
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn read<T>(
        &self,
        column: Column,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ArchiveError> {
        let Some(bytes) = self.store.get(column, key)? else { return Ok(None) };
        decode(&bytes).map(Some).ok_or(ArchiveError::Malformed(column))
    }
}

impl fmt::Debug for ArchiveReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveReader")
    }
}
