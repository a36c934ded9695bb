//! The operations as constraints: one file each, named as in the protocol, over two kinds of slots.
//!
//! A slot is switched on by a bit. Switched off, it reads and writes nothing, and every word that it publishes is
//! forced to zero. Slots that are on stand before those that are off, so that the rank of an operation is the number of
//! its slot.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::layout::{Packed, low_word};
use zklink::shape::Counts;

use crate::gadget::bits::witness_bits;
use crate::gadget::zero::is_zero;
use crate::gadget::{Bit, Expression};
use crate::working_set::{ACCOUNT_BITS, CHAIN_BITS, SUB_ACCOUNT_BITS, TOKEN_BITS};

pub(crate) mod change_pub_key;
mod deposit;
pub(crate) mod transfer;
pub(crate) mod withdraw;

pub use deposit::{QueuePlace, queue_slot};

/// Bits of [`zklink::op::Published::at`] in the circuit: shapes have at most 1,023 signed slots.
pub const AT_BITS: usize = 10;

/// When the operations of a block happen, in the time of its memory. Zero is before the block.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Signed slots of the shape.
    signed: usize,
    /// Ticks between two signed operations: so many queue operations fit in between, and the signed one.
    step: usize,
}

impl Clock {
    /// The clock of a shape.
    ///
    /// # Panics
    /// When the shape has more signed slots than [`AT_BITS`] can count.
    pub fn of(room: &Counts) -> Clock {
        assert!(room.signed < 1 << AT_BITS, "a shape has fewer than 2^10 signed slots");
        Clock { signed: room.signed, step: room.queue + 1 }
    }

    /// The moment of the signed operation with this rank. The one after it is for a cell that the first may have
    /// touched.
    pub(crate) fn signed_time(&self, rank: usize) -> u64 {
        (2 * (rank + 1) * self.step) as u64
    }

    /// The moment of the queue operation in this slot, after `at` signed ones.
    pub(crate) fn queue_time(&self, slot: usize, at: u16) -> u64 {
        2 * (u64::from(at) * self.step as u64 + slot as u64 + 1)
    }

    pub(crate) fn of_signed(&self, rank: usize) -> [Expression; 2] {
        let time = self.signed_time(rank);
        [time, time + 1].map(|time| Expression::constant(Fr::from(time)))
    }

    /// [`Clock::queue_time`] as an expression.
    pub(crate) fn of_queue(&self, slot: usize, at: &Expression) -> Expression {
        &(at * Fr::from(2 * self.step as u64)) + Fr::from(self.queue_time(slot, 0))
    }

    /// A moment after all operations, for the fee token with this number.
    pub(crate) fn end(&self, number: usize) -> Expression {
        Expression::constant(Fr::from((2 * (self.signed + 1) * self.step + number) as u64))
    }

    /// Bits of any time of a block that changes at most `roots` roots of one kind.
    pub fn bits(&self, roots: usize, fee_tokens: usize) -> usize {
        let last = (2 * (self.signed + 1) * self.step + fee_tokens).max(roots + 1);
        (usize::BITS - last.leading_zeros()) as usize
    }
}

/// What every slot of a block may use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The deployment id, which signed messages bind.
    pub deployment: Expression,
    /// When operations happen.
    pub clock: Clock,
}

/// An account and a sub-account, each with its range.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) account: Expression,
    /// `account * 2^8 + sub-account`, as the packed words have it.
    pub(crate) place: Expression,
    pub(crate) sub: Expression,
}

impl Place {
    pub(crate) fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        value: Option<(u32, u8)>,
    ) -> Result<Place, SynthesisError> {
        let account = value.map(|(account, _)| Fr::from(u64::from(account)));
        let account = number(&mut cs.namespace(|| "account"), account, ACCOUNT_BITS)?.0;
        let sub = value.map(|(_, sub)| Fr::from(u64::from(sub)));
        let sub = number(&mut cs.namespace(|| "sub"), sub, SUB_ACCOUNT_BITS)?.0;
        let place = &(&account * Fr::from(256)) + &sub;
        Ok(Place { account, place, sub })
    }

    /// The address of a balance: `place * 2^16 + token`.
    pub(crate) fn balance(&self, token: &Expression) -> Expression {
        &(&self.place * Fr::from(1 << TOKEN_BITS)) + token
    }
}

/// Somebody: an owner, or whom a withdrawal pays.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) home: Expression,
    pub(crate) top: Expression,
    pub(crate) low: Expression,
    nobody: Bit,
}

impl Party {
    pub(crate) fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        value: Option<zklink::id::Owner>,
    ) -> Result<Party, SynthesisError> {
        let home = value.map(|owner| Fr::from(u64::from(owner.home.0)));
        let home = number(&mut cs.namespace(|| "home"), home, CHAIN_BITS)?.0;
        let top = value.map(|owner| Fr::from(u64::from(owner.top())));
        let top = number(&mut cs.namespace(|| "top"), top, 8)?.0;
        let low = value.map(|owner| low_word(owner.low()));
        let low = number(&mut cs.namespace(|| "low"), low, 248)?.0;
        let no_top = is_zero(&mut cs.namespace(|| "no top"), &top)?;
        let no_low = is_zero(&mut cs.namespace(|| "no low"), &low)?;
        let nobody = Bit::and(cs, "nobody", &no_top, &no_low)?;
        Ok(Party { home, top, low, nobody })
    }

    /// `home * 2^8 + top`, as the memory has it.
    pub(crate) fn head(&self) -> Expression {
        &(&self.home * Fr::from(256)) + &self.top
    }

    /// Checks that it is somebody if `on`.
    pub(crate) fn enforce_somebody<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, on: &Expression) {
        zero_if(cs, "somebody if on", self.nobody.expression(), on);
    }
}

/// A number with a range, and its bits.
pub(crate) fn number<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<Fr>,
    bits: usize,
) -> Result<(Expression, Vec<Bit>), SynthesisError> {
    let bits = witness_bits(cs, value, bits)?;
    Ok((Expression::from_bits(&bits), bits))
}

/// Checks that `value` is zero if `flag` is one.
pub(crate) fn zero_if<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    name: &'static str,
    value: &Expression,
    flag: &Expression,
) {
    Expression::enforce_product(cs, name, value, flag, &Expression::zero());
}

/// A packed word or header: `sum of field * weight`. Free. Where the layout has `account sub_account` side by side, the
/// circuit has one number for both, their place.
pub(crate) fn pack<const N: usize>(
    layout: &Packed<N>,
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

/// A constant of a packed word.
pub(crate) fn constant(value: u64) -> Expression {
    Expression::constant(Fr::from(value))
}
