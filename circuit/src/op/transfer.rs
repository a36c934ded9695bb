//! Transfer: a signed payment, to an account that exists or to a new one.

use bellman::ConstraintSystem;
use zklink::hash::Fr;
use zklink::op::Transfer;

use super::signed::{Fields, Seen, Types};
use super::{constant, pack, zero_if};
use crate::gadget::Expression;

/// The receiver that is signed is the owner of the account that is credited; or that account belongs to nobody, and from
/// now on to the receiver. Other types have no receiving account.
pub(super) fn constrain<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
    seen: &Seen,
) {
    let known = types.transfer.expression();
    zero_if(cs, "receiver's head", &(&fields.party.head() - &seen.owner[0]), known);
    zero_if(cs, "receiver's low", &(&fields.party.low - &seen.owner[1]), known);
    let new = types.to_new.expression();
    zero_if(cs, "nobody's head", &seen.owner[0], new);
    zero_if(cs, "nobody's low", &seen.owner[1], new);
    let none = &Expression::one() - &types.pays();
    zero_if(cs, "no receiving account", &fields.to.place, &none);
}

/// The word of a transfer to an account that exists.
pub(super) fn word(fields: &Fields) -> Expression {
    pack(&Transfer::WORD, &with_code(fields, &constant(Transfer::CODE.into())))
}

/// The first word of a transfer that makes an account.
pub(super) fn word_new(fields: &Fields) -> Expression {
    let code = constant(Transfer::CODE_NEW.into());
    let mut words = with_code(fields, &code).to_vec();
    words.extend([("to_top", &fields.party.top), ("to_home", &fields.party.home)]);
    pack(&Transfer::WORD_NEW, &words)
}

fn with_code<'a>(fields: &'a Fields, code: &'a Expression) -> [(&'static str, &'a Expression); 6] {
    [
        ("op", code),
        ("place", &fields.from.place),
        ("to_place", &fields.to.place),
        ("token", &fields.token),
        ("amount", &fields.amount),
        ("fee", &fields.fee.packed),
    ]
}
