//! Accounts, calls and transactions.

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::types::Params;

use crate::error::ChainError;
use crate::node::Node;
use crate::rpc::Answer;

pub(super) fn chain_id(node: &Node, _: &Params<'_>) -> Answer<U64> {
    Ok(node.read(|chain| Ok(U64::from(chain.config().chain_id)))?)
}

pub(super) fn net_version(node: &Node, _: &Params<'_>) -> Answer<String> {
    Ok(node.read(|chain| Ok(chain.config().chain_id.to_string()))?)
}

pub(super) fn net_listening(_: &Node, _: &Params<'_>) -> Answer<bool> {
    Ok(true)
}

pub(super) fn client_version(_: &Node, _: &Params<'_>) -> Answer<String> {
    Ok(concat!("zklink-devnet/", env!("CARGO_PKG_VERSION"), "/revm-prague").to_string())
}

pub(super) fn syncing(_: &Node, _: &Params<'_>) -> Answer<bool> {
    Ok(false)
}

/// The chain holds no keys.
pub(super) fn accounts(_: &Node, _: &Params<'_>) -> Answer<Vec<Address>> {
    Ok(Vec::new())
}

pub(super) fn balance(node: &Node, params: &Params<'_>) -> Answer<U256> {
    let mut params = params.sequence();
    let address: Address = params.next()?;
    let at = params.optional_next::<BlockId>()?.unwrap_or_default();
    let account = node.read(|chain| {
        chain.with_state(chain.resolve(at)?, |view| view.account(&address).unwrap_or_default())
    })?;
    Ok(account.balance)
}

pub(super) fn code(node: &Node, params: &Params<'_>) -> Answer<Bytes> {
    let mut params = params.sequence();
    let address: Address = params.next()?;
    let at = params.optional_next::<BlockId>()?.unwrap_or_default();
    Ok(node.read(|chain| {
        chain.with_state(chain.resolve(at)?, |view| {
            let account = view.account(&address).unwrap_or_default();
            view.code(account.code_hash).original_bytes()
        })
    })?)
}

pub(super) fn storage_at(node: &Node, params: &Params<'_>) -> Answer<B256> {
    let mut params = params.sequence();
    let (address, index): (Address, U256) = (params.next()?, params.next()?);
    let at = params.optional_next::<BlockId>()?.unwrap_or_default();
    let value =
        node.read(|chain| chain.with_state(chain.resolve(at)?, |view| view.slot(address, index)))?;
    Ok(B256::from(value))
}

pub(super) fn transaction_count(node: &Node, params: &Params<'_>) -> Answer<U64> {
    let mut params = params.sequence();
    let address: Address = params.next()?;
    let at = params.optional_next::<BlockId>()?.unwrap_or_default();
    let nonce = node.read(|chain| {
        if at == BlockId::pending() {
            return Ok(chain.nonce(&address, true));
        }
        chain
            .with_state(chain.resolve(at)?, |view| view.account(&address).unwrap_or_default().nonce)
    })?;
    Ok(U64::from(nonce))
}

/// Reads the parameters of `eth_call` and `eth_estimateGas`. Overrides of state and block, which
/// some nodes take after them, are refused instead of ignored: ignoring them gives wrong answers.
fn call_params(params: &Params<'_>) -> Answer<(TransactionRequest, BlockId)> {
    let mut params = params.sequence();
    let request = params.next()?;
    let at = params.optional_next::<BlockId>()?.unwrap_or_default();
    for _ in 0..2 {
        if params.optional_next::<serde_json::Value>()?.is_some() {
            let text = "overrides of state or block are not supported".to_string();
            return Err(ChainError::Params(text).into());
        }
    }
    Ok((request, at))
}

pub(super) fn call(node: &Node, params: &Params<'_>) -> Answer<Bytes> {
    let (request, at) = call_params(params)?;
    Ok(node.read(|chain| chain.with_call(at, request, |call| call.output()))?)
}

pub(super) fn estimate_gas(node: &Node, params: &Params<'_>) -> Answer<U64> {
    let (request, at) = call_params(params)?;
    let gas = node.read(|chain| chain.with_call(at, request, |call| call.estimate()))?;
    Ok(U64::from(gas))
}

pub(super) fn send_raw_transaction(node: &Node, params: &Params<'_>) -> Answer<B256> {
    let raw: Bytes = params.sequence().next()?;
    Ok(node.submit(&raw)?)
}
