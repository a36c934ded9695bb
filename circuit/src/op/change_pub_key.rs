//! ChangePubKey: an account gets the key that signed for it.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::op::ChangePubKey;

use super::{constant, pack, zero_if};
use crate::gadget::Expression;
use crate::gadget::edwards::Point;
use crate::gadget::zero::is_zero;
use crate::slot::{Fields, Seen, Types};

/// Only a key change names a chain without its pool, so that chain is checked here. No amount moves.
pub(crate) fn constrain<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
) -> Result<(), SynthesisError> {
    let on = types.change_key.expression();
    let no_chain = is_zero(&mut cs.namespace(|| "no chain"), &fields.chain)?;
    zero_if(cs, "a chain", no_chain.expression(), on);
    zero_if(cs, "no chain of a transfer", &fields.chain, &types.pays());
    zero_if(cs, "no amount", &fields.amount, on);
    // A point of the prime-order subgroup, and not its neutral element. Of other types, any such point will do.
    fields.key.enforce_prime_order(&mut cs.namespace(|| "prime order"), fields.key_eighth())
}

/// The key that signs, which is the key of the account from now on: the new one if the key changes. Before it the new
/// coordinates if the key changes, and zeros if not.
pub(crate) fn signer<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
    key: &[Expression],
) -> Result<([Expression; 2], Point), SynthesisError> {
    let on = types.change_key.expression();
    let x = Expression::product(cs, "published x", &fields.key.x, on)?;
    let y = Expression::product(cs, "published y", &fields.key.y, on)?;
    let other = types.change_key.not();
    let kept_x = Expression::product(cs, "kept x", &key[2], other.expression())?;
    let kept_y = Expression::product(cs, "kept y", &key[3], other.expression())?;
    let signer = Point { x: &x + &kept_x, y: &y + &kept_y };
    Ok(([x, y], signer))
}

/// The first word.
pub(crate) fn word(fields: &Fields, seen: &Seen) -> Expression {
    pack(
        &ChangePubKey::WORD,
        &[
            ("op", &constant(ChangePubKey::CODE.into())),
            ("chain", &fields.chain),
            ("place", &fields.from.place),
            ("fee_token", &fields.token),
            ("fee", &fields.fee.packed),
            ("nonce", &seen.key[1]),
            ("owner_top", &fields.party.top),
            ("home", &fields.party.home),
            ("at", &fields.at),
        ],
    )
}
