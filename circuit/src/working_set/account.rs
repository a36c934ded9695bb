//! An account: owner, key, counters, and the root of its sub-accounts.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::ACCOUNT_WORD;
use zklink::hash::{Domain, Fr};
use zklink::layout::{low_word, power_of_two};
use zklink::shape::ACCOUNT_PAGE;

use super::{ACCOUNT_BITS, CHAIN_BITS, NONCE_BITS, change_root, number, way};
use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::hash_many;
use crate::gadget::select::Digit;
use crate::gadget::zero::is_zero;
use crate::gadget::{Bit, Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::AccountWitness;

/// Bits of what an account leaf keeps as it is: creation time, home and first byte of the exit recipient.
const KEPT_BITS: usize = 64 + 8 + 8;

#[derive(Clone, Debug)]
pub(super) struct AccountVar {
    pub(super) id: Expression,
    page: Expression,
    index: Vec<Digit>,
    old: AccountFields,
    path: merkle::Path,
}

/// The fields of an account leaf.
#[derive(Clone, Debug)]
struct AccountFields {
    /// `home * 2^8 + top`, and the rest of the address.
    owner: [Expression; 2],
    /// `created * 2^16 + recipient home * 2^8 + recipient top`.
    kept: Expression,
    recipient_low: Expression,
    /// Key version, nonce, x, y.
    key: [Expression; 4],
    sub_accounts: Expression,
}

impl AccountVar {
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AccountWitness>,
        memory: &mut Memory,
    ) -> Result<AccountVar, SynthesisError> {
        let id = witness.map(|witness| u64::from(witness.id.0));
        let id = number(&mut cs.namespace(|| "id"), id, ACCOUNT_BITS)?;
        let (low, high) = id.split(2 * ACCOUNT_PAGE.levels);
        let (id, page) = (id.number, high.number);
        let path = witness.map(|witness| &witness.path);
        let (index, path) = way(low.bits, path, ACCOUNT_PAGE.levels);
        let old = AccountFields::witness(cs, witness)?;
        memory.bind_small(&id, ACCOUNT_BITS);
        memory.insert(&Kind::Owner.at(&id), &old.owner);
        memory.insert(&Kind::Key.at(&id), &old.key);
        let sub_accounts = std::slice::from_ref(&old.sub_accounts);
        memory.insert(&Kind::SubAccountsRoot.at(&id), sub_accounts);
        Ok(AccountVar { id, page, index, old, path })
    }

    /// Puts the new leaf into its page.
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: usize,
        created: &Expression,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let owner = Kind::Owner.at(&self.id);
        let owner = pair(memory.remove(&mut cs.namespace(|| "new owner"), &owner, 2)?);
        let key = Kind::Key.at(&self.id);
        let key = four(memory.remove(&mut cs.namespace(|| "new key"), &key, 4)?);
        // All parts of the packed word of the leaf need their ranges: else the new root would not bind them, and they
        // could be chosen together after the challenges of the memory.
        to_bits(&mut cs.namespace(|| "head range"), &owner[0], CHAIN_BITS + 8)?;
        to_bits(&mut cs.namespace(|| "version range"), &key[0], NONCE_BITS)?;
        to_bits(&mut cs.namespace(|| "nonce range"), &key[1], NONCE_BITS)?;
        let subs = Kind::SubAccountsRoot.at(&self.id);
        let mut subs = memory.remove(&mut cs.namespace(|| "new sub-accounts"), &subs, 1)?;
        let kept = self.kept(&mut cs.namespace(|| "kept"), &owner, created)?;
        let new = AccountFields {
            owner,
            kept,
            recipient_low: self.old.recipient_low.clone(),
            key,
            sub_accounts: subs.remove(0),
        };
        let old = self.old.leaf(&mut cs.namespace(|| "old leaf"))?;
        let new = new.leaf(&mut cs.namespace(|| "new leaf"))?;
        change_root(cs, &Kind::AccountsPage.at(&self.page), at, memory, |cs, root| {
            merkle::update(cs, root, &self.index, &self.path, &old, &new)
        })
    }

    /// An account that belonged to nobody and now belongs to somebody was created by this block.
    fn kept<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        owner: &[Expression; 2],
        created: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let before = is_nobody(&mut cs.namespace(|| "nobody before"), &self.old.owner)?;
        let after = is_nobody(&mut cs.namespace(|| "nobody after"), owner)?;
        let made = Bit::and(cs, "made", &before, &after.not())?;
        // A place without an account has no recipient and no creation time.
        let created = created * power_of_two(KEPT_BITS - 64);
        made.select(cs, "created", &created, &self.old.kept)
    }
}

