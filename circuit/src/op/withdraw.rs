//! Withdraw: a signed payout on a chain whose pool holds enough.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::layout::power_of_two;
use zklink::op::{Op, Withdraw};
use zklink::tx::header;

use super::{Slot, pack};
use crate::gadget::bits::to_bits;
use crate::gadget::{Bit, Expression, float};
use crate::working_set::{AMOUNT_BITS, WorkingSet};

pub(super) fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    slot: &Slot<'_>,
    set: &mut WorkingSet,
) -> Result<Vec<Expression>, SynthesisError> {
    let withdraw = match slot.op() {
        Some(Op::Withdraw(op)) => Some(op),
        _ => None,
    };
    let or_zero = |value: Option<Fr>| slot.witness.map(|_| value.unwrap_or(Fr::zero()));
    let l1_amount = or_zero(withdraw.map(|op| l1_value(op.l1_amount)));
    let (l1_amount, _) = slot.number(cs, "amount", l1_amount, AMOUNT_BITS)?;
    let scale = or_zero(withdraw.map(|op| Fr::from(u64::from(op.scale))));
    let (scale, scale_bits) = slot.number(cs, "scale", scale, 5)?;
    let amount = scaled(&mut cs.namespace(|| "scaled"), &l1_amount, &scale_bits)?;
    let fee = or_zero(withdraw.map(|op| Fr::from(u64::from(op.fee.0))));
    let (fee, fee_amount) = slot.fee(cs, fee)?;
    let to = slot.witness.map(|_| withdraw.map(|op| op.to).unwrap_or_default());
    let (to_top, to_low) = slot.owner(&mut cs.namespace(|| "to"), to)?;
    slot.enforce_somebody(&mut cs.namespace(|| "a receiver"), (&to_top, &to_low))?;

    let from = slot.witness.map(|witness| witness.balance);
    let from = set.select_balance(&mut cs.namespace(|| "from"), &slot.enabled, from)?;
    let pool = slot.witness.map(|witness| witness.pool);
    let pool = set.select_pool(&mut cs.namespace(|| "pool"), &slot.enabled, pool)?;
    let token = set.token(cs, &from)?;
    let pool_token = set.pool_token(cs, &pool)?;
    Expression::enforce_equal(cs, "one token", &token, &pool_token);
    let place = set.place(cs, &from)?;
    let chain = set.chain(cs, &pool)?;
    let nonce = set.sub_account_nonce(cs, &from)?;
    let (key_x, key_y) = set.key(cs, &from)?;

    slot.debit(cs, set, &from, &(&amount + &fee_amount))?;
    set.use_sub_account_nonce(&from);
    let held = set.pool(&mut cs.namespace(|| "held"), &pool)?;
    to_bits(&mut cs.namespace(|| "left in the pool"), &(&held - &amount), AMOUNT_BITS)?;
    set.add_to_pool(&mut cs.namespace(|| "lower"), &pool, &-&amount)?;
    slot.pay_fee(cs, set, &token, &fee_amount)?;

    let signed = pack(
        &header::WITHDRAW,
        &[
            ("type", &slot.code(Withdraw::CODE)),
            ("place", &place),
            ("chain", &chain),
            ("token", &token),
            ("fee", &fee),
            ("nonce", &nonce),
            ("scale", &scale),
            ("to_top", &to_top),
        ],
    );
    slot.check_signature(cs, (&key_x, &key_y), [&signed, &l1_amount, &to_low])?;

    let first = pack(
        &Withdraw::WORD,
        &[
            ("op", &slot.code(Withdraw::CODE)),
            ("chain", &chain),
            ("place", &place),
            ("token", &token),
            ("amount", &l1_amount),
            ("scale", &scale),
            ("fee", &fee),
            ("to_top", &to_top),
        ],
    );
    Ok(vec![first, to_low])
}

fn l1_value(amount: u128) -> Fr {
    Fr::from((amount >> 64) as u64) * power_of_two(64) + Fr::from(amount as u64)
}

/// `amount * 10^scale`, below 2^128, for a scale of at most 18.
///
/// The product cannot wrap: `2^128 * 10^31 < 2^231`.
fn scaled<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    amount: &Expression,
    scale: &[Bit],
) -> Result<Expression, SynthesisError> {
    // 16 + 8, 16 + 4 and 16 + 2 + 1 are above 18.
    let (b0, b1, b2, b3, b4) = (&scale[0], &scale[1], &scale[2], &scale[3], &scale[4]);
    let zero = Expression::zero();
    let middle = b2.expression() + b3.expression();
    Expression::enforce_product(cs, "below 20", &middle, b4.expression(), &zero);
    let low = Bit::and(cs, "three", b0, b1)?;
    Expression::enforce_product(cs, "below 19", low.expression(), b4.expression(), &zero);
    // A float with the mantissa one.
    let mantissa = (0..float::MANTISSA_BITS).map(|at| Bit::constant(at == 0));
    let power: Vec<Bit> = scale.iter().cloned().chain(mantissa).collect();
    let power = float::decode(&mut cs.namespace(|| "power"), &power)?;
    let amount = Expression::product(cs, "amount", amount, &power)?;
    to_bits(&mut cs.namespace(|| "range"), &amount, AMOUNT_BITS)?;
    Ok(amount)
}
