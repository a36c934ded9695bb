//! Deposit: a priority request of a chain credits a balance and the chain's pool.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::amount::Amount;
use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::op::{Deposit, Op};

use super::{Slot, pack};
use crate::gadget::bits::to_bits;
use crate::gadget::{Bit, Expression};
use crate::working_set::{AMOUNT_BITS, WorkingSet};

pub(super) fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    slot: &Slot<'_>,
    set: &mut WorkingSet,
) -> Result<Vec<Expression>, SynthesisError> {
    let deposit = match slot.op() {
        Some(Op::Deposit(op)) => Some(op),
        _ => None,
    };
    let or_zero = |value: Option<Fr>| slot.witness.map(|_| value.unwrap_or(Fr::zero()));
    let amount = or_zero(deposit.map(|op| amount_to_fr(op.amount)));
    let (amount, _) = slot.number(cs, "amount", amount, AMOUNT_BITS)?;
    let owner = slot.witness.map(|_| deposit.map(|op| op.owner).unwrap_or_default());
    let (top, low) = slot.owner(&mut cs.namespace(|| "owner"), owner)?;
    slot.enforce_somebody(cs, (&top, &low))?;

    let at = slot.witness.map(|witness| witness.balance);
    let at = set.select_balance(&mut cs.namespace(|| "balance"), &slot.enabled, at)?;
    let pool = slot.witness.map(|witness| witness.pool);
    let pool = set.select_pool(&mut cs.namespace(|| "pool"), &slot.enabled, pool)?;
    let token = set.token(cs, &at)?;
    let pool_token = set.pool_token(cs, &pool)?;
    Expression::enforce_equal(cs, "one token", &token, &pool_token);
    let place = set.place(cs, &at)?;
    let chain = set.chain(cs, &pool)?;

    // The account belongs to the owner, or to nobody and then becomes the owner's.
    let (old_top, old_low) = set.owner(cs, &at)?;
    let created = old_top.value().zip(old_low.value());
    let created = created.map(|(top, low)| top == Fr::zero() && low == Fr::zero());
    let created = created.zip(slot.enabled.value()).map(|(none, on)| none && on);
    let created = Bit::witness(cs, "created", created)?;
    let zero = Expression::zero();
    let kept = created.not();
    let (top_change, low_change) = (&top - &old_top, &low - &old_low);
    let (created, kept) = (created.expression(), kept.expression());
    Expression::enforce_product(cs, "created: no top", &old_top, created, &zero);
    Expression::enforce_product(cs, "created: no low", &old_low, created, &zero);
    Expression::enforce_product(cs, "kept: same top", &top_change, kept, &zero);
    Expression::enforce_product(cs, "kept: same low", &low_change, kept, &zero);
    set.add_to_owner(&mut cs.namespace(|| "set owner"), &at, (&top_change, &low_change))?;

    let held = set.pool(&mut cs.namespace(|| "held"), &pool)?;
    let bits = Amount::POOL_BITS as usize;
    to_bits(&mut cs.namespace(|| "pool range"), &(&held + &amount), bits)?;
    set.add_to_balance(&mut cs.namespace(|| "credit"), &at, &amount)?;
    set.add_to_pool(&mut cs.namespace(|| "raise"), &pool, &amount)?;
    set.advance_cursor(&pool);

    let first = pack(
        &Deposit::WORD,
        &[
            ("op", &slot.code(Deposit::CODE)),
            ("chain", &chain),
            ("place", &place),
            ("token", &token),
            ("amount", &amount),
            ("owner_top", &top),
        ],
    );
    Ok(vec![first, low])
}
