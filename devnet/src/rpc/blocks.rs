//! Blocks, transactions, receipts and logs.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::{Block, Filter, Log, Transaction, TransactionReceipt};
use jsonrpsee::types::Params;

use crate::chain::Chain;
use crate::error::ChainError;
use crate::filter;
use crate::node::Node;
use crate::rpc::{Answer, view};

/// A block that does not exist (yet) is `null`, not an error: so other nodes answer, and clients
/// ask in this way whether there is a final block.
fn existing(chain: &Chain, id: BlockId) -> Option<u64> {
    // There is no half-made block to show.
    if id == BlockId::pending() {
        return None;
    }
    chain.resolve(id).ok()
}

pub(super) fn number(node: &Node, _: &Params<'_>) -> Answer<U64> {
    Ok(node.read(|chain| Ok(U64::from(chain.latest())))?)
}

pub(super) fn by_number(node: &Node, params: &Params<'_>) -> Answer<Option<Block>> {
    let mut params = params.sequence();
    let tag: BlockNumberOrTag = params.next()?;
    let full = params.optional_next()?.unwrap_or(false);
    block(node, tag.into(), full)
}

pub(super) fn by_hash(node: &Node, params: &Params<'_>) -> Answer<Option<Block>> {
    let mut params = params.sequence();
    let hash: B256 = params.next()?;
    let full = params.optional_next()?.unwrap_or(false);
    block(node, hash.into(), full)
}

fn block(node: &Node, id: BlockId, full: bool) -> Answer<Option<Block>> {
    Ok(node.read(|chain| {
        Ok(existing(chain, id).and_then(|number| view::block(chain, number, full)))
    })?)
}

pub(super) fn receipts(
    node: &Node,
    params: &Params<'_>,
) -> Answer<Option<Vec<TransactionReceipt>>> {
    let id: BlockId = params.sequence().next()?;
    Ok(node.read(|chain| {
        let found = existing(chain, id);
        let found = found.and_then(|number| Some((number, chain.block(number)?)));
        Ok(found.map(|(number, block)| {
            let indexed = (0_u64..).zip(block.transactions());
            indexed.map(|(index, tx)| view::receipt(number, block, index, tx)).collect()
        }))
    })?)
}

pub(super) fn count_by_number(node: &Node, params: &Params<'_>) -> Answer<Option<U64>> {
    let tag: BlockNumberOrTag = params.sequence().next()?;
    count(node, tag.into())
}

pub(super) fn count_by_hash(node: &Node, params: &Params<'_>) -> Answer<Option<U64>> {
    let hash: B256 = params.sequence().next()?;
    count(node, hash.into())
}

fn count(node: &Node, id: BlockId) -> Answer<Option<U64>> {
    Ok(node.read(|chain| {
        let block = existing(chain, id).and_then(|number| chain.block(number));
        Ok(block.map(|block| U64::from(block.transactions().len())))
    })?)
}

pub(super) fn transaction(node: &Node, params: &Params<'_>) -> Answer<Option<Transaction>> {
    let hash: B256 = params.sequence().next()?;
    Ok(node.read(|chain| {
        let included = chain.find(&hash);
        let included =
            included.map(|(number, block, index, tx)| view::included(number, block, index, tx));
        Ok(included.or_else(|| chain.pool().get(&hash).map(view::waiting)))
    })?)
}

pub(super) fn receipt(node: &Node, params: &Params<'_>) -> Answer<Option<TransactionReceipt>> {
    let hash: B256 = params.sequence().next()?;
    Ok(node.read(|chain| {
        let included = chain.find(&hash);
        Ok(included.map(|(number, block, index, tx)| view::receipt(number, block, index, tx)))
    })?)
}

pub(super) fn logs(node: &Node, params: &Params<'_>) -> Answer<Vec<Log>> {
    let filter: Filter = params.sequence().next()?;
    check_filter(&filter)?;
    Ok(node.read(|chain| filter::logs(chain, &filter))?)
}

/// Most addresses, and most alternatives for one topic, in a filter (geth: 1000).
const ALTERNATIVES_MAX: usize = 1000;

/// Bounds the work that a filter causes for each log.
pub(super) fn check_filter(filter: &Filter) -> Result<(), ChainError> {
    let widest = filter.topics.iter().map(|topic| topic.len()).max().unwrap_or(0);
    if filter.address.len().max(widest) > ALTERNATIVES_MAX {
        let text = format!("a filter takes at most {ALTERNATIVES_MAX} alternatives");
        return Err(ChainError::Params(text));
    }
    Ok(())
}
