//! One bit, and what two of them give.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::Expression;

/// An expression that is known to be zero or one.
#[derive(Clone, Debug)]
pub struct Bit(Expression);

impl Bit {
    /// A constant bit.
    #[must_use]
    pub fn constant(bit: bool) -> Self {
        Self(Expression::constant(Fr::from(u64::from(bit))))
    }

    /// Allocates a bit: one constraint, `b * b = b`.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        bit: Option<bool>,
    ) -> Result<Self, SynthesisError> {
        let value = bit.map(|bit| Fr::from(u64::from(bit)));
        let bit = Expression::witness(cs, name, value)?;
        Expression::enforce_product(cs, name, &bit, &bit, &bit);
        Ok(Self(bit))
    }

    /// Takes an expression for a bit.
    ///
    /// The caller says why it can only be zero or one; nothing is enforced here.
    #[must_use]
    pub fn assumed(expression: Expression) -> Self {
        Self(expression)
    }

    /// The bit as a number.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.0
    }

    /// The value of the bit; `None` while keys are made.
    #[must_use]
    pub fn value(&self) -> Option<bool> {
        self.0.value().map(|value| value != Fr::zero())
    }

    /// The opposite bit: free.
    #[must_use]
    pub fn not(&self) -> Self {
        Self(&Expression::one() - &self.0)
    }

    /// Both bits: one constraint.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn and<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
    ) -> Result<Self, SynthesisError> {
        Expression::product(cs, name, &a.0, &b.0).map(Self)
    }

    /// At least one bit, `a + b - a*b`: one constraint.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn or<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
    ) -> Result<Self, SynthesisError> {
        let both = Expression::product(cs, name, &a.0, &b.0)?;
        Ok(Self(&(&a.0 + &b.0) - &both))
    }

    /// Exactly one bit, `a + b - 2*a*b`: one constraint.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn xor<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        name: &'static str,
        a: &Self,
        b: &Self,
    ) -> Result<Self, SynthesisError> {
        let both = Expression::product(cs, name, &a.0, &b.0)?;
        Ok(Self(&(&a.0 + &b.0) - &(&both * Fr::from(2))))
    }

    /// `if self { yes } else { no }`: one constraint, or none when the bit is a constant.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
    pub fn select<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        name: &'static str,
        yes: &Expression,
        no: &Expression,
    ) -> Result<Expression, SynthesisError> {
        let difference = Expression::product(cs, name, &(yes - no), &self.0)?;
        Ok(no + &difference)
    }
}

impl Expression {
    /// The number whose base-2 digits are `bits`, lowest first: free.
    #[must_use]
    pub fn from_bits(bits: &[Bit]) -> Self {
        let mut weight = Fr::one();
        Self::weighted_sum(bits.iter().map(|bit| {
            let term = (weight, bit.expression());
            weight = weight.double();
            term
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    #[test]
    fn a_bit_is_zero_or_one() {
        let mut fixture = Fixture::new();
        Bit::witness(&mut fixture.cs, "b", Some(true)).unwrap();
        assert_eq!(fixture.cost(), 1);
        fixture.cs.tamper("b", Fr::from(2));
        assert_eq!(fixture.cs.first_failure(), Some("b"));
    }

    #[test]
    fn connectives_follow_their_truth_tables() {
        for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut fixture = Fixture::new();
            let (x, y) = (fixture.given_bit(a), fixture.given_bit(b));
            let cs = &mut fixture.cs;
            assert_eq!(Bit::and(cs, "and", &x, &y).unwrap().value(), Some(a & b));
            assert_eq!(Bit::or(cs, "or", &x, &y).unwrap().value(), Some(a | b));
            assert_eq!(Bit::xor(cs, "xor", &x, &y).unwrap().value(), Some(a ^ b));
            assert_eq!(x.not().value(), Some(!a));
            let (yes, no) = (Expression::constant(5.into()), y.expression().clone());
            let chosen = x.select(cs, "select", &yes, &no).unwrap();
            assert_eq!(chosen.value(), if a { Some(Fr::from(5)) } else { no.value() });
            assert_eq!(fixture.cost(), 4);
            assert_eq!(fixture.survivors(), NONE);
        }
    }

    #[test]
    fn the_other_answer_of_a_connective_is_refused() {
        for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut fixture = Fixture::new();
            let (x, y) = (fixture.given_bit(a), fixture.given_bit(b));
            let (yes, no) = (fixture.given(5.into()), fixture.given(9.into()));
            Bit::and(&mut fixture.cs, "and", &x, &y).unwrap();
            Bit::or(&mut fixture.cs, "or", &x, &y).unwrap();
            Bit::xor(&mut fixture.cs, "xor", &x, &y).unwrap();
            x.select(&mut fixture.cs, "select", &yes, &no).unwrap();
            for name in ["and", "or", "xor", "select"] {
                let honest = fixture.cs.value(name);
                fixture.cs.tamper(name, Fr::one() - honest);
                assert_eq!(fixture.cs.failures(), [name], "{a} {b}");
                fixture.cs.tamper(name, honest);
            }
        }
    }
}
