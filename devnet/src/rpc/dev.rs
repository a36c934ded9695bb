//! The developer's methods, in anvil's parameter forms.

use alloy_primitives::{Address, Bytes, U64, U256};
use jsonrpsee::types::Params;
use serde::Deserialize;

use crate::config::Mining;
use crate::error::ChainError;
use crate::node::Node;
use crate::rpc::Answer;

/// A number as anvil's methods take it: JSON number, or string in hexadecimal or decimal form.
fn number(value: U256) -> Result<u64, ChainError> {
    u64::try_from(value).map_err(|_| ChainError::Params(format!("{value} is too large")))
}

fn number_or(params: &mut jsonrpsee::types::ParamsSequence<'_>, default: u64) -> Answer<u64> {
    let given: Option<U256> = params.optional_next()?;
    Ok(given.map_or(Ok(default), number)?)
}

/// The parameter of `evm_mine`: a timestamp, or an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U256),
    Options { timestamp: Option<U256>, blocks: Option<u64> },
}

pub(super) fn evm_mine(node: &Node, params: &Params<'_>) -> Answer<&'static str> {
    let (timestamp, blocks) = match params.sequence().optional_next()? {
        Some(MineOptions::Timestamp(timestamp)) => (Some(timestamp), 1),
        Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks.unwrap_or(1)),
        None => (None, 1),
    };
    if let Some(timestamp) = timestamp {
        set_next(node, number(timestamp)?)?;
    }
    node.mine(blocks, 0)?;
    Ok("0x0")
}

fn set_next(node: &Node, time: u64) -> Result<(), ChainError> {
    node.write(|chain| {
        let latest = chain.latest();
        let parent = chain.block(latest).map_or(0, |block| block.timestamp);
        chain.clock.set_next(time, parent)
    })
}

pub(super) fn increase_time(node: &Node, params: &Params<'_>) -> Answer<u64> {
    let seconds = number(params.sequence().next()?)?;
    Ok(node.write(|chain| chain.clock.increase(seconds))?)
}

pub(super) fn set_next_timestamp(node: &Node, params: &Params<'_>) -> Answer<()> {
    let time = number(params.sequence().next()?)?;
    Ok(set_next(node, time)?)
}

pub(super) fn set_automine(node: &Node, params: &Params<'_>) -> Answer<()> {
    let automatic: bool = params.sequence().next()?;
    Ok(node.set_mining(if automatic { Mining::Auto } else { Mining::Manual })?)
}

pub(super) fn snapshot(node: &Node, _: &Params<'_>) -> Answer<U64> {
    Ok(U64::from(node.snapshot()?))
}

pub(super) fn revert(node: &Node, params: &Params<'_>) -> Answer<bool> {
    let snapshot = number(params.sequence().next()?)?;
    Ok(node.revert(snapshot)?)
}

/// Number of blocks (1), and seconds between them (0).
pub(super) fn anvil_mine(node: &Node, params: &Params<'_>) -> Answer<()> {
    let mut params = params.sequence();
    let (blocks, interval) = (number_or(&mut params, 1)?, number_or(&mut params, 0)?);
    Ok(node.mine(blocks, interval)?)
}

/// Number of blocks (1).
pub(super) fn rollback(node: &Node, params: &Params<'_>) -> Answer<()> {
    let depth = number_or(&mut params.sequence(), 1)?;
    Ok(node.rollback(depth)?)
}

/// Number of blocks, and pairs of a signed transaction and the index of its new block. anvil also
/// takes unsigned transactions there, for accounts that it has the keys of; here are no keys.
pub(super) fn reorg(node: &Node, params: &Params<'_>) -> Answer<()> {
    let mut params = params.sequence();
    let depth = number(params.next()?)?;
    let pairs: Vec<(Bytes, U256)> = params.optional_next()?.unwrap_or_default();
    let most = node.read(|chain| Ok(chain.config().limits.pool_transactions))?;
    if pairs.len() > most {
        return Err(ChainError::Params(format!("at most {most} transactions")).into());
    }
    let placed = pairs.into_iter().map(|(raw, block)| Ok((raw.to_vec(), number(block)?)));
    let placed = placed.collect::<Result<Vec<_>, ChainError>>()?;
    Ok(node.reorg(depth, &placed, false)?)
}

pub(super) fn set_balance(node: &Node, params: &Params<'_>) -> Answer<()> {
    let mut params = params.sequence();
    let (address, balance): (Address, U256) = (params.next()?, params.next()?);
    Ok(node.write(|chain| {
        chain.set_balance(address, balance);
        Ok(())
    })?)
}
