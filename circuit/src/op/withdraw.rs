//! Withdraw: a signed payout on a chain whose pool holds enough.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::layout::power_of_two;
use zklink::op::Withdraw;

use super::{constant, pack, zero_if};
use crate::gadget::{Bit, Expression, float};
use crate::slot::{Fields, Types};

/// What moves, in 18 decimals: `amount * 10^scale`, where only a withdrawal has a scale.
///
/// The product cannot wrap: `2^128 * 10^19 < 2^192`. That it fits 128 bits is checked where it is taken from a balance.
pub(crate) fn moved<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
) -> Result<Expression, SynthesisError> {
    let scale = Expression::from_bits(&fields.scale);
    zero_if(cs, "no scale", &scale, types.withdraw.not().expression());
    // A payee is an address of the chain that pays.
    zero_if(cs, "no home", &fields.party.home, types.withdraw.expression());
    scaled(cs, &fields.amount, &fields.scale)
}

/// The first word.
pub(crate) fn word(fields: &Fields) -> Expression {
    pack(
        &Withdraw::WORD,
        &[
            ("op", &constant(Withdraw::CODE.into())),
            ("chain", &fields.chain),
            ("place", &fields.from.place),
            ("token", &fields.token),
            ("amount", &fields.amount),
            ("scale", &Expression::from_bits(&fields.scale)),
            ("fee", &fields.fee.packed),
            ("to_top", &fields.party.top),
            ("at", &fields.at),
        ],
    )
}

/// A number of 128 bits.
pub(crate) fn wide(amount: u128) -> Fr {
    Fr::from((amount >> 64) as u64) * power_of_two(64) + Fr::from(amount as u64)
}

/// `amount * 10^scale` for a scale of at most 18.
fn scaled<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    amount: &Expression,
    scale: &[Bit],
) -> Result<Expression, SynthesisError> {
    // 16 + 8, 16 + 4 and 16 + 2 + 1 are above 18.
    let (b0, b1, b2, b3, b4) = (&scale[0], &scale[1], &scale[2], &scale[3], &scale[4]);
    let middle = b2.expression() + b3.expression();
    zero_if(cs, "below 20", &middle, b4.expression());
    let low = Bit::and(cs, "three", b0, b1)?;
    zero_if(cs, "below 19", low.expression(), b4.expression());
    // A float with the mantissa one.
    let mantissa = (0..float::MANTISSA_BITS).map(|at| Bit::constant(at == 0));
    let power: Vec<Bit> = scale.iter().cloned().chain(mantissa).collect();
    let power = float::decode(&mut cs.namespace(|| "power"), &power)?;
    Expression::product(cs, "scaled", amount, &power)
}
