//! A chain: its priority cursor, and the root of its pools.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::id::ChainId;

use super::{CHAIN_BITS, number, way};
use crate::gadget::poseidon2::compress4;
use crate::gadget::select::Digit;
use crate::gadget::zero::enforce_nonzero;
use crate::gadget::{Expression, merkle};
use crate::memory::{Kind, Memory};
use crate::witness::ChainWitness;

#[derive(Clone, Debug)]
pub(super) struct ChainVar {
    pub(super) id: Expression,
    index: Vec<Digit>,
    cursor: Expression,
    pools: Expression,
    quarantine: Expression,
    path: merkle::Path,
}

impl ChainVar {
    pub(super) fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        witness: Option<&ChainWitness>,
        memory: &mut Memory,
    ) -> Result<ChainVar, SynthesisError> {
        let id = witness.map(|witness| u64::from(witness.id.0));
        let id = number(&mut cs.namespace(|| "id"), id, CHAIN_BITS)?;
        // No chain has the number zero: execution refuses its operations, so they must not be provable either.
        enforce_nonzero(&mut cs.namespace(|| "a chain"), &id.number)?;
        let (index, path) = way(id.bits, witness.map(|witness| &witness.path), ChainId::DEPTH);
        let id = id.number;
        let cursor = witness.map(|witness| Fr::from(witness.cursor.0));
        let cursor = Expression::witness(cs, "cursor", cursor)?;
        let roots = witness.map(|witness| witness.roots);
        let pools = Expression::witness(cs, "pools", roots.map(|roots| roots[0]))?;
        let quarantine = Expression::witness(cs, "quarantine", roots.map(|roots| roots[1]))?;
        memory.bind_small(&id, CHAIN_BITS);
        memory.insert(&Kind::Cursor.at(&id), std::slice::from_ref(&cursor));
        memory.insert(&Kind::PoolsRoot.at(&id), std::slice::from_ref(&pools));
        Ok(ChainVar { id, index, cursor, pools, quarantine, path })
    }

    pub(super) fn close<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        root: &Expression,
        memory: &mut Memory,
    ) -> Result<Expression, SynthesisError> {
        // No range check of the cursor: it grows by at most the number of slots a block and never reaches 2^64.
        let cursor = Kind::Cursor.at(&self.id);
        let cursor = memory.remove(&mut cs.namespace(|| "new cursor"), &cursor, 1)?;
        let pools = Kind::PoolsRoot.at(&self.id);
        let pools = memory.remove(&mut cs.namespace(|| "new pools"), &pools, 1)?;
        let old = self.leaf(&mut cs.namespace(|| "old leaf"), &self.cursor, &self.pools)?;
        let new = self.leaf(&mut cs.namespace(|| "new leaf"), &cursor[0], &pools[0])?;
        merkle::update(cs, root, &self.index, &self.path, &old, &new)
    }

    /// The quarantine is carried over as it is.
    fn leaf<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        cursor: &Expression,
        pools: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let quarantine = self.quarantine.clone();
        let lanes = [cursor.clone(), pools.clone(), quarantine, Expression::zero()];
        compress4(cs, Domain::ChainLeaf, &lanes)
    }
}
