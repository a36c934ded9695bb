//! The books of the rollup against those of the contracts: is every token there that users own?

use alloy_primitives::U256;
use anyhow::{Context, Result};
use zklink::amount::Amount;
use zklink::id::{ChainId, TokenId};
use zklink::token::{Address, scale_up};
use zklink_chain::client::{At, ChainClient};
use zklink_chain::contracts::{Erc20, Hub, Rollup, read, to_abi};

use super::LocalNetwork;

/// A unified token on all chains.
#[derive(Clone, Debug)]
pub(crate) struct TokenBook {
    /// The token.
    pub(crate) token: TokenId,
    /// What people call it.
    pub(crate) symbol: String,
    /// The sum of all balances on L2, in 18 decimals: what users own, fees included.
    pub(crate) liabilities: Amount,
    /// The sum of its pools, in 18 decimals.
    pub(crate) pools: Amount,
    /// Each chain that has it.
    pub(crate) chains: Vec<ChainBook>,
}

/// A token on one chain, in units of that chain.
#[derive(Clone, Debug)]
pub(crate) struct ChainBook {
    /// The chain.
    pub(crate) chain: ChainId,
    /// Decimals of the token there.
    pub(crate) decimals: u8,
    /// What the chain owes to L2 users, in 18 decimals.
    pub(crate) pool: Amount,
    /// What the contract has.
    pub(crate) held: u128,
    /// What the contract says that it has for users.
    pub(crate) locked: u128,
    /// Payouts that failed and can be claimed.
    pub(crate) pending: u128,
    /// Deposits that no block has taken over yet.
    pub(crate) unconsumed: u128,
}

impl ChainBook {
    /// `pool <= held - pending - unconsumed`, compared in 18 decimals.
    pub(crate) fn is_covered(&self) -> bool {
        let free = self.held.checked_sub(self.pending).and_then(|n| n.checked_sub(self.unconsumed));
        let scale = zklink::amount::DECIMALS.checked_sub(self.decimals);
        free.zip(scale).and_then(|(free, scale)| scale_up(free, scale)) >= Some(self.pool)
    }
}

impl TokenBook {
    /// Whether users own exactly what the chains owe, and each chain has what it owes.
    pub(crate) fn is_solvent(&self) -> bool {
        self.liabilities == self.pools && self.chains.iter().all(ChainBook::is_covered)
    }
}

impl LocalNetwork {
    /// What an address has of a token on a chain, in the chain's units.
    ///
    /// # Errors
    /// The chain does not answer.
    pub(crate) async fn l1_balance(
        &self,
        chain: ChainId,
        token: TokenId,
        of: Address,
    ) -> Result<u128> {
        let Some(found) = self.token(chain, token) else { return Ok(0) };
        balance(&*self.chains.chain(chain).client, found.address, of).await
    }
}

/// What an address has of a token, in its units; of the native coin for the zero address.
///
/// # Errors
/// The chain does not answer.
pub(crate) async fn balance(client: &dyn ChainClient, token: Address, of: Address) -> Result<u128> {
    if token == [0; 20] {
        return Ok(client.balance(of, At::Latest).await?);
    }
    let call = Erc20::balanceOfCall { owner: to_abi(of) };
    number(read(client, token, &call, At::Latest).await?)
}

fn number(value: U256) -> Result<u128> {
    u128::try_from(value).ok().context("a token amount of more than 128 bits")
}

/// Reads both sides. The rollup's side is of one moment; call this when nothing is under way, see [`is_settled`].
///
/// # Errors
/// A chain does not answer.
pub(crate) async fn books(network: &LocalNetwork) -> Result<Vec<TokenBook>> {
    let mut books = rollup_side(network)?;
    for book in &mut books {
        for of_chain in &mut book.chains {
            contract_side(network, book.token, of_chain).await?;
        }
    }
    Ok(books)
}

/// What the rollup says, from one view of its state.
fn rollup_side(network: &LocalNetwork) -> Result<Vec<TokenBook>> {
    let state = network.node.view().read().state.clone();
    let mut books = Vec::new();
    for (token, unified) in network.deployment.network().tokens {
        let subs = state.accounts().flat_map(|(_, account)| account.sub_accounts.values());
        let collected = state.fees().get(&token).copied();
        let balances = subs.filter_map(|sub| sub.balances.get(&token).copied());
        let mut balances = balances.chain(collected);
        let liabilities = balances.try_fold(Amount::ZERO, Amount::checked_add);
        let chains = unified.chains.iter().map(|(chain, l1)| ChainBook {
            chain: *chain,
            decimals: l1.decimals,
            pool: state.pool(*chain, token),
            held: 0,
            locked: 0,
            pending: 0,
            unconsumed: 0,
        });
        books.push(TokenBook {
            token,
            symbol: unified.symbol.clone(),
            liabilities: liabilities.context("the balances of a token exceed 128 bits")?,
            pools: state.supply(token).context("the pools of a token exceed 128 bits")?,
            chains: chains.collect(),
        });
    }
    Ok(books)
}

async fn contract_side(network: &LocalNetwork, token: TokenId, book: &mut ChainBook) -> Result<()> {
    let of_chain = network.deployment.chain(book.chain).context("a chain of the deployment")?;
    let (rollup, at, token_id) = (of_chain.rollup, At::Latest, token.0);
    let client = &*network.chains.chain(book.chain).client;
    book.held = network.l1_balance(book.chain, token, rollup).await?;
    book.locked = number(read(client, rollup, &Rollup::lockedCall { token: token_id }, at).await?)?;
    let pending = Rollup::pendingTotalCall { token: token_id };
    book.pending = number(read(client, rollup, &pending, at).await?)?;
    let unconsumed = Rollup::unconsumedCall { token: token_id };
    book.unconsumed = number(read(client, rollup, &unconsumed, at).await?)?;
    Ok(())
}

/// Whether everything that was executed is sealed, proven, released and paid.
///
/// # Errors
/// A chain does not answer.
pub(crate) async fn is_settled(network: &LocalNetwork) -> Result<bool> {
    let sealed = {
        let view = network.node.view().read();
        if !view.open.is_empty() {
            return Ok(false);
        }
        view.state.system.number.0
    };
    // What was just mined is written down only when the node has its receipt.
    let mut settlement = network.node.health().settlement.values();
    if settlement.any(|status| status.borrow().sending.is_some()) {
        return Ok(false);
    }
    let at = At::Latest;
    for of_chain in &network.deployment.chains {
        let client = &*network.chains.chain(of_chain.id).client;
        let rollup = of_chain.rollup;
        if let Some(hub) = of_chain.hub {
            let released = read(client, hub.contract, &Hub::blocksReleasedCall {}, at).await?;
            if released < sealed {
                return Ok(false);
            }
        }
        let committed = read(client, rollup, &Rollup::lastCommittedCall {}, at).await?;
        let paid = read(client, rollup, &Rollup::lastPaidCall {}, at).await?;
        if paid < committed {
            return Ok(false);
        }
    }
    Ok(true)
}
