//! A sub-account: its counters, and the roots below it.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::id::SubAccountId;
use zklink::layout::power_of_two;

use super::{ACCOUNT_BITS, NONCE_BITS, PLACE_BITS, SUB_ACCOUNT_BITS, change_root, number, way};
use crate::gadget::bits::to_bits;
use crate::gadget::poseidon2::compress4;
use crate::gadget::select::Digit;
use crate::gadget::{Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::SubAccountWitness;

#[derive(Clone, Debug)]
pub(super) struct SubAccountVar {
    account: Expression,
    /// `account * 2^8 + sub-account`: as the two stand next to each other in the packed words.
    pub(super) place: Expression,
    index: Vec<Digit>,
    nonce: Expression,
    epoch: Expression,
    balances: Expression,
    slots: Expression,
    rest: Expression,
    path: merkle::Path,
}

impl SubAccountVar {
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&SubAccountWitness>,
        memory: &mut Memory,
    ) -> Result<SubAccountVar, SynthesisError> {
        let account = witness.map(|witness| u64::from(witness.account.0));
        let account = number(&mut cs.namespace(|| "account"), account, ACCOUNT_BITS)?.number;
        let id = witness.map(|witness| u64::from(witness.id.0));
        let id = number(&mut cs.namespace(|| "id"), id, SUB_ACCOUNT_BITS)?;
        let place = &(&account * power_of_two(8)) + &id.number;
        let (index, path) = way(id.bits, witness.map(|witness| &witness.path), SubAccountId::DEPTH);
        // Both ranges are needed to tell the two counters of a leaf apart.
        let nonce = witness.map(|witness| u64::from(witness.nonce.0));
        let nonce = number(&mut cs.namespace(|| "nonce"), nonce, NONCE_BITS)?.number;
        let epoch = witness.map(|witness| u64::from(witness.epoch));
        let epoch = number(&mut cs.namespace(|| "epoch"), epoch, NONCE_BITS)?.number;
        let roots = witness.map(|witness| witness.roots);
        let balances = Expression::witness(cs, "balances", roots.map(|roots| roots[0]))?;
        let slots = Expression::witness(cs, "slots", roots.map(|roots| roots[1]))?;
        let rest = Expression::witness(cs, "rest", roots.map(|roots| roots[2]))?;
        memory.bind_small(&place, PLACE_BITS);
        memory.insert(&Kind::SubAccount.at(&place), std::slice::from_ref(&nonce));
        memory.insert(&Kind::BalancesRoot.at(&place), std::slice::from_ref(&balances));
        Ok(SubAccountVar { account, place, index, nonce, epoch, balances, slots, rest, path })
    }

    /// Puts the new leaf below the root of its account.
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        at: usize,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let nonce = Kind::SubAccount.at(&self.place);
        let nonce = memory.remove(&mut cs.namespace(|| "new nonce"), &nonce, 1)?;
        to_bits(&mut cs.namespace(|| "nonce range"), &nonce[0], NONCE_BITS)?;
        let balances = Kind::BalancesRoot.at(&self.place);
        let balances = memory.remove(&mut cs.namespace(|| "new balances"), &balances, 1)?;
        let old = self.leaf(&mut cs.namespace(|| "old leaf"), &self.balances, &self.nonce)?;
        let new = self.leaf(&mut cs.namespace(|| "new leaf"), &balances[0], &nonce[0])?;
        change_root(cs, &Kind::SubAccountsRoot.at(&self.account), at, memory, |cs, root| {
            merkle::update(cs, root, &self.index, &self.path, &old, &new)
        })
    }

    /// Order slots and the rest are carried over as they are, whatever they may hold.
    fn leaf<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        balances: &Expression,
        nonce: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let counters = nonce + &(&self.epoch * power_of_two(NONCE_BITS));
        let lanes = [balances.clone(), self.slots.clone(), self.rest.clone(), counters];
        compress4(cs, Domain::SubAccountLeaf, &lanes)
    }
}
