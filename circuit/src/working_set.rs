//! The leaves that a block touches, as variables.
//!
//! Each is opened once against the old root and written once into the new one. Between the two, operations find their
//! values in the [`Memory`], by address, and know no Merkle path and no leaf.
//!
//! Every member opens a real leaf, padding included, and the members of each kind ascend strictly: so there is no
//! member whose value is not vouched for by the old root, and no leaf that two members could hold. A member knows the
//! address of its parent, not its place among the members: it finds the root that it changes in the memory, too.

mod account;
mod amount;
mod chain;
mod page;
mod sub_account;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, SubAccountId, TokenId};
use zklink::shape::{ACCOUNT_PAGE, Shape, TOKEN_PAGE};
use zklink::tree::Path;

use crate::gadget::select::Digit;
use crate::gadget::{Bit, Expression, bits, merkle};
use crate::memory::{Form, Kind, Memory, enforce_ascending};
use crate::witness::Witness;
use account::AccountVar;
use amount::AmountVar;
use chain::ChainVar;
use page::PageVar;
use sub_account::SubAccountVar;

/// Bits of an amount.
pub const AMOUNT_BITS: usize = 128;
/// Bits of a nonce, an epoch and a key version.
pub const NONCE_BITS: usize = 32;
/// Bits of an account id.
pub const ACCOUNT_BITS: usize = 2 * AccountId::DEPTH;
/// Bits of a sub-account id. The tree has 64 places, the protocol uses 32.
pub const SUB_ACCOUNT_BITS: usize = 2 * SubAccountId::DEPTH - 1;
/// Bits of a token id.
pub const TOKEN_BITS: usize = 2 * TokenId::DEPTH;
/// Bits of the number of a page of tokens.
const TOKEN_PAGE_BITS: usize = TOKEN_BITS - 2 * TOKEN_PAGE.levels;
/// Bits of a chain id.
pub const CHAIN_BITS: usize = 2 * ChainId::DEPTH;
/// Bits of a place: in the packed words an account id stands beside eight bits of a sub-account.
const PLACE_BITS: usize = ACCOUNT_BITS + 8;

/// The leaves of a block.
#[derive(Clone, Debug, Default)]
pub struct WorkingSet {
    accounts: Vec<AccountVar>,
    account_pages: Vec<PageVar>,
    sub_accounts: Vec<SubAccountVar>,
    balances: Vec<AmountVar>,
    balance_pages: Vec<PageVar>,
    chains: Vec<ChainVar>,
    pools: Vec<AmountVar>,
    pool_pages: Vec<PageVar>,
}

