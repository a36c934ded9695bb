//! The leaves one by one: how each is opened against the old root and closed into the new one.

use std::ops::Range;

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::empty_tokens_root;
use zklink::hash::{Domain, Fr};
use zklink::id::{AccountId, ChainId, SubAccountId, TokenId};
use zklink::layout::power_of_two;
use zklink::tree::Path;

use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::{compress4, hash_many};
use crate::gadget::select::Digit;
use crate::gadget::zero::enforce_nonzero;
use crate::gadget::{Bit, Expression, bits, merkle};
use crate::witness::{AccountWitness, AmountWitness, ChainWitness, SubAccountWitness};

/// Bits of an amount.
pub const AMOUNT_BITS: usize = 128;
/// Bits of a nonce.
const NONCE_BITS: usize = 32;

/// An amount of a token: a balance or a pool.
#[derive(Clone, Debug)]
pub(super) struct AmountVar {
    pub(super) index: Vec<Digit>,
    pub(super) token: Expression,
    pub(super) old: Expression,
    /// The value after the operations so far.
    pub(super) now: Expression,
    pub(super) path: merkle::Path,
}

#[derive(Clone, Debug)]
pub(super) struct SubAccountVar {
    pub(super) index: Vec<Digit>,
    pub(super) id: Expression,
    /// `account * 2^8 + sub-account`: as the two stand next to each other in the packed words.
    pub(super) place: Expression,
    pub(super) old_nonce: Expression,
    pub(super) nonce: Expression,
    pub(super) epoch: Expression,
    pub(super) balances_root: Expression,
    pub(super) balances: Range<usize>,
    pub(super) path: merkle::Path,
}

#[derive(Clone, Debug)]
pub(super) struct AccountVar {
    pub(super) index: Vec<Digit>,
    pub(super) id: Expression,
    pub(super) old: AccountFields,
    pub(super) now: AccountFields,
    pub(super) sub_accounts_root: Expression,
    pub(super) sub_accounts: Range<usize>,
    pub(super) path: merkle::Path,
}

/// The fields of an account leaf but its sub-accounts.
#[derive(Clone, Debug)]
pub(super) struct AccountFields {
    pub(super) owner_top: Expression,
    pub(super) owner_low: Expression,
    pub(super) key_x: Expression,
    pub(super) key_y: Expression,
    pub(super) nonce: Expression,
}

#[derive(Clone, Debug)]
pub(super) struct ChainVar {
    pub(super) index: Vec<Digit>,
    pub(super) id: Expression,
    pub(super) old_cursor: Expression,
    pub(super) cursor: Expression,
    pub(super) pools_root: Expression,
    pub(super) pools: Range<usize>,
    pub(super) path: merkle::Path,
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
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
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
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
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
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&SubAccountWitness>,
        account_id: &Expression,
        balances: Range<usize>,
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

    pub(super) fn leaf<CS: ConstraintSystem<Fr>>(
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

    pub(super) fn close<CS: ConstraintSystem<Fr>>(
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
    pub(super) fn witness<CS: ConstraintSystem<Fr>>(
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

    pub(super) fn leaf<CS: ConstraintSystem<Fr>>(
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
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AccountWitness>,
        sub_accounts: Range<usize>,
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

    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        sub_accounts: &[SubAccountVar],
        balances: &[AmountVar],
    ) -> Result<Expression, SynthesisError> {
        let mut new_subs = self.sub_accounts_root.clone();
        for at in self.sub_accounts.clone() {
            let cs = &mut cs.namespace(|| format!("sub-account {at}"));
            new_subs = sub_accounts[at].close(cs, &new_subs, balances)?;
        }
        to_bits(&mut cs.namespace(|| "new nonce range"), &self.now.nonce, NONCE_BITS)?;
        let old = self.old.leaf(&mut cs.namespace(|| "old leaf"), &self.sub_accounts_root)?;
        let new = self.now.leaf(&mut cs.namespace(|| "new leaf"), &new_subs)?;
        merkle::update(cs, root, &self.index, &self.path, &old, &new)
    }
}

impl ChainVar {
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&ChainWitness>,
        pools: Range<usize>,
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

    pub(super) fn close<CS: ConstraintSystem<Fr>>(
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