impl AccountFields {
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&AccountWitness>,
    ) -> Result<AccountFields, SynthesisError> {
        let account = witness.map(|witness| &witness.account);
        let head = account
            .map(|account| u64::from(account.owner.home.0) << 8 | u64::from(account.owner.top()));
        // The packed word of the leaf is taken apart: all its fields need their ranges.
        let head = number(&mut cs.namespace(|| "owner head"), head, CHAIN_BITS + 8)?.number;
        let low = account.map(|account| low_word(account.owner.low()));
        let owner_low = Expression::witness(cs, "owner low", low)?;
        let kept = account.map(|account| {
            let recipient = account.recipient;
            let tail = u64::from(recipient.home.0) << 8 | u64::from(recipient.top());
            Fr::from(account.created) * power_of_two(KEPT_BITS - 64) + Fr::from(tail)
        });
        let kept = Expression::witness(cs, "kept", kept)?;
        to_bits(&mut cs.namespace(|| "kept range"), &kept, KEPT_BITS)?;
        let recipient_low = account.map(|account| low_word(account.recipient.low()));
        let recipient_low = Expression::witness(cs, "recipient low", recipient_low)?;
        let version = account.map(|account| u64::from(account.key_version.0));
        let version = number(&mut cs.namespace(|| "key version"), version, NONCE_BITS)?.number;
        let nonce = account.map(|account| u64::from(account.nonce.0));
        let nonce = number(&mut cs.namespace(|| "nonce"), nonce, NONCE_BITS)?.number;
        let key = account
            .map(|account| account.key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y())));
        let x = Expression::witness(cs, "key x", key.map(|key| key.0))?;
        let y = Expression::witness(cs, "key y", key.map(|key| key.1))?;
        let sub_accounts = witness.map(|witness| witness.sub_accounts_root);
        let sub_accounts = Expression::witness(cs, "sub-accounts root", sub_accounts)?;
        let (owner, key) = ([head, owner_low], [version, nonce, x, y]);
        Ok(AccountFields { owner, kept, recipient_low, key, sub_accounts })
    }

    fn leaf<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<Expression, SynthesisError> {
        let [_, owner_top, _, _, recipient_top, key_version, nonce] = ACCOUNT_WORD.weights();
        let [version, count, x, y] = &self.key;
        let word = Expression::weighted_sum([
            (owner_top, &self.owner[0]),
            (recipient_top, &self.kept),
            (key_version, version),
            (nonce, count),
        ]);
        let (owner, recipient) = (self.owner[1].clone(), self.recipient_low.clone());
        let fields = [word, owner, recipient, x.clone(), y.clone(), self.sub_accounts.clone()];
        hash_many(cs, Domain::AccountLeaf, &fields)
    }
}

/// Whether an address is zero.
fn is_nobody<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    owner: &[Expression; 2],
) -> Result<Bit, SynthesisError> {
    let head = is_zero(&mut cs.namespace(|| "head"), &owner[0])?;
    let low = is_zero(&mut cs.namespace(|| "low"), &owner[1])?;
    Bit::and(cs, "both", &head, &low)
}

fn pair(values: Vec<Expression>) -> [Expression; 2] {
    values.try_into().expect("as many as were asked for")
}

fn four(values: Vec<Expression>) -> [Expression; 4] {
    values.try_into().expect("as many as were asked for")
}
