//! The archive: the store of everything that is read again, and its one writer.
//!
//! It is a fold over the journal: each batch carries the journal position behind it, so that the
//! store is always the image of an exact prefix of the journal. parity-db may lose its last
//! batches in a crash, but only the last ones and only whole ones; [`Archive::open`] then replays
//! what is missing. Results that are not in the journal (proofs, snapshots) can be
//! lost in the same way, and are made again by whoever follows the archive.
//!
//! The archive tells nobody. Followers and the RPC read through an [`ArchiveReader`].

use std::collections::BTreeMap;
use std::sync::Arc;

use zklink::block::rolling_content;
use zklink::id::{BlockNumber, ChainId};
use zklink_mechanism::machine::{Handle, Machine};
use zklink_mechanism::port::Message;
use zklink_mechanism::turn::Turn;
use zklink_migrations::schema::{
    Column, KEY_APPLIED, KEY_COUNT, KEY_HEAD, KEY_ROOTED, KEY_SNAPSHOTS,
};

use crate::journal::{Durable, Log, LogError, Record};

pub mod entry;
pub mod parity;
pub mod reader;
pub mod store;

pub use entry::{Applied, Entry, Made, Snapshots, TxHash, TxPlace, Watched};
pub use reader::{ArchiveError, ArchiveReader};
pub use store::{Store, StoreError, Write};

/// Records that are read and applied at once when the archive catches up.
const CATCH_UP_RECORDS: usize = 256;

/// What a journal record means to the archive. It must depend on the records since the last block alone, which it is
/// given in order. The text says why the record has no meaning; the node then stops.
pub type Fold = Box<dyn FnMut(&Record) -> Result<Vec<Entry>, String> + Send>;

/// Keep these results, which were derived from what the archive holds.
#[derive(Debug)]
pub struct Keep {
    /// The results; they are stored together.
    pub made: Vec<Made>,
}

impl Message for Keep {
    type Reply = ();
}

/// Why the archive cannot go on. All of them stop the node.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveFault {
    /// The store failed or holds something else than was written.
    #[error(transparent)]
    Read(#[from] ArchiveError),
    /// The journal failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store knows more than the journal: the journal lost acknowledged records.
    #[error(
        "the store has applied the journal up to {applied}, but the journal ends at {end}: the \
         journal lost records. Restore the journal; do not delete the store"
    )]
    AheadOfJournal {
        /// Position behind the last applied record.
        applied: u64,
        /// End of the journal.
        end: u64,
    },
    /// The store was made from another journal.
    #[error(
        "the store was made from another journal (position {position}): check the data folder, or \
         move the store away, it is rebuilt from the journal"
    )]
    OtherJournal {
        /// Where the two were compared.
        position: u64,
    },
    /// Records came out of order.
    #[error("record {found} came where {expected} was due: this is a defect of the journal")]
    Gap {
        /// The position that was due.
        expected: u64,
        /// The position that came.
        found: u64,
    },
    /// A record has no meaning.
    #[error("record {position} cannot be understood: {reason}; was it written by a newer program?")]
    Meaning {
        /// Its position.
        position: u64,
        /// What the fold says.
        reason: String,
    },
    /// A block does not follow the one before.
    #[error("block {found} came after block {head}: this is a defect of the builder")]
    BlockGap {
        /// The block before.
        head: BlockNumber,
        /// The block that came.
        found: BlockNumber,
    },
}

impl From<StoreError> for ArchiveFault {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

/// See the module.
pub struct Archive {
    reader: ArchiveReader,
    fold: Fold,
    applied: Applied,
    head: Option<BlockNumber>,
}

impl Archive {
    /// An archive that has caught up with `log`, and how many records that took.
    ///
    /// # Errors
    /// [`ArchiveFault`] when the store or the log fails, or when they do not belong together.
    pub fn open(
        store: Arc<dyn Store>,
        fold: Fold,
        log: &mut dyn Log,
    ) -> Result<(Self, u64), ArchiveFault> {
        let reader = ArchiveReader::new(store);
        let applied = match reader.applied()? {
            Some(applied) => applied,
            None => Applied { next: 0, chain: log.start() },
        };
        let head = reader.head()?;
        let mut archive = Self { reader, fold, applied, head };
        archive.match_journal(log)?;
        let from = archive.applied.next;
        prime(&mut archive.fold, &archive.reader, from, log)?;
        while archive.applied.next < log.end() {
            let records = log.read(archive.applied.next, CATCH_UP_RECORDS)?;
            archive.apply(records)?;
        }
        let caught_up = archive.applied.next - from;
        Ok((archive, caught_up))
    }

