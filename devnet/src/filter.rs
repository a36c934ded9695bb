//! Log queries.

use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use crate::chain::Chain;
use crate::error::ChainError;

/// The logs that a filter selects, in order. The range may not be wider and the answer not longer
/// than the limits of the chain.
pub(crate) fn logs(chain: &Chain, filter: &Filter) -> Result<Vec<Log>, ChainError> {
    let Some((from, to)) = range(chain, filter)? else { return Ok(Vec::new()) };
    let most = chain.config().limits.log_results;
    let mut found = Vec::new();
    for number in from..=to {
        let Some(block) = chain.block(number) else { break };
        let Some(body) = &block.body else { continue };
        // The bloom has no false negatives, so a block that it excludes has no such log.
        if !filter.matches_bloom(body.bloom()) {
            continue;
        }
        for log in block.logs(number, false).filter(|log| selects(filter, log)) {
            if found.len() == most {
                return Err(ChainError::LogResults(most));
            }
            found.push(log);
        }
    }
    Ok(found)
}

/// Whether address and topics of a log are those of the filter. Its block range is not looked at.
pub(crate) fn selects(filter: &Filter, log: &Log) -> bool {
    filter.matches_address(log.address()) && filter.matches_topics(log.topics())
}

/// First and last block of a query, None when it can select nothing yet.
fn range(chain: &Chain, filter: &Filter) -> Result<Option<(u64, u64)>, ChainError> {
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let number = chain.number_of(hash);
            let number = number.ok_or_else(|| ChainError::BlockNotFound(hash.to_string()))?;
            return Ok(Some((number, number)));
        }
        FilterBlockOption::Range { from_block, to_block } => (
            bound(chain, from_block.unwrap_or(BlockNumberOrTag::Latest))?,
            bound(chain, to_block.unwrap_or(BlockNumberOrTag::Latest))?,
        ),
    };
    if from > to {
        return Err(ChainError::LogOrder { from, to });
    }
    if from > chain.latest() {
        return Ok(None);
    }
    let to = to.min(chain.latest());
    let (asked, limit) = (to - from + 1, chain.config().limits.log_blocks);
    if asked > limit {
        return Err(ChainError::LogRange { asked, limit });
    }
    Ok(Some((from, to)))
}

/// A block number in a range may lie in the future: clients ask ahead.
fn bound(chain: &Chain, tag: BlockNumberOrTag) -> Result<u64, ChainError> {
    match tag {
        BlockNumberOrTag::Number(number) => Ok(number),
        tag => chain.resolve_tag(tag),
    }
}
