//! The double-entry auditor: an account of the books that shares nothing with the operations it checks.

use std::collections::BTreeMap;

use crate::id::TokenId;
use crate::state::State;

/// The books of a token do not balance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {token}: users and fees hold {balances}, the chains owe {pools}")]
pub struct Imbalance {
    /// The token.
    pub token: TokenId,
    /// Sum of all balances.
    pub balances: u128,
    /// Sum of all pools.
    pub pools: u128,
}

/// Checks that for each token users and fees together hold exactly what the chains together owe.
///
/// # Errors
/// The first token whose books do not balance.
pub fn audit(state: &State) -> Result<(), Imbalance> {
    let mut books: BTreeMap<TokenId, (u128, u128)> = BTreeMap::new();
    for (_, account) in state.accounts() {
        for (token, amount) in account.sub_accounts.values().flat_map(|sub| &sub.balances) {
            let entry = &mut books.entry(*token).or_default().0;
            *entry = entry.saturating_add(amount.0);
        }
    }
    for (token, amount) in state.fees() {
        let entry = &mut books.entry(*token).or_default().0;
        *entry = entry.saturating_add(amount.0);
    }
    for (token, amount) in state.chains().flat_map(|(_, chain)| &chain.pools) {
        let entry = &mut books.entry(*token).or_default().1;
        *entry = entry.saturating_add(amount.0);
    }
    for (token, (balances, pools)) in books {
        if balances != pools {
            return Err(Imbalance { token, balances, pools });
        }
    }
    Ok(())
}
