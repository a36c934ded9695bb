//! The leaves that a block touches, as variables.
//!
//! Each is opened once against the old root and written once into the new one. Between the two, operations read and
//! write them here and know no Merkle path: a one-hot selection over the balances finds a cell, and the fixed topology
//! of the shape gives its sub-account and account for free.
//!
//! Every member opens a real leaf, padding included, and members of one parent are pairwise distinct: so there is no
//! member whose value is not vouched for by the old root, and no leaf that two members could hold.

mod leaf;

use std::ops::Range;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::shape::Shape;

use crate::gadget::select::{dot, one_hot};
use crate::gadget::zero::enforce_pairwise_distinct;
use crate::gadget::{Bit, Expression};
use crate::witness::{AccountWitness, AmountWitness, ChainWitness, Witness};
pub use leaf::AMOUNT_BITS;
use leaf::{AccountFields, AccountVar, AmountVar, ChainVar, SubAccountVar};

/// The leaves of a block.
#[derive(Clone, Debug)]
pub struct WorkingSet {
    accounts: Vec<AccountVar>,
    sub_accounts: Vec<SubAccountVar>,
    balances: Vec<AmountVar>,
    chains: Vec<ChainVar>,
    pools: Vec<AmountVar>,
}

/// A selected balance with its sub-account and account. All selectors are zero in a slot that is switched off.
#[derive(Clone, Debug)]
pub struct BalanceRef {
    balance: Vec<Bit>,
    sub_account: Vec<Expression>,
    account: Vec<Expression>,
}

/// A selected pool with its chain.
#[derive(Clone, Debug)]
pub struct PoolRef {
    pool: Vec<Bit>,
    chain: Vec<Expression>,
}

/// What reading a selected leaf gives.
type Read = Result<Expression, SynthesisError>;

