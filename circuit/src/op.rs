//! The operations as constraints: one file each, named as in the protocol.
//!
//! A slot is switched on by a bit. Switched off, it is a Noop: every selection is zero, so that nothing is read or
//! written, and every word that it publishes is forced to zero.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::{Domain, Fr};
use zklink::op::{Op, SlotKind};

use crate::gadget::bits::to_bits;
use crate::gadget::edwards::Point;
use crate::gadget::poseidon2::compress4;
use crate::gadget::schnorr::{self, SignatureWitness};
use crate::gadget::zero::is_zero;
use crate::gadget::{Bit, Expression, float};
use crate::statement::Words;
use crate::witness::SlotWitness;
use crate::working_set::{AMOUNT_BITS, BalanceRef, WorkingSet};

mod change_pub_key;
mod deposit;
mod noop;
mod transfer;
mod withdraw;

/// What every slot of a block may use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The deployment id, which signed messages bind.
    pub deployment: Expression,
    /// `fee account * 2^8`: the place of the sub-account that receives fees.
    pub fee_place: Expression,
}

/// Constrains a slot: checks its operation, changes the working set, and publishes its words.
pub fn synthesize<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    kind: SlotKind,
    context: &Context,
    set: &mut WorkingSet,
    witness: Option<&SlotWitness>,
    words: &mut Words,
) -> Result<(), SynthesisError> {
    let enabled = noop::enabled(cs, witness)?;
    let slot = Slot { context, enabled, witness };
    let published = match kind {
        SlotKind::Deposit => deposit::synthesize(cs, &slot, set)?,
        SlotKind::Transfer | SlotKind::TransferToNew => transfer::synthesize(cs, kind, &slot, set)?,
        SlotKind::Withdraw => withdraw::synthesize(cs, &slot, set)?,
        SlotKind::ChangePubKey => change_pub_key::synthesize(cs, &slot, set)?,
    };
    assert_eq!(published.len(), kind.words(), "as many words as the protocol declares");
    let vector = if kind.is_onchain() { &mut words.onchain } else { &mut words.data };
    vector.extend(published);
    Ok(())
}

/// A slot while it is constrained.
struct Slot<'a> {
    context: &'a Context,
    enabled: Bit,
    witness: Option<&'a SlotWitness>,
}

