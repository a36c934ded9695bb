//! The leaves that a block touches, as variables.
//!
//! Each is opened once against the old root and written once into the new one. Between the two, operations read and
//! write them here and know no Merkle path: a one-hot selection over the balances finds a cell, and the fixed topology
//! of the shape gives its sub-account and account for free.
//!
//! Every member opens a real leaf, padding included, and members of one parent are pairwise distinct: so there is no
//! member whose value is not vouched for by the old root, and no leaf that two members could hold.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::empty_tokens_root;
use zklink::hash::{Domain, Fr};
use zklink::id::{AccountId, ChainId, SubAccountId, TokenId};
use zklink::layout::power_of_two;
use zklink::shape::Shape;
use zklink::tree::Path;

use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::{compress4, hash_many};
use crate::gadget::select::Digit;
use crate::gadget::zero::{enforce_nonzero, enforce_pairwise_distinct};
use crate::gadget::{Bit, Expression, bits, merkle};
use crate::witness::{AccountWitness, AmountWitness, ChainWitness, SubAccountWitness, Witness};

/// Bits of an amount.
pub const AMOUNT_BITS: usize = 128;
/// Bits of a nonce.
const NONCE_BITS: usize = 32;

/// An amount of a token: a balance or a pool.
#[derive(Clone, Debug)]
struct AmountVar {
    index: Vec<Digit>,
    token: Expression,
    old: Expression,
    /// The value after the operations so far.
    now: Expression,
    path: merkle::Path,
}

#[derive(Clone, Debug)]
struct SubAccountVar {
    index: Vec<Digit>,
    id: Expression,
    /// `account * 2^8 + sub-account`: as the two stand next to each other in the packed words.
    place: Expression,
    old_nonce: Expression,
    nonce: Expression,
    epoch: Expression,
    balances_root: Expression,
    balances: std::ops::Range<usize>,
    path: merkle::Path,
}

#[derive(Clone, Debug)]
struct AccountVar {
    index: Vec<Digit>,
    id: Expression,
    old: AccountFields,
    now: AccountFields,
    sub_accounts_root: Expression,
    sub_accounts: std::ops::Range<usize>,
    path: merkle::Path,
}

/// The fields of an account leaf but its sub-accounts.
#[derive(Clone, Debug)]
struct AccountFields {
    owner_top: Expression,
    owner_low: Expression,
    key_x: Expression,
    key_y: Expression,
    nonce: Expression,
}

#[derive(Clone, Debug)]
struct ChainVar {
    index: Vec<Digit>,
    id: Expression,
    old_cursor: Expression,
    cursor: Expression,
    pools_root: Expression,
    pools: std::ops::Range<usize>,
    path: merkle::Path,
}

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

/// A path with values, or without while keys are made.
fn path_of(path: Option<&Path>, depth: usize) -> merkle::Path {
    path.map_or_else(|| merkle::Path::absent(depth), |path| merkle::Path::known(path))
}

/// Allocates an index below `2^count` by its bits.
fn witness_index<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<u64>,
    count: usize,
) -> Result<(Vec<Bit>, Expression), SynthesisError> {
    let bits = bits::witness_bits(cs, value.map(Fr::from), count)?;
    let number = Expression::from_bits(&bits);
    Ok((bits, number))
}

impl AmountVar {
    fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AmountWitness>,
    ) -> Result<AmountVar, SynthesisError> {
        let token = witness.map(|witness| u64::from(witness.token.0));
        let (index, token) =
            witness_index(&mut cs.namespace(|| "token"), token, 2 * TokenId::DEPTH)?;
        let index = Digit::of_bits(&index);
        // No range check: the leaf is in the old root, and its range was checked when it was written there.
        let amount = witness.map(|witness| amount_value(witness.amount));
        let old = Expression::witness(cs, "amount", amount)?;
        let path = path_of(witness.map(|witness| &witness.path), TokenId::DEPTH);
        Ok(AmountVar { index, token, now: old.clone(), old, path })
    }

    /// Checks the range of the new value, and gives the root with it in place of the old one.
    fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
    ) -> Result<Expression, SynthesisError> {
        to_bits(&mut cs.namespace(|| "range"), &self.now, AMOUNT_BITS)?;
        merkle::update(cs, root, &self.index, &self.path, &self.old, &self.now)
    }
}

