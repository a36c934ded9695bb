//! What happened before: reads that need the archive beside the builder's view.

use std::collections::BTreeMap;

use jsonrpsee::types::ErrorObjectOwned;
use zklink::id::{AccountId, BlockNumber};
use zklink::op::Op;
use zklink::tx::TxHash;
use zklink_client::error::{busy, code, error};
use zklink_client::{HistoryKind, TxInfo};
use zklink_store::archive::TxPlace;
use zklink_store::archive::reader::PAGE_MAX;
use zklink_store::fold::accounts;
use zklink_store::record::SealedBlock;

use super::present::{open_info, status, tx_info};
use super::sources::Sources;

/// So many of an account's last transactions are searched for those of one kind.
const SEARCHED_MAX: usize = 500;

/// The node failed, not the caller.
pub(super) fn internal(what: impl std::fmt::Display) -> ErrorObjectOwned {
    tracing::error!(%what, "a request failed");
    // What went wrong inside is the operator's business and stands in the log.
    error(code::INTERNAL, "the node failed", "try again later; tell the operator if it goes on")
}

/// A sealed block, if there is one.
pub(super) fn block(
    sources: &Sources,
    number: BlockNumber,
) -> Result<Option<SealedBlock>, ErrorObjectOwned> {
    let Some(bytes) = sources.archive.block(number).map_err(internal)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(internal)
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

/// Looks for a transaction, first in the open block and then among the sealed ones.
pub(super) fn find(sources: &Sources, hash: TxHash) -> Result<Found, ErrorObjectOwned> {
    if let Some(executed) = sources.view.read().open_tx(hash) {
        return Ok(Found::Here(Box::new(open_info(executed))));
    }
    let place = sources.archive.transaction(&hash.0).map_err(internal)?;
    let (number, index) = match place {
        None => return Ok(Found::Unknown),
        Some(TxPlace::Pending) => return Ok(Found::Moving),
        Some(TxPlace::Included { block, index }) => (block, index),
    };
    let sealed = block(sources, number)?.ok_or_else(|| internal("a block is missing"))?;
    let at = usize::try_from(index).map_err(internal)?;
    let source = sealed.sources.get(at).ok_or_else(|| internal("a transaction is missing"))?;
    let (committed, verified) = (sources.stages.committed(), sources.stages.verified());
    let info = tx_info(source, number, index, status(number, committed, verified));
    Ok(Found::Here(Box::new(info)))
}

fn is_kind(kind: HistoryKind, op: &Op) -> bool {
    match kind {
        HistoryKind::Deposit => matches!(op, Op::Deposit(_)),
        HistoryKind::Withdraw => matches!(op, Op::Withdraw(_)),
        HistoryKind::Transfer => matches!(op, Op::Transfer(_)),
    }
}

/// The last transactions of an account that are of one kind, newest first.
pub(super) fn of_account(
    sources: &Sources,
    account: AccountId,
    kind: HistoryKind,
) -> Result<Vec<TxInfo>, ErrorObjectOwned> {
    let mut found = Vec::new();
    // Open first, archive second: a block that is sealed in between is then seen twice, never
    // not at all, and the archive's places tell.
    let open_block = {
        let view = sources.view.read();
        let own = view.open.iter().rev().filter(|executed| {
            is_kind(kind, &executed.op)
                && accounts(&executed.op, &executed.source).contains(&account)
        });
        found.extend(own.map(open_info));
        view.state.system.number.next()
    };
    let (committed, verified) = (sources.stages.committed(), sources.stages.verified());
    let mut blocks: BTreeMap<BlockNumber, SealedBlock> = BTreeMap::new();
    let mut before = None;
    let mut searched = 0;
    while searched < SEARCHED_MAX {
        let page = sources.archive.account_transactions(account, before, PAGE_MAX);
        let page = page.map_err(internal)?;
        let Some((last, _)) = page.transactions.last() else { break };
        before = Some(*last);
        searched += page.transactions.len();
        for (_, hash) in &page.transactions {
            let place = sources.archive.transaction(hash).map_err(internal)?;
            let Some(TxPlace::Included { block: number, index }) = place else { continue };
            if open_block.is_some_and(|open| number >= open) {
                continue;
            }
            if let std::collections::btree_map::Entry::Vacant(vacant) = blocks.entry(number) {
                let sealed = block(sources, number)?;
                vacant.insert(sealed.ok_or_else(|| internal("a block is missing"))?);
            }
            let entry =
                usize::try_from(index).ok().and_then(|at| blocks[&number].entries().nth(at));
            let (op, source) = entry.ok_or_else(|| internal("a transaction is missing"))?;
            if is_kind(kind, op) {
                found.push(tx_info(source, number, index, status(number, committed, verified)));
            }
        }
    }
    Ok(found)
}

/// The answer where a transaction stayed between two places for too long.
pub(super) fn moving() -> ErrorObjectOwned {
    busy(code::UNAVAILABLE, "the transaction was executed and is being stored", 200)
}