    /// Read access, for followers and the RPC.
    pub fn reader(&self) -> ArchiveReader {
        self.reader.clone()
    }

    fn match_journal(&self, log: &mut dyn Log) -> Result<(), ArchiveFault> {
        let Applied { next, chain } = self.applied;
        if next > log.end() {
            return Err(ArchiveFault::AheadOfJournal { applied: next, end: log.end() });
        }
        let found = match next.checked_sub(1) {
            None => Some(log.start()),
            Some(last) => log.read(last, 1)?.first().map(|record| record.chain),
        };
        if found != Some(chain) {
            return Err(ArchiveFault::OtherJournal { position: next });
        }
        Ok(())
    }

    fn apply(&mut self, records: Vec<Record>) -> Result<(), ArchiveFault> {
        let mut batch = Batch::new(&self.reader, self.head);
        let mut applied = self.applied;
        for record in records {
            if record.position != applied.next {
                let (expected, found) = (applied.next, record.position);
                return Err(ArchiveFault::Gap { expected, found });
            }
            let entries = (self.fold)(&record)
                .map_err(|reason| ArchiveFault::Meaning { position: record.position, reason })?;
            applied = Applied { next: record.position + 1, chain: record.chain };
            for entry in entries {
                batch.enter(entry, &applied)?;
            }
        }
        let (head, writes) = batch.finish(applied);
        self.reader.store().commit(writes)?;
        (self.head, self.applied) = (head, applied);
        Ok(())
    }

    fn keep(&mut self, made: Vec<Made>) -> Result<(), ArchiveFault> {
        let mut writes = Vec::new();
        let mut rooted = None;
        for made in made {
            match made {
                Made::Root { block, root } => {
                    writes.push(Write::put(
                        Column::Roots,
                        entry::block_key(block),
                        entry::encode_root(root),
                    ));
                    rooted = rooted.max(Some(block));
                }
                Made::Proof { block, bytes } => {
                    writes.push(Write::put(Column::Proofs, entry::block_key(block), bytes));
                }
                Made::Snapshot { block, proven, bytes } => {
                    // It was made from what the store holds, so that in the store it is never ahead of
                    // the journal, whatever a crash takes away.
                    let known = self.reader.snapshots().unwrap_or_default();
                    let (kept, dropped) = known.with(block, proven);
                    writes.push(Write::put(Column::Snapshots, entry::block_key(block), bytes));
                    writes.push(Write::put(Column::Meta, KEY_SNAPSHOTS.to_vec(), kept.encode()));
                    writes.extend(
                        dropped
                            .into_iter()
                            .map(|block| Write::delete(Column::Snapshots, entry::block_key(block))),
                    );
                }
                Made::Watched { chain, to } => {
                    writes.push(Write::put(Column::Meta, entry::watched_key(chain), to.encode()));
                }
            }
        }
        // Roots that are made again after a start stay behind the last one.
        if rooted > self.reader.rooted()?
            && let Some(block) = rooted
        {
            writes.push(Write::put(Column::Meta, KEY_ROOTED.to_vec(), entry::block_key(block)));
        }
        self.reader.store().commit(writes)?;
        Ok(())
    }
}

/// Gives a fold what it must know of the records before a position: those since the last block.
///
/// # Errors
/// [`ArchiveFault`]: these records had a meaning before, so that store or journal was changed.
pub(crate) fn prime(
    fold: &mut Fold,
    reader: &ArchiveReader,
    position: u64,
    log: &mut dyn Log,
) -> Result<(), ArchiveFault> {
    let sealed = match reader.head()? {
        Some(head) => reader.seal(head)?.map(|seal| seal.next),
        None => Some(0),
    };
    let mut next = sealed.ok_or(ArchiveError::Malformed(Column::Seals))?;
    while next < position {
        for record in log.read(next, CATCH_UP_RECORDS)? {
            let at = record.position;
            next = at + 1;
            if at < position {
                let known = fold(&record);
                known.map_err(|reason| ArchiveFault::Meaning { position: at, reason })?;
            }
        }
    }
    Ok(())
}

impl Machine for Archive {}

impl Handle<Durable> for Archive {
    fn handle(&mut self, durable: Durable, turn: &mut Turn) {
        if let Err(fault) = self.apply(durable.records) {
            turn.fail(fault.to_string());
        }
    }
}

impl Handle<Keep> for Archive {
    fn handle(&mut self, keep: Keep, turn: &mut Turn) {
        if let Err(fault) = self.keep(keep.made) {
            turn.fail(fault.to_string());
        }
    }
}

/// The writes of one batch, with the counts that it changes itself.
struct Batch<'a> {
    reader: &'a ArchiveReader,
    writes: Vec<Write>,
    head: Option<BlockNumber>,
    /// Lengths of lists, by column and key.
    counts: BTreeMap<(Column, Vec<u8>), u64>,
    /// The rolling contents of the chains after this batch's blocks.
    rolling: BTreeMap<ChainId, [u8; 32]>,
}