fn amount_value(amount: u128) -> Fr {
    Fr::from_raw([amount as u64, (amount >> 64) as u64, 0, 0])
}

impl SubAccountVar {
    fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&SubAccountWitness>,
        account_id: &Expression,
        balances: std::ops::Range<usize>,
    ) -> Result<SubAccountVar, SynthesisError> {
        let id = witness.map(|witness| u64::from(witness.id.0));
        // The tree has 64 places, the protocol uses 32: the sixth bit of the index is the constant zero.
        let (mut index, id) =
            witness_index(&mut cs.namespace(|| "id"), id, 2 * SubAccountId::DEPTH - 1)?;
        index.push(Bit::constant(false));
        let index = Digit::of_bits(&index);
        let place = &(account_id * power_of_two(8)) + &id;
        let nonce = witness.map(|witness| Fr::from(u64::from(witness.counters.nonce.0)));
        let nonce = Expression::witness(cs, "nonce", nonce)?;
        to_bits(&mut cs.namespace(|| "nonce range"), &nonce, NONCE_BITS)?;
        let epoch = witness.map(|witness| Fr::from(u64::from(witness.counters.epoch)));
        let epoch = Expression::witness(cs, "epoch", epoch)?;
        to_bits(&mut cs.namespace(|| "epoch range"), &epoch, NONCE_BITS)?;
        let balances_root = witness.map(|witness| witness.balances_root);
        let balances_root = Expression::witness(cs, "balances root", balances_root)?;
        let path = path_of(witness.map(|witness| &witness.path), SubAccountId::DEPTH);
        let old_nonce = nonce.clone();
        Ok(SubAccountVar {
            index,
            id,
            place,
            old_nonce,
            nonce,
            epoch,
            balances_root,
            balances,
            path,
        })
    }

    fn leaf<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        balances: &Expression,
        nonce: &Expression,
    ) -> Result<Expression, SynthesisError> {
        // Order slots and positions do not exist yet: their roots are constants.
        let none = Expression::constant(empty_tokens_root());
        let counters = nonce + &(&self.epoch * power_of_two(32));
        compress4(cs, Domain::SubAccountLeaf, &[balances.clone(), none.clone(), none, counters])
    }

    fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        balances: &[AmountVar],
    ) -> Result<Expression, SynthesisError> {
        let mut new_balances = self.balances_root.clone();
        for (at, balance) in balances[self.balances.clone()].iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("balance {at}"));
            new_balances = balance.close(cs, &new_balances)?;
        }
        to_bits(&mut cs.namespace(|| "new nonce range"), &self.nonce, NONCE_BITS)?;
        let old =
            self.leaf(&mut cs.namespace(|| "old leaf"), &self.balances_root, &self.old_nonce)?;
        let new = self.leaf(&mut cs.namespace(|| "new leaf"), &new_balances, &self.nonce)?;
        merkle::update(cs, root, &self.index, &self.path, &old, &new)
    }
}

impl AccountFields {
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AccountWitness>,
    ) -> Result<AccountFields, SynthesisError> {
        let account = witness.map(|witness| &witness.account);
        let low = account.map(|account| zklink::layout::low_word(account.owner.low()));
        let key = account.map(|account| {
            let key = account.key.as_ref();
            key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()))
        });
        let top = account.map(|account| Fr::from(u64::from(account.owner.top())));
        let nonce = account.map(|account| Fr::from(u64::from(account.nonce.0)));
        // The ranges were checked when the leaf was written.
        Ok(AccountFields {
            owner_top: Expression::witness(cs, "owner top", top)?,
            owner_low: Expression::witness(cs, "owner low", low)?,
            key_x: Expression::witness(cs, "key x", key.map(|key| key.0))?,
            key_y: Expression::witness(cs, "key y", key.map(|key| key.1))?,
            nonce: Expression::witness(cs, "nonce", nonce)?,
        })
    }

    fn leaf<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        sub_accounts: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let fields = [
            self.owner_top.clone(),
            self.owner_low.clone(),
            self.key_x.clone(),
            self.key_y.clone(),
            self.nonce.clone(),
            sub_accounts.clone(),
        ];
        hash_many(cs, Domain::AccountLeaf, &fields)
    }
}

