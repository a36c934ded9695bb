//! Read access to the archive. Readers never wait for the writer.

use std::fmt;
use std::sync::Arc;

use zklink::binary;
use zklink::hash::Fr;
use zklink::id::{AccountId, BlockNumber, ChainId};
use zklink_migrations::schema::{Column, KEY_APPLIED, KEY_HEAD, KEY_ROOTED, KEY_SNAPSHOTS};

use super::entry::{self, Applied, Snapshots, TxHash, TxPlace, Watched};
use super::store::{Store, StoreError};
use crate::record::{Body, SealedBlock};

/// Most transactions in one answer.
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

/// A part of a list of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Hashes with their places in the list, counted from zero.
    pub transactions: Vec<(u64, TxHash)>,
    /// Length of the whole list.
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

    /// The last block whose root is known: nothing at first, block 0 from then on. Roots follow behind the blocks.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn rooted(&self) -> Result<Option<BlockNumber>, ArchiveError> {
        let number = |bytes: &[u8]| Some(BlockNumber(u32::from_be_bytes(bytes.try_into().ok()?)));
        self.read(Column::Meta, KEY_ROOTED, number)
    }

    /// The root behind a block, or at genesis, behind block 0.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn root(&self, block: BlockNumber) -> Result<Option<Fr>, ArchiveError> {
        self.read(Column::Roots, &entry::block_key(block), entry::decode_root)
    }

    /// A sealed block, whether its roots are known or not.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn body(&self, number: BlockNumber) -> Result<Option<Body>, ArchiveError> {
        let body = |bytes: &[u8]| binary::read(bytes).ok();
        self.read(Column::Blocks, &entry::block_key(number), body)
    }

    /// A sealed block whose roots are known.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn block(&self, number: BlockNumber) -> Result<Option<SealedBlock>, ArchiveError> {
        let Some(before) = number.0.checked_sub(1).map(BlockNumber) else { return Ok(None) };
        let (Some(old), Some(new)) = (self.root(before)?, self.root(number)?) else {
            return Ok(None);
        };
        Ok(self.body(number)?.map(|body| body.between(old, new)))
    }

    /// The proof of a block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn proof(&self, block: BlockNumber) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.store.get(Column::Proofs, &entry::block_key(block))?)
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
        self.count(Column::AccountTransactions, &entry::account_key(account))
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
        let places = (0..end).rev().take(limit.min(PAGE_MAX));
        let list = entry::account_key(account);
        let transactions = self.hashes(Column::AccountTransactions, &list, places)?;
        Ok(Page { transactions, total })
    }

    /// Deposits that a transaction of a chain made, in the order of the queue: those from place `from` on, at
    /// most `limit` and at most [`PAGE_MAX`].
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn deposits_of(
        &self,
        l1_tx: &[u8; 32],
        from: u64,
        limit: usize,
    ) -> Result<Page, ArchiveError> {
        let total = self.count(Column::Deposits, l1_tx)?;
        let places = (from..total).take(limit.min(PAGE_MAX));
        let transactions = self.hashes(Column::Deposits, l1_tx, places)?;
        Ok(Page { transactions, total })
    }

    /// The hashes at some places of a list.
    fn hashes(
        &self,
        column: Column,
        list: &[u8],
        places: impl Iterator<Item = u64>,
    ) -> Result<Vec<(u64, TxHash)>, ArchiveError> {
        let hash = |place: u64| {
            let key = entry::place_key(list, place);
            let hash = self.read(column, &key, |hash| hash.try_into().ok())?;
            Ok((place, hash.ok_or(ArchiveError::Malformed(column))?))
        };
        places.map(hash).collect()
    }

    /// The first block with operations of `chain` after block `after`.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn next_of_chain(
        &self,
        chain: ChainId,
        after: BlockNumber,
    ) -> Result<Option<BlockNumber>, ArchiveError> {
        let place = self.chain_blocks_through(chain, after)?;
        let end = self.count(Column::ChainBlocks, &[chain.0])?;
        if place < end { Ok(Some(self.chain_block(chain, place)?.0)) } else { Ok(None) }
    }

    /// The rolling content of `chain` after block `through`; nothing while that block is not sealed.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn rolling(
        &self,
        chain: ChainId,
        through: BlockNumber,
    ) -> Result<Option<[u8; 32]>, ArchiveError> {
        if self.head()?.unwrap_or_default() < through {
            return Ok(None);
        }
        match self.chain_blocks_through(chain, through)?.checked_sub(1) {
            Some(last) => Ok(Some(self.chain_block(chain, last)?.1)),
            None => Ok(Some([0; 32])),
        }
    }

    /// Number of blocks with operations of `chain` up to and with block `last`.
    fn chain_blocks_through(&self, chain: ChainId, last: BlockNumber) -> Result<u64, ArchiveError> {
        let (mut low, mut high) = (0, self.count(Column::ChainBlocks, &[chain.0])?);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.chain_block(chain, middle)?.0 <= last {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    pub(crate) fn chain_block(
        &self,
        chain: ChainId,
        place: u64,
    ) -> Result<entry::ChainBlock, ArchiveError> {
        let key = entry::place_key(&[chain.0], place);
        let found = self.read(Column::ChainBlocks, &key, entry::decode_chain_block)?;
        found.ok_or(ArchiveError::Malformed(Column::ChainBlocks))
    }

    /// How far the journal was applied when a block was sealed.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn seal(&self, block: BlockNumber) -> Result<Option<Applied>, ArchiveError> {
        self.read(Column::Seals, &entry::block_key(block), Applied::decode)
    }

    /// The key at a place of the list of authorised keys, and the position of its record.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn key(&self, place: u64) -> Result<Option<(u64, Vec<u8>)>, ArchiveError> {
        self.read(Column::Keys, &entry::place_key(&[], place), |bytes| {
            let (position, key) = bytes.split_at_checked(8)?;
            Some((u64::from_be_bytes(position.try_into().ok()?), key.to_vec()))
        })
    }

    /// Which snapshots there are.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn snapshots(&self) -> Result<Snapshots, ArchiveError> {
        Ok(self.read(Column::Meta, KEY_SNAPSHOTS, Snapshots::decode)?.unwrap_or_default())
    }

    /// The snapshot behind a block.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn snapshot(&self, block: BlockNumber) -> Result<Option<Vec<u8>>, ArchiveError> {
        Ok(self.store.get(Column::Snapshots, &entry::block_key(block))?)
    }

    /// Up to where a chain was read.
    ///
    /// # Errors
    /// See [`ArchiveReader::applied`].
    pub fn watched(&self, chain: ChainId) -> Result<Option<Watched>, ArchiveError> {
        self.read(Column::Meta, &entry::watched_key(chain), Watched::decode)
    }

    /// Length of a list.
    pub(crate) fn count(&self, column: Column, list: &[u8]) -> Result<u64, ArchiveError> {
        let count = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?));
        Ok(self.read(column, list, count)?.unwrap_or(0))
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
