//! A page: a node of a tree that stands for the leaves below it, so that their common way to the root is paid for once.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::layout::power_of_two;

use super::{Bits, change_root, way};
use crate::gadget::select::Digit;
use crate::gadget::{Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::NodeWitness;

#[derive(Clone, Debug)]
pub(super) struct PageVar {
    kind: Kind,
    /// What the tree belongs to: a place, a chain, or nothing for the tree of accounts.
    parent: Expression,
    /// The parent, and behind it the number of the page.
    pub(super) address: Expression,
    index: Vec<Digit>,
    old: Expression,
    path: merkle::Path,
}

impl PageVar {
    /// Opens the page with these bits of its number, of a parent below `2^parent_bits`.
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        kind: Kind,
        (parent, parent_bits): (Expression, usize),
        number: Bits,
        witness: Option<&NodeWitness>,
        memory: &mut Memory,
    ) -> Result<PageVar, SynthesisError> {
        let bits = number.bits.len();
        let (index, path) = way(number.bits, witness.map(|witness| &witness.path), bits / 2);
        let old = Expression::witness(cs, "node", witness.map(|witness| witness.node))?;
        let address = &(&parent * power_of_two(bits)) + &number.number;
        memory.bind_small(&address, parent_bits + bits);
        memory.insert(&kind.at(&address), std::slice::from_ref(&old));
        Ok(PageVar { kind, parent, address, index, old, path })
    }

    /// Puts what its members made of the page below a root, and gives the root after it.
    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        memory: &mut Memory,
    ) -> Result<Expression, SynthesisError> {
        let cell = self.kind.at(&self.address);
        let new = memory.remove(&mut cs.namespace(|| "new"), &cell, 1)?;
        merkle::update(cs, root, &self.index, &self.path, &self.old, &new[0])
    }

    /// [`PageVar::close`] below a root of this kind that the memory holds for its parent.
    pub(super) fn close_below<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: Kind,
        at: usize,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        let cell = self.kind.at(&self.address);
        let new = memory.remove(&mut cs.namespace(|| "new"), &cell, 1)?;
        change_root(cs, &root.at(&self.parent), at, memory, |cs, root| {
            merkle::update(cs, root, &self.index, &self.path, &self.old, &new[0])
        })
    }
}