impl AccountVar {
    fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AccountWitness>,
        sub_accounts: std::ops::Range<usize>,
    ) -> Result<AccountVar, SynthesisError> {
        let id = witness.map(|witness| u64::from(witness.id.0));
        let (index, id) = witness_index(&mut cs.namespace(|| "id"), id, 2 * AccountId::DEPTH)?;
        let index = Digit::of_bits(&index);
        let old = AccountFields::witness(cs, witness)?;
        let sub_accounts_root = witness.map(|witness| witness.sub_accounts_root);
        let sub_accounts_root = Expression::witness(cs, "sub-accounts root", sub_accounts_root)?;
        let path = path_of(witness.map(|witness| &witness.path), AccountId::DEPTH);
        let now = old.clone();
        Ok(AccountVar { index, id, old, now, sub_accounts_root, sub_accounts, path })
    }

    fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        set: &WorkingSet,
    ) -> Result<Expression, SynthesisError> {
        let mut new_subs = self.sub_accounts_root.clone();
        for at in self.sub_accounts.clone() {
            let cs = &mut cs.namespace(|| format!("sub-account {at}"));
            new_subs = set.sub_accounts[at].close(cs, &new_subs, &set.balances)?;
        }
        to_bits(&mut cs.namespace(|| "new nonce range"), &self.now.nonce, NONCE_BITS)?;
        let old = self.old.leaf(&mut cs.namespace(|| "old leaf"), &self.sub_accounts_root)?;
        let new = self.now.leaf(&mut cs.namespace(|| "new leaf"), &new_subs)?;
        merkle::update(cs, root, &self.index, &self.path, &old, &new)
    }
}

