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

    /// What a chain owed of a token after a block; nothing for a block that is not remembered.
    pub fn after(&self, chain: ChainId, token: TokenId, block: BlockNumber) -> Option<Amount> {
        let history = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pools = history.get(&block)?;
        Some(pools.get(&(chain, token)).copied().unwrap_or_default())
    }

    /// As [`PoolHistory::after`] for a block before the oldest that is remembered, if the chain has no operations from
    /// there up to the oldest: its pools change in such blocks only, so it owed then what it owed at the oldest.
    ///
    /// `next` is the chain's next block with operations.
    pub fn before_all(
        &self,
        chain: ChainId,
        token: TokenId,
        block: BlockNumber,
        next: Option<BlockNumber>,
    ) -> Option<Amount> {
        let history = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (oldest, pools) = history.first_key_value()?;
        let same = block < *oldest && next.is_none_or(|next| next > *oldest);
        same.then(|| pools.get(&(chain, token)).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::{Owner, SubAccountId};
    use zklink::op::{Deposit, Op};
    use zklink::state::DeploymentId;

    use super::*;

    const CHAIN: ChainId = ChainId(1);
    const TOKEN: TokenId = TokenId(17);

    fn deposit(state: &mut State, amount: u128) {
        let owner = Owner::from_evm([9; 20]);
        let known = state.account_of(owner);
        let account = known.unwrap_or_else(|| state.next_account().unwrap());
        let (chain, token, sub_account) = (CHAIN, TOKEN, SubAccountId(0));
        let amount = Amount(amount);
        let op = Op::Deposit(Deposit {
            chain,
            account,
            sub_account,
            token,
            amount,
            owner,
            refused: false,
        });
        op.apply(state).unwrap();
    }

    #[test]
    fn a_chain_without_operations_since_owed_what_it_owed_at_the_oldest_block() {
        let history = PoolHistory::default();
        let before_all = |block: u32, next: Option<u32>| {
            history.before_all(CHAIN, TOKEN, BlockNumber(block), next.map(BlockNumber))
        };
        assert_eq!(before_all(1, None), None, "nothing is remembered");
        let owner = |n| Owner::from_evm([n; 20]);
        let mut state = State::genesis(DeploymentId([1; 31]), owner(1), owner(2));
        for (number, amount) in [(10, 7), (11, 2)] {
            deposit(&mut state, amount);
            state.system.number = BlockNumber(number);
            history.note(&state);
        }
        assert_eq!(history.after(CHAIN, TOKEN, BlockNumber(10)), Some(Amount(7)));
        assert_eq!(history.after(CHAIN, TOKEN, BlockNumber(11)), Some(Amount(9)));
        assert_eq!(history.after(CHAIN, TOKEN, BlockNumber(3)), None);
        assert_eq!(before_all(3, Some(11)), Some(Amount(7)), "nothing happened from 4 to 10");
        assert_eq!(before_all(3, None), Some(Amount(7)));
        assert_eq!(before_all(3, Some(10)), None, "block 10 changed it");
        assert_eq!(before_all(3, Some(4)), None);
        assert_eq!(before_all(12, None), None, "not replayed yet");
    }
}