impl<'a> Batch<'a> {
    fn new(reader: &'a ArchiveReader, head: Option<BlockNumber>) -> Self {
        let (writes, counts, rolling) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { reader, writes, head, counts, rolling }
    }

    /// Enters what a record adds; `applied` is how far the journal is applied with it.
    fn enter(&mut self, entry: Entry, applied: &Applied) -> Result<(), ArchiveFault> {
        match entry {
            Entry::Block { number, bytes } => {
                let head = self.head.filter(|head| head.0.checked_add(1) != Some(number.0));
                if let Some(head) = head {
                    return Err(ArchiveFault::BlockGap { head, found: number });
                }
                self.head = Some(number);
                self.put(Column::Blocks, entry::block_key(number), bytes);
                self.put(Column::Seals, entry::block_key(number), applied.encode());
            }
            Entry::Transaction { hash, place } => {
                self.put(Column::Transactions, hash.to_vec(), place.encode());
            }
            Entry::AccountTransaction { account, hash } => {
                let list = entry::account_key(account);
                let place = self.place(Column::AccountTransactions, &list)?;
                let key = entry::place_key(&list, place);
                self.put(Column::AccountTransactions, key, hash.to_vec());
            }
            Entry::ChainBlock { chain, number, content } => {
                let place = self.place(Column::ChainBlocks, &[chain.0])?;
                let before = match (self.rolling.get(&chain), place.checked_sub(1)) {
                    (Some(rolling), _) => *rolling,
                    (None, Some(last)) => self.reader.chain_block(chain, last)?.1,
                    (None, None) => [0; 32],
                };
                let rolling = rolling_content(before, number, content);
                self.rolling.insert(chain, rolling);
                let key = entry::place_key(&[chain.0], place);
                self.put(Column::ChainBlocks, key, entry::encode_chain_block((number, rolling)));
            }
            Entry::Key { bytes } => {
                let place = self.place(Column::Keys, KEY_COUNT)?;
                let position = applied.next.saturating_sub(1).to_be_bytes();
                let value = [&position[..], &bytes].concat();
                self.put(Column::Keys, entry::place_key(&[], place), value);
            }
            Entry::Deposit { l1_tx, hash } => {
                let place = self.place(Column::Deposits, &l1_tx)?;
                self.put(Column::Deposits, entry::place_key(&l1_tx, place), hash.to_vec());
            }
        }
        Ok(())
    }

    /// The next free place of a list, which is taken with that.
    fn place(&mut self, column: Column, list: &[u8]) -> Result<u64, ArchiveFault> {
        let place = match self.counts.get(&(column, list.to_vec())) {
            Some(count) => *count,
            None => self.reader.count(column, list)?,
        };
        self.counts.insert((column, list.to_vec()), place + 1);
        Ok(place)
    }

    fn finish(mut self, applied: Applied) -> (Option<BlockNumber>, Vec<Write>) {
        for ((column, list), count) in std::mem::take(&mut self.counts) {
            self.put(column, list, count.to_be_bytes().to_vec());
        }
        if let Some(head) = self.head {
            self.put(Column::Meta, KEY_HEAD.to_vec(), head.0.to_be_bytes().to_vec());
        }
        self.put(Column::Meta, KEY_APPLIED.to_vec(), applied.encode());
        (self.head, self.writes)
    }

    fn put(&mut self, column: Column, key: Vec<u8>, value: Vec<u8>) {
        self.writes.push(Write::put(column, key, value));
    }
}

#[cfg(test)]
mod tests;