impl ChainVar {
    fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&ChainWitness>,
        pools: std::ops::Range<usize>,
    ) -> Result<ChainVar, SynthesisError> {
        let id = witness.map(|witness| u64::from(witness.id.0));
        let (index, id) = witness_index(&mut cs.namespace(|| "id"), id, 2 * ChainId::DEPTH)?;
        // No chain has the number zero: execution refuses its operations, so they must not be provable either.
        enforce_nonzero(&mut cs.namespace(|| "a chain"), &id)?;
        let index = Digit::of_bits(&index);
        let cursor = witness.map(|witness| Fr::from(witness.cursor));
        let old_cursor = Expression::witness(cs, "cursor", cursor)?;
        let pools_root = witness.map(|witness| witness.pools_root);
        let pools_root = Expression::witness(cs, "pools root", pools_root)?;
        let path = path_of(witness.map(|witness| &witness.path), ChainId::DEPTH);
        let cursor = old_cursor.clone();
        Ok(ChainVar { index, id, old_cursor, cursor, pools_root, pools, path })
    }

    fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        pools: &[AmountVar],
    ) -> Result<Expression, SynthesisError> {
        let mut new_pools = self.pools_root.clone();
        for (at, pool) in pools[self.pools.clone()].iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("pool {at}"));
            new_pools = pool.close(cs, &new_pools)?;
        }
        let leaf = |cs: &mut bellman::Namespace<'_, Fr, CS::Root>,
                    cursor: &Expression,
                    pools: &Expression| {
            let none = Expression::zero();
            compress4(cs, Domain::ChainLeaf, &[cursor.clone(), pools.clone(), none.clone(), none])
        };
        // No range check of the cursor: it grows by at most the number of slots a block and never reaches 2^64.
        let old = leaf(&mut cs.namespace(|| "old leaf"), &self.old_cursor, &self.pools_root)?;
        let new = leaf(&mut cs.namespace(|| "new leaf"), &self.cursor, &new_pools)?;
        merkle::update(cs, root, &self.index, &self.path, &old, &new)
    }
}

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
            accounts = account.close(cs, &accounts, self)?;
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
        let sum = |range: &std::ops::Range<usize>| {
            Expression::sum(balance[range.clone()].iter().map(Bit::expression))
        };
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
        let chain = chains
            .map(|chain| Expression::sum(pool[chain.pools.clone()].iter().map(Bit::expression)))
            .collect();
        Ok(PoolRef { pool, chain })
    }

    /// The token of the selected balance.
    pub fn token<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(
            cs,
            "token",
            at.balance.iter().map(Bit::expression),
            self.balances.iter().map(|b| &b.token),
        )
    }

    /// The amount of the selected balance.
    pub fn balance<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(
            cs,
            "balance",
            at.balance.iter().map(Bit::expression),
            self.balances.iter().map(|b| &b.now),
        )
    }

    /// `account * 2^8 + sub-account` of the selected balance.
    pub fn place<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "place", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.place))
    }

    /// The sub-account id of the selected balance.
    pub fn sub_account<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "sub-account", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.id))
    }

    /// The nonce of the selected sub-account.
    pub fn sub_account_nonce<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "nonce", &at.sub_account, self.sub_accounts.iter().map(|sub| &sub.nonce))
    }

    /// The nonce of the selected account.
    pub fn account_nonce<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "account nonce", &at.account, self.accounts.iter().map(|a| &a.now.nonce))
    }

    /// The owner of the selected account: first byte and the rest.
    pub fn owner<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let top =
            dot(cs, "owner top", &at.account, self.accounts.iter().map(|a| &a.now.owner_top))?;
        let low =
            dot(cs, "owner low", &at.account, self.accounts.iter().map(|a| &a.now.owner_low))?;
        Ok((top, low))
    }

    /// The key of the selected account.
    pub fn key<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &BalanceRef,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let x = dot(cs, "key x", &at.account, self.accounts.iter().map(|a| &a.now.key_x))?;
        let y = dot(cs, "key y", &at.account, self.accounts.iter().map(|a| &a.now.key_y))?;
        Ok((x, y))
    }

    /// The token of the selected pool.
    pub fn pool_token<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &PoolRef,
    ) -> Result<Expression, SynthesisError> {
        dot(
            cs,
            "pool token",
            at.pool.iter().map(Bit::expression),
            self.pools.iter().map(|p| &p.token),
        )
    }

    /// The amount of the selected pool.
    pub fn pool<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &PoolRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "pool", at.pool.iter().map(Bit::expression), self.pools.iter().map(|p| &p.now))
    }

    /// The chain of the selected pool.
    pub fn chain<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: &PoolRef,
    ) -> Result<Expression, SynthesisError> {
        dot(cs, "chain", &at.chain, self.chains.iter().map(|chain| &chain.id))
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

/// Bits of which one is set when `enabled` is, and none otherwise. Their number is far below the modulus, so that
/// their sum does not wrap.
fn one_hot<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    at: Option<Option<usize>>,
    size: usize,
    enabled: &Bit,
) -> Result<Vec<Bit>, SynthesisError> {
    let mut selected = Vec::with_capacity(size);
    for place in 0..size {
        let cs = &mut cs.namespace(|| format!("place {place}"));
        selected.push(Bit::witness(cs, "bit", at.map(|at| at == Some(place)))?);
    }
    let sum = Expression::sum(selected.iter().map(Bit::expression));
    Expression::enforce_equal(cs, "one if on", &sum, enabled.expression());
    Ok(selected)
}

/// `sum of selector * value`.
fn dot<'a, CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    name: &'static str,
    selectors: impl IntoIterator<Item = &'a Expression>,
    values: impl IntoIterator<Item = &'a Expression>,
) -> Result<Expression, SynthesisError> {
    let cs = &mut cs.namespace(|| name);
    let mut terms = Vec::new();
    for (at, (selector, value)) in selectors.into_iter().zip(values).enumerate() {
        let cs = &mut cs.namespace(|| format!("{at}"));
        terms.push(Expression::product(cs, "term", value, selector)?);
    }
    Ok(Expression::sum(&terms))
}
