//! What transactions cost.

use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U128};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::types::Params;

use crate::block::BlockRecord;
use crate::chain::Chain;
use crate::error::ChainError;
use crate::node::Node;
use crate::rpc::Answer;

/// Most blocks of one fee history (geth: 1024).
const HISTORY_MAX: u64 = 1024;
/// Most percentiles of one fee history (geth: 100).
const PERCENTILES_MAX: usize = 100;

/// The next base fee and the suggested priority fee, wei per gas.
pub(super) fn gas_price(node: &Node, _: &Params<'_>) -> Answer<U128> {
    Ok(node.read(|chain| {
        let base_fee = u128::from(chain.next_base_fee());
        Ok(U128::from(base_fee + u128::from(chain.config().priority_fee)))
    })?)
}

pub(super) fn priority_fee(node: &Node, _: &Params<'_>) -> Answer<U64> {
    Ok(node.read(|chain| Ok(U64::from(chain.config().priority_fee)))?)
}

pub(super) fn history(node: &Node, params: &Params<'_>) -> Answer<FeeHistory> {
    let mut params = params.sequence();
    let (count, newest): (U64, BlockNumberOrTag) = (params.next()?, params.next()?);
    let percentiles: Vec<f64> = params.optional_next()?.unwrap_or_default();
    let ordered = percentiles.windows(2).all(|pair| pair[0] <= pair[1]);
    let bounded = percentiles.iter().all(|percentile| (0.0..=100.0).contains(percentile));
    if percentiles.len() > PERCENTILES_MAX || !ordered || !bounded {
        let text = format!("at most {PERCENTILES_MAX} ascending percentiles between 0 and 100");
        return Err(ChainError::Params(text).into());
    }
    Ok(node.read(|chain| collect(chain, count.to(), newest, &percentiles))?)
}

fn collect(
    chain: &Chain,
    count: u64,
    newest: BlockNumberOrTag,
    percentiles: &[f64],
) -> Result<FeeHistory, ChainError> {
    let newest = chain.resolve_tag(newest)?;
    let count = count.clamp(1, HISTORY_MAX).min(newest + 1);
    let oldest = newest + 1 - count;
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for block in (oldest..=newest).filter_map(|number| chain.block(number)) {
        history.base_fee_per_gas.push(block.base_fee.into());
        history.gas_used_ratio.push(block.gas_used() as f64 / chain.config().gas_limit as f64);
        history.base_fee_per_blob_gas.push(1);
        history.blob_gas_used_ratio.push(0.0);
        if !percentiles.is_empty() {
            rewards.push(tips(block, percentiles));
        }
    }
    if let Some(block) = chain.block(newest) {
        history.base_fee_per_gas.push(chain.base_fee_after(block).into());
        history.base_fee_per_blob_gas.push(1);
    }
    history.reward = (!percentiles.is_empty()).then_some(rewards);
    Ok(history)
}

/// Priority fees that were paid in a block, at percentiles of its gas. 0 where it is empty.
fn tips(block: &BlockRecord, percentiles: &[f64]) -> Vec<u128> {
    let mut paid: Vec<(u128, u64)> = block
        .transactions()
        .iter()
        .map(|tx| {
            let tip = tx.transaction.effective_tip_per_gas(block.base_fee);
            (tip.unwrap_or(0), tx.gas_used)
        })
        .collect();
    paid.sort_unstable();
    let at = |percentile: &f64| {
        let threshold = block.gas_used() as f64 * percentile / 100.0;
        let mut sum = 0_u64;
        let reached = paid.iter().find(|(_, gas)| {
            sum = sum.saturating_add(*gas);
            sum as f64 >= threshold
        });
        reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}
