//! Many bits: range checks, canonical decomposition, comparison.

use bellman::{ConstraintSystem, SynthesisError};
use ff::PrimeFieldBits;
use zklink::hash::Fr;

use super::zero::is_zero;
use super::{Bit, Expression};

/// The lowest `count` bits of a value, lowest first, as far as it is known.
fn value_bits(value: Option<Fr>, count: usize) -> Vec<Option<bool>> {
    match value {
        None => vec![None; count],
        Some(value) => value.to_le_bits().into_iter().take(count).map(Some).collect(),
    }
}

/// Allocates `count` bits of `value`, lowest first, without tying them to it: `count` constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn witness_bits<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    value: Option<Fr>,
    count: usize,
) -> Result<Vec<Bit>, SynthesisError> {
    assert!(count <= 255, "a field element has 255 bits");
    value_bits(value, count)
        .into_iter()
        .enumerate()
        .map(|(index, bit)| Bit::witness(&mut cs.namespace(|| format!("bit{index}")), "bit", bit))
        .collect()
}

/// Checks that `number < 2^count` and returns its bits, lowest first: `count + 1` constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
///
/// # Panics
/// When `count` is above 254: then the bits would not be unique. Use [`canonical_bits`].
pub fn to_bits<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    number: &Expression,
    count: usize,
) -> Result<Vec<Bit>, SynthesisError> {
    assert!(count <= 254, "2^254 is below the modulus, 2^255 is not");
    let bits = witness_bits(cs, number.value(), count)?;
    Expression::enforce_equal(cs, "recomposed", &Expression::from_bits(&bits), number);
    Ok(bits)
}

/// The 255 bits of the canonical representative of a field element, lowest first.
///
/// The bits are compared with `r - 1`, the largest canonical number, from the top. `equal` says
/// whether all one-bits of `r - 1` so far are ones in the number too; where `r - 1` has a zero, the
/// number must have a zero if `equal`. (A zero where `r - 1` has a one ends the comparison: the
/// number is smaller.) A zero of `r - 1` costs nothing beyond the bit, see [`bit_not_with`]; a run
/// of ones costs one constraint a bit, or two in all. 324 constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn canonical_bits<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    number: &Expression,
) -> Result<Vec<Bit>, SynthesisError> {
    canonical_from(cs, number, &value_bits(number.value(), 255))
}

/// [`canonical_bits`] with the bits that the prover claims.
fn canonical_from<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    number: &Expression,
    values: &[Option<bool>],
) -> Result<Vec<Bit>, SynthesisError> {
    let mut largest: Vec<bool> = (-Fr::one()).to_le_bits().into_iter().take(255).collect();
    largest.reverse();
    let mut bits = Vec::with_capacity(255);
    let mut equal = Bit::constant(true);
    let mut run = Vec::new();
    for (place, expect_one) in largest.into_iter().enumerate() {
        let index = 254 - place;
        let mut cs = cs.namespace(|| format!("bit{index}"));
        let bit = if expect_one {
            let bit = Bit::witness(&mut cs, "bit", values[index])?;
            run.push(bit.clone());
            bit
        } else {
            if !run.is_empty() {
                run.push(equal);
                equal = all(&mut cs, &std::mem::take(&mut run))?;
            }
            bit_not_with(&mut cs, values[index], &equal)?
        };
        bits.push(bit);
    }
    // The lowest bit of r - 1 is zero (r is odd), so no run is left over.
    debug_assert!(run.is_empty());
    bits.reverse();
    Expression::enforce_equal(cs, "recomposed", &Expression::from_bits(&bits), number);
    Ok(bits)
}

/// Allocates a bit that must be zero if `equal` is one: `b * (1 - equal - b) = 0`, whose solutions
/// are zero and `1 - equal`. One constraint for both conditions.
fn bit_not_with<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    bit: Option<bool>,
    equal: &Bit,
) -> Result<Bit, SynthesisError> {
    let value = bit.map(|bit| Fr::from(u64::from(bit)));
    let bit = Expression::witness(cs, "bit", value)?;
    let other = equal.not().expression() - &bit;
    Expression::enforce_product(cs, "bit", &other, &bit, &Expression::zero());
    Ok(Bit::assumed(bit))
}

/// Whether all bits are one: `n - 1` constraints for up to three bits, otherwise two.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn all<CS: ConstraintSystem<Fr>>(cs: &mut CS, bits: &[Bit]) -> Result<Bit, SynthesisError> {
    match bits {
        [] => Ok(Bit::constant(true)),
        [bit] => Ok(bit.clone()),
        [a, b] => Bit::and(cs, "all", a, b),
        [a, b, c] => {
            let first = Bit::and(cs, "first two", a, b)?;
            Bit::and(cs, "all", &first, c)
        }
        many => {
            // The number of zeros is below the modulus, so it is zero only if no bit is.
            let count = Expression::constant(Fr::from(many.len() as u64));
            let zeros = &count - &Expression::sum(many.iter().map(Bit::expression));
            is_zero(cs, &zeros)
        }
    }
}

/// Checks that `a < 2^bits`, `b < 2^bits` give `a >= b`, and returns the bits of `a - b`.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn enforce_at_least<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    a: &Expression,
    b: &Expression,
    bits: usize,
) -> Result<Vec<Bit>, SynthesisError> {
    assert!(bits <= 252, "differences of both signs must stay apart");
    to_bits(cs, &(a - b), bits)
}

/// Whether `a >= b` for `a, b < 2^bits`: `bits + 2` constraints.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn at_least<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    a: &Expression,
    b: &Expression,
    bits: usize,
) -> Result<Bit, SynthesisError> {
    assert!(bits <= 252, "differences of both signs must stay apart");
    // a - b + 2^bits lies in 1 .. 2^(bits + 1), and its top bit says which is larger.
    let offset = Fr::from(2).pow_vartime(&[bits as u64, 0, 0, 0]);
    let mut shifted = to_bits(cs, &(&(a - b) + offset), bits + 1)?;
    Ok(shifted.pop().expect("there is at least one bit"))
}

#[cfg(test)]
mod tests;
