//! ChangePubKey: an account gets the key that signed for it.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::key::base::base;
use zklink::op::{ChangePubKey, Op};
use zklink::tx::header;

use super::{Slot, pack};
use crate::gadget::Expression;
use crate::gadget::edwards::{self, Point};
use crate::gadget::zero::is_zero;
use crate::working_set::WorkingSet;

pub(super) fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    slot: &Slot<'_>,
    set: &mut WorkingSet,
) -> Result<Vec<Expression>, SynthesisError> {
    let change = match slot.op() {
        Some(Op::ChangePubKey(op)) => Some(op),
        _ => None,
    };
    let or_zero = |value: Option<Fr>| slot.witness.map(|_| value.unwrap_or(Fr::zero()));
    let chain = or_zero(change.map(|op| Fr::from(u64::from(op.chain.0))));
    let (chain, _) = slot.number(cs, "chain", chain, 6)?;
    let no_chain = is_zero(&mut cs.namespace(|| "no chain"), &chain)?;
    let off = slot.enabled.not();
    Expression::enforce_equal(cs, "a chain if on", no_chain.expression(), off.expression());
    let fee = or_zero(change.map(|op| Fr::from(u64::from(op.fee.0))));
    let (fee, fee_amount) = slot.fee(cs, fee)?;

    // A point of the prime-order subgroup, and not its neutral element. Switched off, any such point will do: it is
    // neither written nor published.
    let key = slot.witness.map(|_| change.map_or_else(base, |op| op.key.point()));
    let point = key.map(|point| (point.get_u(), point.get_v()));
    let point = Point::unchecked(&mut cs.namespace(|| "key"), point)?;
    let eighth = key.as_ref().map(edwards::native_eighth);
    point.enforce_prime_order(&mut cs.namespace(|| "prime order"), eighth)?;
    let (key_x, key_y) = (point.x.clone(), point.y.clone());

    let at = slot.witness.map(|witness| witness.balance);
    let at = set.select_balance(&mut cs.namespace(|| "payer"), &slot.enabled, at)?;
    let token = set.token(cs, &at)?;
    let place = set.place(cs, &at)?;
    let nonce = set.account_nonce(cs, &at)?;
    let (top, low) = set.owner(cs, &at)?;
    slot.enforce_somebody(cs, (&top, &low))?;

    slot.debit(cs, set, &at, &fee_amount)?;
    slot.pay_fee(cs, set, &token, &fee_amount)?;
    set.set_key(&mut cs.namespace(|| "set key"), &at, (&key_x, &key_y))?;
    set.use_account_nonce(&at);

    let signed = pack(
        &header::CHANGE_PUB_KEY,
        &[
            ("type", &slot.code(ChangePubKey::CODE)),
            ("place", &place),
            ("chain", &chain),
            ("fee_token", &token),
            ("fee", &fee),
            ("nonce", &nonce),
        ],
    );
    // The signer is the new key: the same variables that are written and published.
    slot.check_signature(cs, (&key_x, &key_y), [&signed, &key_x, &key_y])?;

    let first = pack(
        &ChangePubKey::WORD,
        &[
            ("op", &slot.code(ChangePubKey::CODE)),
            ("chain", &chain),
            ("place", &place),
            ("fee_token", &token),
            ("fee", &fee),
            ("nonce", &nonce),
            ("owner_top", &top),
        ],
    );
    let on = slot.enabled.expression();
    let published_x = Expression::product(cs, "published x", &key_x, on)?;
    let published_y = Expression::product(cs, "published y", &key_y, on)?;
    Ok(vec![first, low, published_x, published_y])
}
