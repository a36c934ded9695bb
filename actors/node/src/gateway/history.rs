//! What happened before: reads that need the archive beside the builder's view.

use std::collections::{BTreeMap, btree_map};

use jsonrpsee::types::ErrorObjectOwned;
use zklink::id::{AccountId, BlockNumber};
use zklink::op::Op;
use zklink::token::Network;
use zklink::tx::TxHash;
use zklink_client::error::{busy, code, error};
use zklink_client::{Hash, HistoryKind, Page, TxInfo};
use zklink_store::archive::TxPlace;
use zklink_store::archive::reader::PAGE_MAX;
use zklink_store::fold::accounts;
use zklink_store::record::{Body, Executed};

use super::present::Moment;
use super::sources::Sources;

/// Entries of one page, and of any other list.
pub(super) const LIST_MAX: u32 = 100;
/// So many of an account's last transactions are searched for those of one kind.
const SEARCHED_MAX: usize = 500;

/// The node failed, not the caller.
pub(super) fn internal(what: impl std::fmt::Display) -> ErrorObjectOwned {
    tracing::error!(%what, "a request failed");
    // What went wrong inside is the operator's business and stands in the log.
    error(code::INTERNAL, "the node failed", "try again later; tell the operator if it goes on")
}

/// What is known of a transaction.
pub(super) enum Found {
    /// All about it.
    Here(Box<TxInfo>),
    /// It was executed and is between two places just now.
    Moving,
    /// Nothing.
    Unknown,
}

/// Looks for transactions, as of one moment. A block that has several is read once.
pub(super) struct Search<'a> {
    sources: &'a Sources,
    moment: Moment<'a>,
    blocks: BTreeMap<BlockNumber, Body>,
}

impl<'a> Search<'a> {
    /// Begins a search.
    pub(super) fn new(sources: &'a Sources, network: &'a Network) -> Search<'a> {
        Search { sources, moment: sources.moment(network), blocks: BTreeMap::new() }
    }

    /// Looks for a transaction, first in the open block and then among the sealed ones.
    pub(super) fn find(&mut self, hash: TxHash) -> Result<Found, ErrorObjectOwned> {
        if let Some(executed) = self.sources.view.read().open_tx(hash) {
            return Ok(Found::Here(Box::new(self.moment.open(executed))));
        }
        let place = self.sources.archive.transaction(&hash.0).map_err(internal)?;
        let (number, index) = match place {
            None => return Ok(Found::Unknown),
            Some(TxPlace::Pending) => return Ok(Found::Moving),
            Some(TxPlace::Included { block, index }) => (block, index),
        };
        let source = self.entry(number, index)?.source.clone();
        Ok(Found::Here(Box::new(self.moment.sealed(&source, number, index))))
    }

    /// What stands at a place of a sealed block.
    fn entry(&mut self, number: BlockNumber, index: u32) -> Result<&Executed, ErrorObjectOwned> {
        let body = match self.blocks.entry(number) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(unknown) => {
                let body = self.sources.archive.body(number).map_err(internal)?;
                unknown.insert(body.ok_or_else(|| internal("a block is missing"))?)
            }
        };
        let at = usize::try_from(index).map_err(internal)?;
        body.executed.get(at).ok_or_else(|| internal("a transaction is missing"))
    }

    /// The last transactions of an account that are of one kind, newest first.
    pub(super) fn of_account(
        &mut self,
        account: AccountId,
        kind: HistoryKind,
    ) -> Result<Vec<TxInfo>, ErrorObjectOwned> {
        let mut found = Vec::new();
        // Open first, archive second: a block that is sealed in between is then seen twice, never
        // not at all, and the archive's places tell.
        let open_block = {
            let view = self.sources.view.read();
            let own = view.open.iter().rev().filter(|executed| {
                is_kind(kind, &executed.op)
                    && accounts(&executed.op, &executed.source).contains(&account)
            });
            found.extend(own.map(|executed| self.moment.open(executed)));
            view.state.system.number.next()
        };
        let mut before = None;
        let mut searched = 0;
        while searched < SEARCHED_MAX {
            let page = self.sources.archive.account_transactions(account, before, PAGE_MAX);
            let page = page.map_err(internal)?;
            let Some((last, _)) = page.transactions.last() else { break };
            before = Some(*last);
            searched += page.transactions.len();
            for (_, hash) in &page.transactions {
                let place = self.sources.archive.transaction(hash).map_err(internal)?;
                let Some(TxPlace::Included { block: number, index }) = place else { continue };
                if open_block.is_some_and(|open| number >= open) {
                    continue;
                }
                let Executed { op, source } = self.entry(number, index)?;
                if is_kind(kind, op) {
                    let source = source.clone();
                    found.push(self.moment.sealed(&source, number, index));
                }
            }
        }
        Ok(found)
    }

    /// A page of the deposits that a transaction of a chain made; nothing while one of them is between two places.
    pub(super) fn deposits_of(
        &mut self,
        l1_hash: Hash,
        wanted: &PageAsked,
    ) -> Result<Option<Page<TxInfo>>, ErrorObjectOwned> {
        let from = wanted.index.saturating_mul(wanted.size);
        let limit = usize::try_from(wanted.size).map_err(internal)?;
        let page = self.sources.archive.deposits_of(&l1_hash.0, from, limit).map_err(internal)?;
        let mut deposits = Vec::new();
        for (_, hash) in page.transactions {
            match self.find(TxHash(hash))? {
                Found::Here(info) => deposits.push(*info),
                Found::Moving => return Ok(None),
                Found::Unknown => return Err(internal("a deposit is missing")),
            }
        }
        Ok(Some(wanted.page(page.total, deposits)))
    }
}

/// A page that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageAsked {
    /// Which one, from zero.
    pub(super) index: u64,
    /// Entries of a full page, 1 to [`LIST_MAX`].
    pub(super) size: u64,
}

impl PageAsked {
    /// A page, if it is not too large.
    pub(super) fn new(index: u64, size: u64) -> Result<PageAsked, ErrorObjectOwned> {
        if size == 0 || size > u64::from(LIST_MAX) {
            let message = format!("a page size of {size} is out of range");
            return Err(error(code::RANGE, message, "use a page size from 1 to 100"));
        }
        Ok(PageAsked { index, size })
    }

    /// The entries of this page out of a whole list.
    pub(super) fn cut<T>(&self, list: Vec<T>) -> Result<Page<T>, ErrorObjectOwned> {
        let total = u64::try_from(list.len()).map_err(internal)?;
        let number = |count: u64| usize::try_from(count).map_err(internal);
        let before = number(self.index.saturating_mul(self.size).min(total))?;
        let entries = list.into_iter().skip(before).take(number(self.size)?);
        Ok(self.page(total, entries.collect()))
    }

    /// A page with these entries, of a list of this length.
    fn page<T>(&self, total: u64, entries: Vec<T>) -> Page<T> {
        Page {
            total_page_num: total.div_ceil(self.size),
            page_index: self.index,
            page_size: self.size,
            page_data: entries,
        }
    }
}

fn is_kind(kind: HistoryKind, op: &Op) -> bool {
    match kind {
        HistoryKind::Deposit => matches!(op, Op::Deposit(_)),
        HistoryKind::Withdraw => matches!(op, Op::Withdraw(_)),
        HistoryKind::Transfer => matches!(op, Op::Transfer(_)),
    }
}

/// The answer where a transaction stayed between two places for too long.
pub(super) fn moving() -> ErrorObjectOwned {
    busy(code::UNAVAILABLE, "the transaction was executed and is being stored", 200)
}