impl Slot<'_> {
    fn op(&self) -> Option<&Op> {
        self.witness.map(|witness| &witness.op)
    }

    /// The operation code: zero when the slot is switched off.
    fn code(&self, code: u8) -> Expression {
        self.enabled.expression() * Fr::from(u64::from(code))
    }

    /// A number of the operation with a range, and zero when the slot is switched off.
    fn number<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        name: &'static str,
        value: Option<Fr>,
        bits: usize,
    ) -> Result<(Expression, Vec<Bit>), SynthesisError> {
        let cs = &mut cs.namespace(|| name);
        let bits = crate::gadget::bits::witness_bits(cs, value, bits)?;
        let number = Expression::from_bits(&bits);
        self.zero_if_off(cs, &number);
        Ok((number, bits))
    }

    /// The value is zero when the slot is switched off.
    fn zero_if_off<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, value: &Expression) {
        let off = self.enabled.not();
        Expression::enforce_product(
            cs,
            "zero if off",
            value,
            off.expression(),
            &Expression::zero(),
        );
    }

    /// The fee: its packed form and its amount.
    fn fee<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        value: Option<Fr>,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let (packed, bits) = self.number(cs, "fee", value, 16)?;
        let amount = float::decode(&mut cs.namespace(|| "fee amount"), &bits)?;
        Ok((packed, amount))
    }

    /// An owner: first byte and the rest. Zero when the slot is switched off.
    fn owner<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        value: Option<zklink::id::Owner>,
    ) -> Result<(Expression, Expression), SynthesisError> {
        let top = value.map(|owner| Fr::from(u64::from(owner.top())));
        let low = value.map(|owner| zklink::layout::low_word(owner.low()));
        let (top, _) = self.number(cs, "top", top, 8)?;
        let (low, _) = self.number(cs, "low", low, 248)?;
        Ok((top, low))
    }

    /// The owner is somebody exactly when the slot is switched on.
    fn enforce_somebody<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        (top, low): (&Expression, &Expression),
    ) -> Result<(), SynthesisError> {
        let no_top = is_zero(&mut cs.namespace(|| "no top"), top)?;
        let no_low = is_zero(&mut cs.namespace(|| "no low"), low)?;
        let off = self.enabled.not();
        let (a, b, c) = (no_top.expression(), no_low.expression(), off.expression());
        Expression::enforce_product(cs, "somebody if on", a, b, c);
        Ok(())
    }

    /// Takes amount and fee from a balance: checks that it covers both.
    fn debit<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        set: &mut WorkingSet,
        from: &BalanceRef,
        needed: &Expression,
    ) -> Result<(), SynthesisError> {
        let balance = set.balance(cs, from)?;
        to_bits(&mut cs.namespace(|| "left"), &(&balance - needed), AMOUNT_BITS)?;
        set.add_to_balance(&mut cs.namespace(|| "debit"), from, &-needed)
    }

    /// Credits the fee to sub-account 0 of the fee account.
    fn pay_fee<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        set: &mut WorkingSet,
        token: &Expression,
        fee: &Expression,
    ) -> Result<(), SynthesisError> {
        let cs = &mut cs.namespace(|| "pay fee");
        let at = self.witness.map(|witness| witness.fee_balance);
        let at = set.select_balance(&mut cs.namespace(|| "select"), &self.enabled, at)?;
        let place = set.place(cs, &at)?;
        let (fee_place, on) = (&self.context.fee_place, self.enabled.expression());
        Expression::enforce_product(cs, "fee account", fee_place, on, &place);
        let fee_token = set.token(cs, &at)?;
        Expression::enforce_equal(cs, "fee token", &fee_token, token);
        set.add_to_balance(&mut cs.namespace(|| "credit"), &at, fee)
    }

    /// The signature as a witness. An idle slot has one by the dummy key; one that is not canonical gets that one too,
    /// which then does not verify.
    fn signature(&self, message: Option<Fr>) -> SignatureWitness {
        let (Some(witness), Some(message)) = (self.witness, message) else {
            return SignatureWitness::absent();
        };
        let signature = witness.signature.as_ref();
        let signature = signature.and_then(|signature| SignatureWitness::of(signature).ok());
        signature.unwrap_or_else(|| SignatureWitness::dummy(message))
    }

    /// Checks the L2 signature over the message `[deployment, header, third, fourth]`.
    fn check_signature<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        key: (&Expression, &Expression),
        [header, third, fourth]: [&Expression; 3],
    ) -> Result<(), SynthesisError> {
        let cs = &mut cs.namespace(|| "signature");
        let lanes =
            [self.context.deployment.clone(), header.clone(), third.clone(), fourth.clone()];
        let message = compress4(&mut cs.namespace(|| "message"), Domain::Message, &lanes)?;
        let signature = self.signature(message.value());
        let key = Point { x: key.0.clone(), y: key.1.clone() };
        schnorr::verify(cs, &key, &message, &signature, &self.enabled)
    }
}

/// A packed word or header: `sum of field * weight`. Free. Where the layout has `account sub_account` side by side, the
/// circuit has one number for both, their place.
fn pack<const N: usize>(
    layout: &zklink::layout::Packed<N>,
    fields: &[(&'static str, &Expression)],
) -> Expression {
    let weights = layout.weights();
    let names: Vec<&str> = layout.fields.iter().map(|field| field.name).collect();
    let weight_of = |name: &str| {
        // A place is `account * 2^8 + sub_account`, so its weight is that of the sub-account.
        let name = match name {
            "place" => "sub_account",
            "to_place" => "to_sub_account",
            other => other,
        };
        let at = names.iter().position(|field| *field == name);
        weights[at.expect("the layout has the field")]
    };
    Expression::weighted_sum(fields.iter().map(|(name, field)| (weight_of(name), *field)))
}
