//! The state: accounts with their sub-accounts, chains with their pools, and the system's own facts.
//!
//! This is the plain form that operations change. [`crate::commitment`] gives it a root.

use std::collections::BTreeMap;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use imbl::OrdMap;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::binary;
use crate::id::{
    AccountId, BlockNumber, ChainId, KeyVersion, Nonce, Owner, Serial, SlotId, SubAccountId,
    TokenId,
};
use crate::key::{self, PublicKey};
use crate::reject::Reject;

/// Names a deployment: every signed message binds it, so that none can be replayed on another one.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
    Default,
)]
pub struct DeploymentId(#[serde(with = "hex::serde")] pub [u8; 31]);

/// A user of L2.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize, Default,
)]
pub struct Account {
    /// Who may set the key and whom forced exits pay.
    pub owner: Owner,
    /// The key that signs, once it is set.
    #[borsh(serialize_with = "key::kept::serialize", deserialize_with = "key::kept::deserialize")]
    pub key: Option<PublicKey>,
    /// Count of the keys that the account has had.
    pub key_version: KeyVersion,
    /// Count of the operations that concern the account as a whole.
    pub nonce: Nonce,
    /// Unix time of the block before the one that made the account, in seconds: known when that operation is executed.
    pub created: u64,
    /// Who gets on other chains than its home what a contract is owed after a freeze; nobody until it is set.
    pub recipient: Owner,
    /// The sub-accounts that were ever used.
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize"
    )]
    pub sub_accounts: LiteMap<SubAccountId, SubAccount>,
}

/// A part of an account that one dApp works with.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize, Default,
)]
pub struct SubAccount {
    /// Count of signed operations.
    pub nonce: Nonce,
    /// Epoch of its orders: raising it cancels them all.
    pub epoch: u32,
    /// What it holds. Zero balances are not kept.
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize"
    )]
    pub balances: LiteMap<TokenId, Amount>,
    /// Its orders that were matched at least once. Fresh slots are not kept.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize"
    )]
    pub slots: LiteMap<SlotId, OrderSlot>,
}

/// What is known of the order in a slot. A slot of an older epoch than that of its sub-account reads as fresh.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
    Default,
)]
pub struct OrderSlot {
    /// Nonce of the order; it never wraps.
    pub nonce: Nonce,
    /// Epoch of the sub-account when the order was first matched.
    pub epoch: u32,
    /// What of its amount is not filled yet.
    pub remaining: Amount,
}

/// What L2 knows of a connected chain.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize, Default,
)]
pub struct ChainState {
    /// The next priority request that will be taken from the chain's queue.
    pub cursor: Serial,
    /// What the contract there owes to L2 users, per token. Zero pools are not kept.
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize::<TokenId, Amount, _, _>"
    )]
    pub pools: OrdMap<TokenId, Amount>,
}

/// Facts of the rollup itself.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    BorshSerialize,
    BorshDeserialize,
    Default,
)]
pub struct System {
    /// Number of the last block.
    pub number: BlockNumber,
    /// Unix time of the last block, in seconds.
    pub timestamp: u64,
    /// The account whose sub-account 0 receives the fees.
    pub fee_account: AccountId,
    /// The account that will insure perpetuals.
    pub insurance_account: AccountId,
    /// The deployment.
    pub deployment: DeploymentId,
}

/// What the end of a block changed: see [`State::end_block`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    fees: BTreeMap<TokenId, Amount>,
    /// Whether the fee account's sub-account was used before.
    used: bool,
    before: (BlockNumber, u64),
}

/// One cell that an operation reads and writes. Accounts, sub-accounts and chains follow from the cells below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// What a sub-account holds of a token.
    Balance(AccountId, SubAccountId, TokenId),
    /// What a chain owes of a token.
    Pool(ChainId, TokenId),
    /// The priority cursor of a chain.
    Cursor(ChainId),
}

impl Cell {
    /// The account to which it belongs, if it is a balance.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Cell::Balance(account, ..) => Some(*account),
            Cell::Pool(..) | Cell::Cursor(_) => None,
        }
    }
}

/// The whole state. A copy costs nothing: it shares everything with the original until one of them changes.
#[derive(
    Clone, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize, Default,
)]
pub struct State {
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize::<AccountId, Arc<Account>, _, _>"
    )]
    accounts: OrdMap<AccountId, Arc<Account>>,
    #[serde(skip)]
    #[borsh(skip)]
    owners: OrdMap<Owner, AccountId>,
    #[borsh(
        serialize_with = "binary::map::serialize",
        deserialize_with = "binary::map::deserialize::<ChainId, ChainState, _, _>"
    )]
    chains: OrdMap<ChainId, ChainState>,
    /// Fees of the open block: they are the fee account's when the block ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fees: BTreeMap<TokenId, Amount>,
    /// Facts of the rollup itself.
    pub system: System,
}

