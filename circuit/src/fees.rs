//! The fees of a block: collected by token, and credited to the fee account at its end.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;
use zklink::id::TokenId;
use zklink::layout::power_of_two;

use crate::gadget::select::{dot, one_hot};
use crate::gadget::{Bit, Expression};
use crate::memory::{Form, Kind, Memory};
use crate::op::{Clock, number, zero_if};
use crate::working_set::TOKEN_BITS;

/// The tokens in which fees are paid, and how much in each so far.
#[derive(Clone, Debug)]
pub struct Fees {
    known: Vec<Option<TokenId>>,
    tokens: Vec<FeeToken>,
    /// Whether values are known: else keys are made.
    with_values: bool,
}

#[derive(Clone, Debug)]
struct FeeToken {
    token: Expression,
    /// Whether the block has fees in it.
    on: Bit,
    parts: Vec<Expression>,
}

impl Fees {
    /// Allocates the tokens of the shape; `known` are those of the block, padded with none.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn open<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        size: usize,
        known: Option<&[Option<TokenId>]>,
        memory: &mut Memory,
    ) -> Result<Fees, SynthesisError> {
        let mut tokens = Vec::with_capacity(size);
        for at in 0..size {
            let cs = &mut cs.namespace(|| format!("fee token {at}"));
            let token = known.map(|known| known[at]);
            let on = Bit::witness(cs, "on", token.map(|token| token.is_some()))?;
            let id = token.map(|token| Fr::from(u64::from(token.unwrap_or_default().0)));
            let (id, _) = number(&mut cs.namespace(|| "token"), id, TOKEN_BITS)?;
            memory.bind_small(&id, TOKEN_BITS);
            memory.bind_small(on.expression(), 1);
            tokens.push(FeeToken { token: id, on, parts: Vec::new() });
        }
        let with_values = known.is_some();
        let known = known.map(<[_]>::to_vec).unwrap_or_default();
        Ok(Fees { known, tokens, with_values })
    }

    /// Collects a fee: it is zero, or one of the tokens is that of the fee.
    pub(crate) fn collect<CS: ConstraintSystem<Fr>>(
        &mut self,
        cs: &mut CS,
        token: &Expression,
        fee: &Expression,
        known: Option<Option<TokenId>>,
    ) -> Result<(), SynthesisError> {
        let cs = &mut cs.namespace(|| "fee");
        let at = |token| self.known.iter().position(|known| *known == Some(token));
        let at = known.filter(|_| self.with_values).map(|token| token.and_then(at));
        let pays = Bit::witness(cs, "pays", at.map(|at| at.is_some()))?;
        zero_if(cs, "none if it does not pay", fee, pays.not().expression());
        let selected = one_hot(&mut cs.namespace(|| "token"), at, self.tokens.len(), &pays)?;
        let bits = || selected.iter().map(Bit::expression);
        let found = dot(cs, "found", bits(), self.tokens.iter().map(|fee| &fee.token))?;
        Expression::enforce_product(cs, "its token", token, pays.expression(), &found);
        for (number, (into, selected)) in self.tokens.iter_mut().zip(bits()).enumerate() {
            let cs = &mut cs.namespace(|| format!("part {number}"));
            into.parts.push(Expression::product(cs, "part", fee, selected)?);
        }
        Ok(())
    }

    /// Credits what was collected to sub-account 0 of the fee account.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn credit<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        fee_account: &Expression,
        clock: &Clock,
        memory: &mut Memory,
    ) -> Result<(), SynthesisError> {
        for (at, fee) in self.tokens.iter().enumerate() {
            let cs = &mut cs.namespace(|| format!("fee token {at}"));
            let total = Expression::sum(&fee.parts);
            zero_if(cs, "nothing if off", &total, fee.on.not().expression());
            // Which of two equal tokens took a part is not in the words.
            memory.bind(&total);
            let place = fee_account * power_of_two(8 + TOKEN_BITS);
            let cell = Kind::Balance.at(&(&place + &fee.token));
            let read =
                memory.read(cs, &cell, fee.on.expression(), &clock.end(at), &[Form::Element])?;
            let new = &read.values[0] + &total;
            memory.write(read, &[new]);
        }
        Ok(())
    }
}
