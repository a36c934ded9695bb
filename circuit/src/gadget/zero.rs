//! Tests for zero, by witnessed inverses.

use bellman::{ConstraintSystem, SynthesisError};
use zklink::hash::Fr;

use super::{Bit, Expression};

/// Whether `x` is zero: two constraints, `x * inverse = 1 - z` and `x * z = 0`.
///
/// If `x = 0`, the first gives `z = 1`; otherwise the second gives `z = 0`. The variable `inverse`
/// is free when `x = 0`: nothing depends on it.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn is_zero<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    x: &Expression,
) -> Result<Bit, SynthesisError> {
    if let Some(constant) = x.as_constant() {
        return Ok(Bit::constant(constant == Fr::zero()));
    }
    let inverse_value = x.value().map(|x| x.invert().unwrap_or(Fr::zero()));
    let inverse = Expression::witness(cs, "inverse", inverse_value)?;
    let zero_value = x.value().map(|x| Fr::from(u64::from(x == Fr::zero())));
    let zero = Expression::witness(cs, "is zero", zero_value)?;
    Expression::enforce_product(cs, "one if zero", x, &inverse, &(&Expression::one() - &zero));
    Expression::enforce_product(cs, "zero if not", x, &zero, &Expression::zero());
    Ok(Bit::assumed(zero))
}

/// Checks that `x` is not zero, by its inverse: one constraint.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn enforce_nonzero<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    x: &Expression,
) -> Result<(), SynthesisError> {
    // A zero gets a wrong witness rather than an error, so that tests can show that it is refused.
    let value = x.value().map(|x| x.invert().unwrap_or(Fr::zero()));
    let inverse = Expression::witness(cs, "inverse", value)?;
    Expression::enforce_product(cs, "nonzero", x, &inverse, &Expression::one());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    #[test]
    fn zero_is_told_from_everything_else() {
        for (value, expected) in [(0u64, true), (1, false), (77, false)] {
            let mut fixture = Fixture::new();
            let x = fixture.given(Fr::from(value));
            let zero = is_zero(&mut fixture.cs, &x).unwrap();
            assert_eq!(zero.value(), Some(expected));
            assert_eq!(fixture.cost(), 2);
            // With x = 0 the inverse is free, and nothing depends on it.
            let free: &[&str] = if expected { &["inverse"] } else { NONE };
            assert_eq!(fixture.survivors(), free);
        }
    }

    #[test]
    fn a_wrong_answer_needs_a_wrong_constraint() {
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given(Fr::from(4)), fixture.given(Fr::from(4)));
        assert_eq!(is_zero(&mut fixture.cs, &(&x - &y)).unwrap().value(), Some(true));
        fixture.cs.tamper("is zero", Fr::zero());
        assert_eq!(fixture.cs.first_failure(), Some("one if zero"));
        let mut fixture = Fixture::new();
        let (x, y) = (fixture.given(Fr::from(4)), fixture.given(Fr::from(5)));
        assert_eq!(is_zero(&mut fixture.cs, &(&x - &y)).unwrap().value(), Some(false));
        // With the inverse that would go with it, too.
        fixture.cs.tamper("is zero", Fr::one());
        fixture.cs.tamper("inverse", Fr::zero());
        assert_eq!(fixture.cs.failures(), ["zero if not"]);
    }

    #[test]
    fn a_number_that_must_not_be_zero_is_not() {
        for value in [Fr::one(), Fr::from(77), -Fr::one()] {
            let mut fixture = Fixture::new();
            let x = fixture.given(value);
            enforce_nonzero(&mut fixture.cs, &x).unwrap();
            assert_eq!(fixture.cost(), 1);
            assert_eq!(fixture.survivors(), NONE);
        }
        let mut fixture = Fixture::new();
        let x = fixture.given(Fr::zero());
        enforce_nonzero(&mut fixture.cs, &x).unwrap();
        // Zero has no inverse, whatever is claimed to be one.
        for claim in [Fr::zero(), Fr::one(), Fr::from(5)] {
            fixture.cs.tamper("inverse", claim);
            assert_eq!(fixture.cs.first_failure(), Some("nonzero"));
        }
    }

    #[test]
    fn constants_are_answered_without_constraints() {
        let mut fixture = Fixture::new();
        let zero = is_zero(&mut fixture.cs, &Expression::zero()).unwrap();
        assert_eq!((zero.value(), fixture.cost()), (Some(true), 0));
    }
}
