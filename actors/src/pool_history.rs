//! The pools after each of the last blocks: what merge ledgers compare with a contract, which lags behind the state.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, TokenId};
use zklink::state::State;

/// Blocks whose pools are remembered.
const POOLS_MAX: usize = 4096;

/// The pools after each of the last blocks, written by the witness maker.
#[derive(Clone, Debug, Default)]
pub struct PoolHistory(Arc<RwLock<BTreeMap<BlockNumber, PoolAmounts>>>);

/// What each chain owes of each token.
type PoolAmounts = BTreeMap<(ChainId, TokenId), Amount>;

impl PoolHistory {
    /// Notes the pools of the state after a block.
    pub fn note(&self, state: &State) {
        let pools = state.chains().flat_map(|(chain, of_chain)| {
            of_chain.pools.iter().map(move |(token, amount)| ((chain, *token), *amount))
        });
        let pools = pools.collect();
        let mut history = self.0.write().unwrap_or_else(PoisonError::into_inner);
        history.insert(state.system.number, pools);
        while history.len() > POOLS_MAX {
            history.pop_first();
        }
    }

    /// What a chain owed of a token after a block; nothing for a block that is not replayed yet, or is too old.
    pub fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount> {
        let history = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pools = history.get(&block)?;
        Some(pools.get(&(chain, token)).copied().unwrap_or_default())
    }
}
