//! A slot that is switched off.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::op::Op;

use crate::gadget::Bit;
use crate::witness::SlotWitness;

/// The switch of a slot: off for a Noop. The prover is free to leave a slot empty; it cannot hide an operation that
/// way, because whatever an operation changes depends on the switch.
pub(super) fn enabled<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    witness: Option<&SlotWitness>,
) -> Result<Bit, SynthesisError> {
    let on = witness.map(|witness| !matches!(witness.op, Op::Noop(_)));
    Bit::witness(cs, "enabled", on)
}
