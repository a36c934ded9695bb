//! A balance or a pool: an amount of a token below a root that its parent has.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::id::TokenId;
use zklink::layout::power_of_two;

use super::{AMOUNT_BITS, CHAIN_BITS, PLACE_BITS, TOKEN_BITS, change_root, number, way};
use crate::gadget::bits::to_bits;
use crate::gadget::select::Digit;
use crate::gadget::{Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::AmountWitness;

#[derive(Clone, Debug)]
pub(super) struct AmountVar {
    kind: Kind,
    /// The place of a balance, the chain of a pool.
    parent: Expression,
    /// `parent * 2^16 + token`.
    pub(super) address: Expression,
    index: Vec<Digit>,
    old: Expression,
    path: merkle::Path,
}

impl AmountVar {
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        kind: Kind,
        parent: Expression,
        witness: Option<&AmountWitness>,
        memory: &mut Memory,
    ) -> Result<AmountVar, SynthesisError> {
        let token = witness.map(|witness| u64::from(witness.token.0));
        let (index, token) = number(&mut cs.namespace(|| "token"), token, TOKEN_BITS)?;
        let (index, path) = way(index, witness.map(|witness| &witness.path), TokenId::DEPTH);
        // No range check: the leaf is in the old root, and its range was checked when it was written there.
        let amount = witness.map(|witness| amount_to_fr(witness.amount));
        let old = Expression::witness(cs, "amount", amount)?;
        let address = &(&parent * power_of_two(TOKEN_BITS)) + &token;
        let bits = TOKEN_BITS + if kind == Kind::Pool { CHAIN_BITS } else { PLACE_BITS };
        memory.bind_small(&address, bits);
        memory.insert(&kind.at(&address), std::slice::from_ref(&old));
        Ok(AmountVar { kind, parent, address, index, old, path })
    }

    /// Checks the range of the new value and puts it below the root of its parent.
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: Kind,
        at: usize,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let cell = self.kind.at(&self.address);
        let values = memory.remove(&mut cs.namespace(|| "new"), &cell, 1)?;
        let new = &values[0];
        to_bits(&mut cs.namespace(|| "range"), new, AMOUNT_BITS)?;
        change_root(cs, &root.at(&self.parent), at, memory, |cs, root| {
            merkle::update(cs, root, &self.index, &self.path, &self.old, new)
        })
    }
}