impl WorkingSet {
    /// Opens the leaves of the shape, checks that none is opened twice, and puts their values into the memory.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        shape: &Shape,
        witness: Option<&Witness>,
        memory: &mut Memory,
    ) -> Result<WorkingSet, SynthesisError> {
        let mut set = WorkingSet::default();
        set.open_accounts(cs, shape, witness, memory)?;
        set.open_balances(cs, shape, witness, memory)?;
        set.open_pools(cs, shape, witness, memory)?;
        set.enforce_distinct(&mut cs.namespace(|| "distinct"))?;
        Ok(set)
    }

    fn open_accounts<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        shape: &Shape,
        witness: Option<&Witness>,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        for at in 0..shape.room.accounts {
            let cs = &mut cs.namespace(|| format!("account {at}"));
            let leaf = witness.map(|witness| &witness.accounts[at]);
            self.accounts.push(AccountVar::open(cs, leaf, memory)?);
        }
        for at in 0..shape.room.account_pages {
            let cs = &mut cs.namespace(|| format!("account page {at}"));
            let page = witness.map(|witness| &witness.account_pages[at]);
            let id = page.map(|page| page.page.into());
            let bits = ACCOUNT_BITS - 2 * ACCOUNT_PAGE.levels;
            let id = number(&mut cs.namespace(|| "page"), id, bits)?;
            let (node, nothing) = (page.map(|page| &page.node), (Expression::zero(), 0));
            let page = PageVar::open(cs, Kind::AccountsPage, nothing, id, node, memory)?;
            self.account_pages.push(page);
        }
        for at in 0..shape.room.sub_accounts {
            let cs = &mut cs.namespace(|| format!("sub-account {at}"));
            let leaf = witness.map(|witness| &witness.sub_accounts[at]);
            self.sub_accounts.push(SubAccountVar::open(cs, leaf, memory)?);
        }
        Ok(())
    }

    fn open_balances<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        shape: &Shape,
        witness: Option<&Witness>,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        for at in 0..shape.room.balances {
            let cs = &mut cs.namespace(|| format!("balance {at}"));
            let leaf = witness.map(|witness| &witness.balances[at]);
            let place = place_of(cs, leaf.map(|leaf| (leaf.account.0, leaf.sub_account.0)))?;
            let leaf = leaf.map(|leaf| &leaf.leaf);
            self.balances.push(AmountVar::open(cs, Kind::Balance, place, leaf, memory)?);
        }
        for at in 0..shape.room.balance_pages {
            let cs = &mut cs.namespace(|| format!("balance page {at}"));
            let page = witness.map(|witness| &witness.balance_pages[at]);
            let place = place_of(cs, page.map(|page| (page.account.0, page.sub_account.0)))?;
            let id = page.map(|page| page.page.into());
            let id = number(&mut cs.namespace(|| "page"), id, TOKEN_PAGE_BITS)?;
            let (node, parent) = (page.map(|page| &page.node), (place, PLACE_BITS));
            let page = PageVar::open(cs, Kind::BalancesPage, parent, id, node, memory)?;
            self.balance_pages.push(page);
        }
        Ok(())
    }

    fn open_pools<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        shape: &Shape,
        witness: Option<&Witness>,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        for at in 0..shape.room.chains {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            let leaf = witness.map(|witness| &witness.chains[at]);
            self.chains.push(ChainVar::open(cs, leaf, memory)?);
        }
        for at in 0..shape.room.pools {
            let cs = &mut cs.namespace(|| format!("pool {at}"));
            let leaf = witness.map(|witness| &witness.pools[at]);
            let chain = chain_of(cs, leaf.map(|leaf| leaf.chain))?;
            let leaf = leaf.map(|leaf| &leaf.leaf);
            self.pools.push(AmountVar::open(cs, Kind::Pool, chain, leaf, memory)?);
        }
        for at in 0..shape.room.pool_pages {
            let cs = &mut cs.namespace(|| format!("pool page {at}"));
            let page = witness.map(|witness| &witness.pool_pages[at]);
            let chain = chain_of(cs, page.map(|page| page.chain))?;
            let id = page.map(|page| page.page.into());
            let id = number(&mut cs.namespace(|| "page"), id, TOKEN_PAGE_BITS)?;
            let (node, parent) = (page.map(|page| &page.node), (chain, CHAIN_BITS));
            let page = PageVar::open(cs, Kind::PoolsPage, parent, id, node, memory)?;
            self.pool_pages.push(page);
        }
        Ok(())
    }

    fn enforce_distinct<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
    ) -> Result<(), SynthesisError> {
        let amounts = |list: &[AmountVar]| -> Vec<Expression> {
            list.iter().map(|amount| amount.address.clone()).collect()
        };
        let accounts: Vec<_> = self.accounts.iter().map(|account| account.id.clone()).collect();
        let subs: Vec<_> = self.sub_accounts.iter().map(|sub| sub.place.clone()).collect();
        let chains: Vec<_> = self.chains.iter().map(|chain| chain.id.clone()).collect();
        let (balances, pools) = (amounts(&self.balances), amounts(&self.pools));
        let pages = |list: &[PageVar]| -> Vec<Expression> {
            list.iter().map(|page| page.address.clone()).collect()
        };
        for (name, addresses, bits) in [
            ("accounts", accounts, ACCOUNT_BITS),
            ("sub-accounts", subs, PLACE_BITS),
            ("balances", balances, PLACE_BITS + TOKEN_BITS),
            ("chains", chains, CHAIN_BITS),
            ("pools", pools, CHAIN_BITS + TOKEN_BITS),
            ("account pages", pages(&self.account_pages), ACCOUNT_BITS - 2 * ACCOUNT_PAGE.levels),
            ("balance pages", pages(&self.balance_pages), PLACE_BITS + TOKEN_PAGE_BITS),
            ("pool pages", pages(&self.pool_pages), CHAIN_BITS + TOKEN_PAGE_BITS),
        ] {
            enforce_ascending(&mut cs.namespace(|| name), &addresses, bits)?;
        }
        Ok(())
    }

    /// Takes the new values out of the memory and gives the accounts root and the chains root with them. `created` is
    /// the creation time of accounts that the block made.
    ///
    /// Leaves close from the bottom to the top, each kind in the order of its members: a witness has its paths in this
    /// order.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        (old_accounts, old_chains): (&Expression, &Expression),
        created: &Expression,
        memory: &mut Memory,
    ) -> Result<(Expression, Expression), SynthesisError> {
        for (at, balance) in self.balances.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("balance {at}"));
            balance.close(cs, Kind::BalancesPage, at, memory)?;
        }
        for (at, page) in self.balance_pages.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("balance page {at}"));
            page.close_below(cs, Kind::BalancesRoot, at, memory)?;
        }
        for (at, sub) in self.sub_accounts.iter().enumerate() {
            sub.close(&mut cs.namespace(|| format!("sub-account {at}")), at, memory)?;
        }
        for (at, account) in self.accounts.iter().enumerate() {
            account.close(&mut cs.namespace(|| format!("account {at}")), at, created, memory)?;
        }
        let mut accounts = old_accounts.clone();
        for (at, page) in self.account_pages.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("account page {at}"));
            accounts = page.close(cs, &accounts, memory)?;
        }
        for (at, pool) in self.pools.iter().enumerate() {
            pool.close(&mut cs.namespace(|| format!("pool {at}")), Kind::PoolsPage, at, memory)?;
        }
        for (at, page) in self.pool_pages.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("pool page {at}"));
            page.close_below(cs, Kind::PoolsRoot, at, memory)?;
        }
        let mut chains = old_chains.clone();
        for (at, chain) in self.chains.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            chains = chain.close(cs, &chains, memory)?;
        }
        Ok((accounts, chains))
    }
}

