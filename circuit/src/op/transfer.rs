//! Transfer: a signed payment, to an account that exists or to a new one.

use bellman::ConstraintSystem;
use zklink::hash::Fr;
use zklink::op::Transfer;

use super::{constant, pack, zero_if};
use crate::gadget::Expression;
use crate::slot::{Fields, Types};

/// Only a payment has a receiving account. That the receiver who is signed owns it, or from now on does, is checked
/// where the owner is read.
pub(crate) fn constrain<CS: ConstraintSystem<Fr>>(cs: &mut CS, types: &Types, fields: &Fields) {
    let none = &Expression::one() - &types.pays();
    zero_if(cs, "no receiving account", &fields.to.place, &none);
}

/// The word of a transfer to an account that exists.
pub(crate) fn word(fields: &Fields) -> Expression {
    pack(&Transfer::WORD, &with_code(fields, &constant(Transfer::CODE.into())))
}

/// The first word of a transfer that makes an account.
pub(crate) fn word_new(fields: &Fields) -> Expression {
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