impl WorkingSet {
    /// Allocates the leaves of the shape's groups and checks that they are distinct.
    pub fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        shape: &Shape,
        witness: Option<&Witness>,
    ) -> Result<WorkingSet, SynthesisError> {
        let mut set = WorkingSet {
            accounts: Vec::new(),
            sub_accounts: Vec::new(),
            balances: Vec::new(),
            chains: Vec::new(),
            pools: Vec::new(),
        };
        for (at, sizes) in shape.accounts.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("account {at}"));
            set.open_account(cs, sizes, witness.map(|witness| &witness.accounts[at]))?;
        }
        for (at, size) in shape.chains.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            set.open_chain(cs, *size, witness.map(|witness| &witness.chains[at]))?;
        }
        let ids: Vec<_> = set.accounts.iter().map(|account| account.id.clone()).collect();
        enforce_pairwise_distinct(&mut cs.namespace(|| "distinct accounts"), &ids)?;
        let ids: Vec<_> = set.chains.iter().map(|chain| chain.id.clone()).collect();
        enforce_pairwise_distinct(&mut cs.namespace(|| "distinct chains"), &ids)?;
        Ok(set)
    }

    fn open_account<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        sizes: &[usize],
        witness: Option<&AccountWitness>,
    ) -> Result<(), SynthesisError> {
        let first_sub = self.sub_accounts.len();
        let subs = first_sub..first_sub + sizes.len();
        let account = AccountVar::open(cs, witness, subs)?;
        for (at, size) in sizes.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("sub-account {at}"));
            let witness = witness.map(|witness| &witness.sub_accounts[at]);
            let first = self.balances.len();
            let range = first..first + size;
            let sub = SubAccountVar::open(cs, witness, &account.id, range)?;
            self.sub_accounts.push(sub);
            let amounts = witness.map(|witness| &witness.balances[..]);
            open_amounts(cs, "balance", *size, amounts, &mut self.balances)?;
        }
        let ids: Vec<_> = self.sub_accounts[first_sub..].iter().map(|sub| sub.id.clone()).collect();
        enforce_pairwise_distinct(&mut cs.namespace(|| "distinct sub-accounts"), &ids)?;
        self.accounts.push(account);
        Ok(())
    }

    fn open_chain<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        size: usize,
        witness: Option<&ChainWitness>,
    ) -> Result<(), SynthesisError> {
        let first = self.pools.len();
        let chain = ChainVar::open(cs, witness, first..first + size)?;
        let amounts = witness.map(|witness| &witness.pools[..]);
        open_amounts(cs, "pool", size, amounts, &mut self.pools)?;
        self.chains.push(chain);
        Ok(())
    }

    /// Gives the accounts root and the chains root after the operations.
    pub fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        (old_accounts, old_chains): (&Expression, &Expression),
    ) -> Result<(Expression, Expression), SynthesisError> {
        let mut accounts = old_accounts.clone();
        for (at, account) in self.accounts.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("account {at}"));
            accounts = account.close(cs, &accounts, &self.sub_accounts, &self.balances)?;
        }
        let mut chains = old_chains.clone();
        for (at, chain) in self.chains.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            chains = chain.close(cs, &chains, &self.pools)?;
        }
        Ok((accounts, chains))
    }

    /// Selects a balance; nothing when the slot is switched off.
    pub fn select_balance<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        enabled: &Bit,
        at: Option<Option<usize>>,
    ) -> Result<BalanceRef, SynthesisError> {
        let balance = one_hot(cs, at, self.balances.len(), enabled)?;
        let sum = |range: &Range<usize>| Expression::sum(bits(&balance[range.clone()]));
        let sub_account: Vec<Expression> =
            self.sub_accounts.iter().map(|sub| sum(&sub.balances)).collect();
        let account = self.accounts.iter();
        let account =
            account.map(|account| Expression::sum(&sub_account[account.sub_accounts.clone()]));
        let account = account.collect();
        Ok(BalanceRef { balance, sub_account, account })
    }

    /// Selects a pool; nothing when the slot is switched off.
    pub fn select_pool<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        enabled: &Bit,
        at: Option<Option<usize>>,
    ) -> Result<PoolRef, SynthesisError> {
        let pool = one_hot(cs, at, self.pools.len(), enabled)?;
        let chains = self.chains.iter();
        let chain = chains.map(|chain| Expression::sum(bits(&pool[chain.pools.clone()]))).collect();
        Ok(PoolRef { pool, chain })
    }

    /// The token of the selected balance.
    pub fn token<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &BalanceRef) -> Read {
        dot(cs, "token", bits(&at.balance), self.balances.iter().map(|balance| &balance.token))
    }

    /// The amount of the selected balance.
    pub fn balance<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &BalanceRef) -> Read {
        dot(cs, "balance", bits(&at.balance), self.balances.iter().map(|balance| &balance.now))
    }

    /// `account * 2^8 + sub-account` of the selected balance.
    pub fn place<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &BalanceRef) -> Read {
        dot(cs, "place", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.place))
    }

    /// The sub-account id of the selected balance.
    pub fn sub_account<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &BalanceRef) -> Read {
        dot(cs, "sub-account", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.id))
    }

    /// The nonce of the selected sub-account.
    pub fn sub_account_nonce<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Read {
        dot(cs, "nonce", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.nonce))
    }

    /// The token of the selected pool.
    pub fn pool_token<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &PoolRef) -> Read {
        dot(cs, "pool token", bits(&at.pool), self.pools.iter().map(|pool| &pool.token))
    }

    /// The amount of the selected pool.
    pub fn pool<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &PoolRef) -> Read {
        dot(cs, "pool", bits(&at.pool), self.pools.iter().map(|pool| &pool.now))
    }

    /// The chain of the selected pool.
    pub fn chain<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &PoolRef) -> Read {
        dot(cs, "chain", &at.chain, self.chains.iter().map(|chain| &chain.id))
    }

    /// The nonce of the selected account.
    pub fn account_nonce<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, at: &BalanceRef) -> Read {
        self.account_field(cs, at, "account nonce", |account| &account.nonce)
    }

    /// The owner of the selected account: first byte and the rest.
    pub fn owner<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let top = self.account_field(cs, at, "owner top", |account| &account.owner_top)?;
        let low = self.account_field(cs, at, "owner low", |account| &account.owner_low)?;
        Ok((top, low))
    }

    /// The key of the selected account.
    pub fn key<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let x = self.account_field(cs, at, "key x", |account| &account.key_x)?;
        let y = self.account_field(cs, at, "key y", |account| &account.key_y)?;
        Ok((x, y))
    }

    fn account_field<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
        name: &'static str,
        field: impl Fn(&AccountFields) -> &Expression,
    ) -> Read {
        dot(cs, name, &at.account, self.accounts.iter().map(|account| field(&account.now)))
    }

    /// Adds to the selected balance; `by` may be negative. The range of the result is the caller's concern where
    /// something is taken away, and is checked for every balance at the end of the block.
    pub fn add_to_balance<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        at: &BalanceRef,
        by: &Expression,
    ) -> Result<(), SynthesisError> {
        add_selected(cs, &at.balance, by, &mut self.balances)
    }

    /// Adds to the selected pool; `by` may be negative. As [`WorkingSet::add_to_balance`].
    pub fn add_to_pool<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        at: &PoolRef,
        by: &Expression,
    ) -> Result<(), SynthesisError> {
        add_selected(cs, &at.pool, by, &mut self.pools)
    }

    /// Takes the next request from the queue of the selected chain. Free.
    pub fn advance_cursor(&mut self, at: &PoolRef) {
        for (chain, selected) in self.chains.iter_mut().zip(&at.chain) {
            chain.cursor += selected;
        }
    }

    /// Uses up a nonce of the selected sub-account. Free.
    pub fn use_sub_account_nonce(&mut self, at: &BalanceRef) {
        for (sub, selected) in self.sub_accounts.iter_mut().zip(&at.sub_account) {
            sub.nonce += selected;
        }
    }

    /// Uses up a nonce of the selected account. Free.
    pub fn use_account_nonce(&mut self, at: &BalanceRef) {
        for (account, selected) in self.accounts.iter_mut().zip(&at.account) {
            account.now.nonce += selected;
        }
    }

    /// Adds to both parts of the owner of the selected account.
    pub fn add_to_owner<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        at: &BalanceRef,
        (top, low): (&Expression, &Expression),
    ) -> Result<(), SynthesisError> {
        for (group, (account, selected)) in self.accounts.iter_mut().zip(&at.account).enumerate() {
            let cs = &mut cs.namespace(|| format!("owner {group}"));
            account.now.owner_top += &Expression::product(cs, "top", top, selected)?;
            account.now.owner_low += &Expression::product(cs, "low", low, selected)?;
        }
        Ok(())
    }

    /// Replaces the key of the selected account.
    pub fn set_key<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        at: &BalanceRef,
        (x, y): (&Expression, &Expression),
    ) -> Result<(), SynthesisError> {
        for (group, (account, selected)) in self.accounts.iter_mut().zip(&at.account).enumerate() {
            let cs = &mut cs.namespace(|| format!("key {group}"));
            let change = x - &account.now.key_x;
            account.now.key_x += &Expression::product(cs, "x", &change, selected)?;
            let change = y - &account.now.key_y;
            account.now.key_y += &Expression::product(cs, "y", &change, selected)?;
        }
        Ok(())
    }
}

fn open_amounts<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    name: &'static str,
    size: usize,
    witness: Option<&[AmountWitness]>,
    into: &mut Vec<AmountVar>,
) -> Result<(), SynthesisError> {
    let first = into.len();
    for at in 0..size {
        let cs = &mut cs.namespace(|| format!("{name} {at}"));
        into.push(AmountVar::open(cs, witness.map(|witness| &witness[at]))?);
    }
    let tokens: Vec<_> = into[first..].iter().map(|amount| amount.token.clone()).collect();
    enforce_pairwise_distinct(&mut cs.namespace(|| format!("distinct {name}s")), &tokens)
}

fn add_selected<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    selected: &[Bit],
    by: &Expression,
    amounts: &mut [AmountVar],
) -> Result<(), SynthesisError> {
    for (at, (amount, selected)) in amounts.iter_mut().zip(selected).enumerate() {
        let cs = &mut cs.namespace(|| format!("add {at}"));
        amount.now += &Expression::product(cs, "change", by, selected.expression())?;
    }
    Ok(())
}

/// Bits as the numbers zero and one.
fn bits(bits: &[Bit]) -> impl Iterator<Item = &Expression> {
    bits.iter().map(Bit::expression)
}
