//! Transfer: a signed payment between sub-accounts; the second kind of slot makes the receiver's account.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::commitment::amount_to_fr;
use zklink::hash::Fr;
use zklink::op::{Op, SlotKind, Transfer};
use zklink::tx::header;

use super::{Slot, pack};
use crate::gadget::Expression;
use crate::working_set::{AMOUNT_BITS, BalanceRef, WorkingSet};

pub(super) fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    kind: SlotKind,
    slot: &Slot<'_>,
    set: &mut WorkingSet,
) -> Result<Vec<Expression>, SynthesisError> {
    let transfer = match slot.op() {
        Some(Op::Transfer(op)) => Some(op),
        _ => None,
    };
    let or_zero = |value: Option<Fr>| slot.witness.map(|_| value.unwrap_or(Fr::zero()));
    let amount = or_zero(transfer.map(|op| amount_to_fr(op.amount)));
    let (amount, _) = slot.number(cs, "amount", amount, AMOUNT_BITS)?;
    let fee = or_zero(transfer.map(|op| Fr::from(u64::from(op.fee.0))));
    let (fee, fee_amount) = slot.fee(cs, fee)?;

    let from = slot.witness.map(|witness| witness.balance);
    let from = set.select_balance(&mut cs.namespace(|| "from"), &slot.enabled, from)?;
    let to = slot.witness.map(|witness| witness.to_balance);
    let to = set.select_balance(&mut cs.namespace(|| "to"), &slot.enabled, to)?;
    let token = set.token(&mut cs.namespace(|| "payer"), &from)?;
    let to_token = set.token(&mut cs.namespace(|| "receiver"), &to)?;
    Expression::enforce_equal(cs, "one token", &token, &to_token);
    let place = set.place(&mut cs.namespace(|| "payer's"), &from)?;
    let to_place = set.place(&mut cs.namespace(|| "receiver's"), &to)?;
    let to_sub_account = set.sub_account(cs, &to)?;
    let nonce = set.sub_account_nonce(cs, &from)?;
    let (key_x, key_y) = set.key(cs, &from)?;
    let (top, low) = match kind {
        SlotKind::TransferToNew => new_receiver(cs, slot, set, &to, transfer)?,
        _ => known_receiver(cs, slot, set, &to)?,
    };

    slot.debit(cs, set, &from, &(&amount + &fee_amount))?;
    set.use_sub_account_nonce(&from);
    set.add_to_balance(&mut cs.namespace(|| "credit"), &to, &amount)?;
    slot.pay_fee(cs, set, &token, &fee_amount)?;

    let signed = pack(
        &header::TRANSFER,
        &[
            // The signer does not know whether the receiver has an account: both kinds sign the same type.
            ("type", &slot.code(Transfer::CODE)),
            ("place", &place),
            ("to_sub_account", &to_sub_account),
            ("token", &token),
            ("fee", &fee),
            ("nonce", &nonce),
            ("to_top", &top),
        ],
    );
    slot.check_signature(cs, (&key_x, &key_y), [&signed, &amount, &low])?;

    let code = slot.code(kind.code());
    let mut fields = vec![
        ("op", &code),
        ("place", &place),
        ("to_place", &to_place),
        ("token", &token),
        ("amount", &amount),
        ("fee", &fee),
    ];
    if kind == SlotKind::TransferToNew {
        fields.push(("to_top", &top));
        return Ok(vec![pack(&Transfer::WORD_NEW, &fields), low]);
    }
    Ok(vec![pack(&Transfer::WORD, &fields)])
}

/// The receiver that is signed is the owner of the leaf that is credited, and exists.
fn known_receiver<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    slot: &Slot<'_>,
    set: &WorkingSet,
    to: &BalanceRef,
) -> Result<(Expression, Expression), SynthesisError> {
    let cs = &mut cs.namespace(|| "known receiver");
    let (top, low) = set.owner(cs, to)?;
    slot.enforce_somebody(cs, (&top, &low))?;
    Ok((top, low))
}

/// The credited leaf belongs to nobody, and from now on to the receiver that is signed.
fn new_receiver<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    slot: &Slot<'_>,
    set: &mut WorkingSet,
    to: &BalanceRef,
    transfer: Option<&Transfer>,
) -> Result<(Expression, Expression), SynthesisError> {
    let cs = &mut cs.namespace(|| "new receiver");
    let owner = slot.witness.map(|_| transfer.and_then(|op| op.new_owner).unwrap_or_default());
    let (top, low) = slot.owner(cs, owner)?;
    slot.enforce_somebody(cs, (&top, &low))?;
    let (old_top, old_low) = set.owner(cs, to)?;
    Expression::enforce_equal(cs, "nobody's top", &old_top, &Expression::zero());
    Expression::enforce_equal(cs, "nobody's low", &old_low, &Expression::zero());
    set.add_to_owner(&mut cs.namespace(|| "set owner"), to, (&top, &low))?;
    Ok((top, low))
}
