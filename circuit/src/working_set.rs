//! The leaves that a block touches, as variables.
//!
//! Each is opened once against the old root and written once into the new one. Between the two, operations find their values
//! in the [`Memory`], by address, and know no Merkle path and no leaf.
//!
//! Every member opens a real leaf, padding included, and the members of each kind ascend strictly: so there is no member
//! whose value is not vouched for by the old root, and no leaf that two members could hold. A member knows the address of
//! its parent, not its place among the members: it finds the root that it changes in the memory, too.

mod account;
mod amount;
mod chain;
mod sub_account;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, SubAccountId, TokenId};
use zklink::shape::Shape;
use zklink::tree::Path;

use crate::gadget::select::Digit;
use crate::gadget::{Bit, Expression, bits, merkle};
use crate::memory::{Form, Kind, Memory, enforce_ascending};
use crate::witness::Witness;
use account::AccountVar;
use amount::AmountVar;
use chain::ChainVar;
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
/// Bits of a chain id.
pub const CHAIN_BITS: usize = 2 * ChainId::DEPTH;
/// Bits of a place: in the packed words an account id stands beside eight bits of a sub-account.
const PLACE_BITS: usize = ACCOUNT_BITS + 8;

/// The leaves of a block.
#[derive(Clone, Debug)]
pub struct WorkingSet {
    accounts: Vec<AccountVar>,
    sub_accounts: Vec<SubAccountVar>,
    balances: Vec<AmountVar>,
    chains: Vec<ChainVar>,
    pools: Vec<AmountVar>,
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
        let room = &shape.room;
        let mut set = WorkingSet {
            accounts: Vec::with_capacity(room.accounts),
            sub_accounts: Vec::with_capacity(room.sub_accounts),
            balances: Vec::with_capacity(room.balances),
            chains: Vec::with_capacity(room.chains),
            pools: Vec::with_capacity(room.pools),
        };
        for at in 0..room.accounts {
            let cs = &mut cs.namespace(|| format!("account {at}"));
            let leaf = witness.map(|witness| &witness.accounts[at]);
            set.accounts.push(AccountVar::open(cs, leaf, memory)?);
        }
        for at in 0..room.sub_accounts {
            let cs = &mut cs.namespace(|| format!("sub-account {at}"));
            let leaf = witness.map(|witness| &witness.sub_accounts[at]);
            set.sub_accounts.push(SubAccountVar::open(cs, leaf, memory)?);
        }
        for at in 0..room.balances {
            let cs = &mut cs.namespace(|| format!("balance {at}"));
            let leaf = witness.map(|witness| &witness.balances[at]);
            let place = place_of(cs, leaf.map(|leaf| (leaf.account.0, leaf.sub_account.0)))?;
            let leaf = leaf.map(|leaf| &leaf.leaf);
            set.balances.push(AmountVar::open(cs, Kind::Balance, place, leaf, memory)?);
        }
        for at in 0..room.chains {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            let leaf = witness.map(|witness| &witness.chains[at]);
            set.chains.push(ChainVar::open(cs, leaf, memory)?);
        }
        for at in 0..room.pools {
            let cs = &mut cs.namespace(|| format!("pool {at}"));
            let leaf = witness.map(|witness| &witness.pools[at]);
            let chain = leaf.map(|leaf| u64::from(leaf.chain.0));
            let (_, chain) = number(&mut cs.namespace(|| "chain"), chain, CHAIN_BITS)?;
            let leaf = leaf.map(|leaf| &leaf.leaf);
            set.pools.push(AmountVar::open(cs, Kind::Pool, chain, leaf, memory)?);
        }
        set.enforce_distinct(&mut cs.namespace(|| "distinct"))?;
        Ok(set)
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
        for (name, addresses, bits) in [
            ("accounts", accounts, ACCOUNT_BITS),
            ("sub-accounts", subs, PLACE_BITS),
            ("balances", balances, PLACE_BITS + TOKEN_BITS),
            ("chains", chains, CHAIN_BITS),
            ("pools", pools, CHAIN_BITS + TOKEN_BITS),
        ] {
            enforce_ascending(&mut cs.namespace(|| name), &addresses, bits)?;
        }
        Ok(())
    }

    /// Takes the new values out of the memory and gives the accounts root and the chains root with them. `created` is the
    /// creation time of accounts that the block made.
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
            balance.close(cs, Kind::BalancesRoot, at, memory)?;
        }
        for (at, sub) in self.sub_accounts.iter().enumerate() {
            sub.close(&mut cs.namespace(|| format!("sub-account {at}")), at, memory)?;
        }
        let mut accounts = old_accounts.clone();
        for (at, account) in self.accounts.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("account {at}"));
            accounts = account.close(cs, &accounts, created, memory)?;
        }
        for (at, pool) in self.pools.iter().enumerate() {
            pool.close(&mut cs.namespace(|| format!("pool {at}")), Kind::PoolsRoot, at, memory)?;
        }
        let mut chains = old_chains.clone();
        for (at, chain) in self.chains.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("chain {at}"));
            chains = chain.close(cs, &chains, memory)?;
        }
        Ok((accounts, chains))
    }
}

/// Changes a root that the memory holds: gives the member before it, and takes what `change` makes of it. `at` is the place
/// among the members that change roots of this kind: their order is their time.
fn change_root<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    cell: &Expression,
    at: usize,
    memory: &mut Memory,
    change: impl FnOnce(&mut CS, &Expression) -> Result<Expression, SynthesisError>,
) -> Result<(), SynthesisError> {
    let time = Expression::constant(Fr::from(at as u64 + 1));
    let read = memory.read(
        &mut cs.namespace(|| "root"),
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

/// Allocates a number by its bits.
fn number<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<u64>,
    count: usize,
) -> Result<(Vec<Bit>, Expression), SynthesisError> {
    let bits = bits::witness_bits(cs, value.map(Fr::from), count)?;
    let number = Expression::from_bits(&bits);
    Ok((bits, number))
}

/// Allocates `account * 2^8 + sub-account`.
fn place_of<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<(u32, u8)>,
) -> Result<Expression, SynthesisError> {
    let (account, sub) = (value.map(|value| value.0.into()), value.map(|value| value.1.into()));
    let (_, account) = number(&mut cs.namespace(|| "account"), account, ACCOUNT_BITS)?;
    let (_, sub) = number(&mut cs.namespace(|| "sub"), sub, SUB_ACCOUNT_BITS)?;
    Ok(&(&account * Fr::from(256)) + &sub)
}

/// The digits of an index, and a path with values, or without while keys are made.
fn way(mut index: Vec<Bit>, path: Option<&Path>, depth: usize) -> (Vec<Digit>, merkle::Path) {
    index.resize(2 * depth, Bit::constant(false));
    let path = path.map_or_else(|| merkle::Path::absent(depth), |path| merkle::Path::known(path));
    (Digit::of_bits(&index), path)
}
