//! A balance or a pool: an amount of a token in a page of its parent.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::layout::power_of_two;
use zklink::shape::TOKEN_PAGE;

use super::{AMOUNT_BITS, CHAIN_BITS, PLACE_BITS, TOKEN_BITS, change_root, number, way};
use crate::gadget::bits::to_bits;
use crate::gadget::select::Digit;
use crate::gadget::{Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::AmountWitness;

#[derive(Clone, Debug)]
pub(super) struct AmountVar {
    kind: Kind,
    /// The place of a balance or the chain of a pool, and behind it the number of the page.
    page: Expression,
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
        let token = number(&mut cs.namespace(|| "token"), token, TOKEN_BITS)?;
        let address = &(&parent * power_of_two(TOKEN_BITS)) + &token.number;
        let (low, high) = token.split(2 * TOKEN_PAGE.levels);
        let page = &(&parent * power_of_two(TOKEN_BITS - low.bits.len())) + &high.number;
        let path = witness.map(|witness| &witness.path);
        let (index, path) = way(low.bits, path, TOKEN_PAGE.levels);
        // No range check: the leaf is in the old root, and its range was checked when it was written there.
        let amount = witness.map(|witness| amount_to_fr(witness.amount));
        let old = Expression::witness(cs, "amount", amount)?;
        let bits = TOKEN_BITS + if kind == Kind::Pool { CHAIN_BITS } else { PLACE_BITS };
        memory.bind_small(&address, bits);
        memory.insert(&kind.at(&address), std::slice::from_ref(&old));
        Ok(AmountVar { kind, page, address, index, old, path })
    }

    /// Checks the range of the new value and puts it into its page.
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        page: Kind,
        at: usize,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let cell = self.kind.at(&self.address);
        let values = memory.remove(&mut cs.namespace(|| "new"), &cell, 1)?;
        let new = &values[0];
        to_bits(&mut cs.namespace(|| "range"), new, AMOUNT_BITS)?;
        change_root(cs, &page.at(&self.page), at, memory, |cs, root| {
            merkle::update(cs, root, &self.index, &self.path, &self.old, new)
        })
    }
}