/// Changes a root that the memory holds: gives the member before it, and takes what `change` makes of it. `at` is the
/// place among the members that change roots of this kind: their order is their time.
fn change_root<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    cell: &Expression,
    at: usize,
    memory: &mut Memory,
    change: impl FnOnce(&mut CS, &Expression) -> Result<Expression, SynthesisError>,
) -> Result<(), SynthesisError> {
    let time = Expression::constant(Fr::from(at as u64 + 1));
    let read = memory.read(
        &mut cs.namespace(|| "parent"),
        cell,
        &Expression::one(),
        &time,
        &[Form::Element],
    )?;
    let root = change(cs, &read.values[0])?;
    // No public word has it, and the leaf that will is bound only by what is checked here.
    memory.bind(&root);
    memory.write(read, &[root]);
    Ok(())
}

/// A number with its bits, lowest first.
#[derive(Clone, Debug)]
struct Bits {
    bits: Vec<Bit>,
    number: Expression,
}

impl Bits {
    /// The lowest bits, and those above them.
    fn split(&self, low: usize) -> (Bits, Bits) {
        let of = |bits: &[Bit]| Bits { bits: bits.to_vec(), number: Expression::from_bits(bits) };
        let (low, high) = self.bits.split_at(low);
        (of(low), of(high))
    }
}

/// Allocates a number by its bits.
fn number<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<u64>,
    count: usize,
) -> Result<Bits, SynthesisError> {
    let bits = bits::witness_bits(cs, value.map(Fr::from), count)?;
    let number = Expression::from_bits(&bits);
    Ok(Bits { bits, number })
}

/// Allocates the id of a chain.
fn chain_of<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    chain: Option<ChainId>,
) -> Result<Expression, SynthesisError> {
    let chain = chain.map(|chain| u64::from(chain.0));
    Ok(number(&mut cs.namespace(|| "chain"), chain, CHAIN_BITS)?.number)
}

/// Allocates `account * 2^8 + sub-account`.
fn place_of<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<(u32, u8)>,
) -> Result<Expression, SynthesisError> {
    let (account, sub) = (value.map(|value| value.0.into()), value.map(|value| value.1.into()));
    let account = number(&mut cs.namespace(|| "account"), account, ACCOUNT_BITS)?.number;
    let sub = number(&mut cs.namespace(|| "sub"), sub, SUB_ACCOUNT_BITS)?.number;
    Ok(&(&account * Fr::from(256)) + &sub)
}

/// The digits of an index, and a path with values, or without while keys are made.
fn way(mut index: Vec<Bit>, path: Option<&Path>, depth: usize) -> (Vec<Digit>, merkle::Path) {
    index.resize(2 * depth, Bit::constant(false));
    let path = path.map_or_else(|| merkle::Path::absent(depth), |path| merkle::Path::known(path));
    (Digit::of_bits(&index), path)
}