impl State {
    /// The account that receives the fees. It is so at genesis, and no operation changes it.
    pub const FEE_ACCOUNT: AccountId = AccountId(0);

    /// The state before the first block: two accounts that belong to the operator, and nothing else.
    pub fn genesis(deployment: DeploymentId, fee_owner: Owner, insurance_owner: Owner) -> State {
        let mut state = State::default();
        state.system.deployment = deployment;
        state.system.fee_account = State::FEE_ACCOUNT;
        state.system.insurance_account = AccountId(1);
        state.put_account(State::FEE_ACCOUNT, Account { owner: fee_owner, ..Account::default() });
        state.put_account(AccountId(1), Account { owner: insurance_owner, ..Account::default() });
        state
    }

    /// Restores what is derived after the state was read from a store.
    pub fn rebuild_index(&mut self) {
        // Of several accounts of one owner the first one counts: it is written last.
        let owners = self.accounts.iter().rev();
        self.owners = owners.map(|(id, account)| (account.owner, *id)).collect();
    }

    /// The account, if it exists.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id).map(Arc::as_ref)
    }

    /// All accounts in order of their ids.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.accounts.iter().map(|(id, account)| (*id, account.as_ref()))
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// The account of this owner.
    pub fn account_of(&self, owner: Owner) -> Option<AccountId> {
        self.owners.get(&owner).copied()
    }

    /// The id that the next new account gets.
    ///
    /// # Errors
    /// [`Reject::AccountsFull`].
    pub fn next_account(&self) -> Result<AccountId, Reject> {
        let after_last = match self.accounts.get_max() {
            Some((last, _)) => last.0.checked_add(1).map(AccountId),
            None => Some(AccountId(0)),
        };
        if let Some(next) = after_last.filter(|next| next.is_valid()) {
            return Ok(next);
        }
        // Public data may name any place: the last one being taken does not mean that none is free.
        first_free(self.accounts.keys().copied()).ok_or(Reject::AccountsFull)
    }

    /// The sub-account, if it was ever used.
    pub fn sub_account(&self, account: AccountId, sub: SubAccountId) -> Option<&SubAccount> {
        self.accounts.get(&account)?.sub_accounts.get(&sub)
    }

    /// What a sub-account holds.
    pub fn balance(&self, account: AccountId, sub: SubAccountId, token: TokenId) -> Amount {
        let found = self.sub_account(account, sub).and_then(|sub| sub.balances.get(&token));
        found.copied().unwrap_or_default()
    }

    /// The chain, as far as L2 has dealt with it.
    pub fn chain(&self, id: ChainId) -> Option<&ChainState> {
        self.chains.get(&id)
    }

    /// All chains that L2 has dealt with, in order of their ids.
    pub fn chains(&self) -> impl Iterator<Item = (ChainId, &ChainState)> {
        self.chains.iter().map(|(id, chain)| (*id, chain))
    }

    /// The next priority request of a chain.
    pub fn cursor(&self, chain: ChainId) -> Serial {
        self.chains.get(&chain).map(|chain| chain.cursor).unwrap_or_default()
    }

    /// What the chain owes to L2 users.
    pub fn pool(&self, chain: ChainId, token: TokenId) -> Amount {
        let found = self.chains.get(&chain).and_then(|chain| chain.pools.get(&token));
        found.copied().unwrap_or_default()
    }

    /// Fees that the open block has collected so far.
    pub fn fees(&self) -> &BTreeMap<TokenId, Amount> {
        &self.fees
    }

    /// Ends the open block: credits its fees to sub-account 0 of the fee account, and takes over its number and time.
    /// What it gives serves to take that back.
    pub fn end_block(&mut self, number: BlockNumber, timestamp: u64) -> Ended {
        let account = self.system.fee_account;
        let fees = std::mem::take(&mut self.fees);
        let used = self.sub_account(account, SubAccountId(0)).is_some();
        for (token, fee) in &fees {
            self.credit(account, SubAccountId(0), *token, *fee);
        }
        let before = (self.system.number, self.system.timestamp);
        (self.system.number, self.system.timestamp) = (number, timestamp);
        Ended { fees, used, before }
    }

    /// Takes back the end of a block after which nothing has changed.
    ///
    /// # Panics
    /// When something has: the fees are not where they were put.
    pub fn reopen_block(&mut self, ended: Ended) {
        let Ended { fees, used, before } = ended;
        let account = self.system.fee_account;
        for (token, fee) in &fees {
            let left = self.balance(account, SubAccountId(0), *token).checked_sub(*fee);
            let left = left.expect("nothing has changed since the fees were credited");
            self.set_balance(account, SubAccountId(0), *token, left);
        }
        if !used && let Some(account) = self.account_mut(account) {
            account.sub_accounts.remove(&SubAccountId(0));
        }
        self.fees = fees;
        (self.system.number, self.system.timestamp) = before;
    }

    /// What all chains together owe of a token: the sum of all balances of it and of the fees of the open block.
    pub fn supply(&self, token: TokenId) -> Option<Amount> {
        let pools = self.chains.values().filter_map(|chain| chain.pools.get(&token));
        pools.copied().try_fold(Amount::ZERO, Amount::checked_add)
    }

    /// An account that this block makes.
    pub(crate) fn new_account(&self, owner: Owner) -> Account {
        Account { owner, created: self.system.timestamp, ..Account::default() }
    }

    /// Makes an account or changes the owner of an empty place.
    pub(crate) fn put_account(&mut self, id: AccountId, account: Account) {
        assert!(id.is_valid() && !account.owner.is_none(), "checked by the operation");
        // An owner with several accounts, which only an operator can make, is known by the first place.
        let first = self.owners.entry(account.owner).or_insert(id);
        *first = id.min(*first);
        self.accounts.insert(id, Arc::new(account));
    }

    /// The account for writing.
    pub(crate) fn account_mut(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(&id).map(Arc::make_mut)
    }

    /// The sub-account of an existing account for writing, made when it is new.
    pub(crate) fn sub_account_mut(&mut self, id: AccountId, sub: SubAccountId) -> &mut SubAccount {
        let account = self.account_mut(id).expect("checked by the operation");
        account.sub_accounts.entry(sub).or_default()
    }

    /// Sets a balance; the account exists.
    pub(crate) fn set_balance(
        &mut self,
        account: AccountId,
        sub: SubAccountId,
        token: TokenId,
        amount: Amount,
    ) {
        // Zeros are not kept, so that equal states are equal values.
        let balances = &mut self.sub_account_mut(account, sub).balances;
        match amount {
            Amount::ZERO => balances.remove(&token),
            _ => balances.insert(token, amount),
        };
    }

    /// Adds to a balance; the account exists.
    ///
    /// No overflow: all balances of a token together equal its pools, each of which a deposit keeps below
    /// 2^[`Amount::POOL_BITS`]. The circuit checks the range of every balance once per leaf and block.
    pub(crate) fn credit(&mut self, id: AccountId, sub: SubAccountId, token: TokenId, by: Amount) {
        let balance = self.balance(id, sub, token).checked_add(by);
        self.set_balance(id, sub, token, balance.expect("deposits bound all balances together"));
    }

    /// Collects a fee for the end of the block. It cannot overflow, as [`State::credit`].
    pub(crate) fn collect_fee(&mut self, token: TokenId, fee: Amount) {
        if fee == Amount::ZERO {
            return;
        }
        let collected = self.fees.entry(token).or_default();
        *collected = collected.checked_add(fee).expect("deposits bound all balances together");
    }

    /// The chain for writing, made when it is new.
    pub(crate) fn chain_mut(&mut self, id: ChainId) -> &mut ChainState {
        self.chains.entry(id).or_default()
    }

    /// Sets a pool.
    pub(crate) fn set_pool(&mut self, chain: ChainId, token: TokenId, amount: Amount) {
        let pools = &mut self.chain_mut(chain).pools;
        match amount {
            Amount::ZERO => pools.remove(&token),
            _ => pools.insert(token, amount),
        };
    }
}

/// The first place that is not among those taken, which are in order and go up to the last place.
fn first_free(taken: impl Iterator<Item = AccountId>) -> Option<AccountId> {
    let mut places = taken.zip(0..);
    places.find(|(id, place)| id.0 != *place).map(|(_, place)| AccountId(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_tree_has_no_free_place() {
        let all = || (0..AccountId::COUNT).map(AccountId);
        assert_eq!(first_free(all()), None);
        for free in [0, 1, 77, AccountId::COUNT - 2] {
            let taken = all().filter(|id| id.0 != free);
            assert_eq!(first_free(taken), Some(AccountId(free)));
        }
    }
}
