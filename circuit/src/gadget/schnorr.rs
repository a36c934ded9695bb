//! Checking a Schnorr signature: `8 s B = 8 R + 8 c A`, with `c = 2^128 +` the low 128 bits of
//! `compress4(Challenge, [R.x, A.x, m, R.y])`. See `docs/adr/0002-schnorr.md`.
//!
//! | part | constraints |
//! |---|---|
//! | key or dummy key | 2 |
//! | challenge: hash, canonical bits | 264 + 324 |
//! | `s B` with the bits of `s` | 676 |
//! | `c A` | 781 |
//! | `s B - c A` | 6 |
//! | `T`, a point with `8 T = 0` | 4 |
//! | `s B - c A + T = R` | 6 |
//!
//! There is such a `T` just when the equation holds with the cofactor; to find it is cheaper
//! than eight times a point. `R` is the output of the last addition, so it needs no check of its own:
//! a sum of points of the curve is one, and the addition law is complete.

use bellman::{ConstraintSystem, SynthesisError};
use jubjub::AffinePoint;
use zklink::hash::{Domain, Fr};
use zklink::key::{self, SecretKey, Signature, SignatureError};

use super::{Bit, Expression, bits, edwards, fixed_base, montgomery, poseidon2};

/// A signature as a witness; without values while keys are made.
#[derive(Clone, Copy, Debug)]
pub struct SignatureWitness {
    commitment: Option<(Fr, Fr)>,
    response: Option<[u8; 32]>,
}

impl SignatureWitness {
    /// No values, for making keys.
    #[must_use]
    pub fn absent() -> Self {
        Self { commitment: None, response: None }
    }

    /// The witness of a signature.
    ///
    /// # Errors
    /// A [`SignatureError`] when the encoding of R or s is not canonical. Whether the signature fits a message is
    /// for the circuit to find out.
    pub fn of(signature: &Signature) -> Result<Self, SignatureError> {
        signature.response()?;
        let commitment = signature.commitment()?;
        Ok(Self {
            commitment: Some((commitment.get_u(), commitment.get_v())),
            response: Some(signature.s),
        })
    }

    /// The witness for a check that is not enabled: a signature by the dummy key, whose secret is
    /// one.
    ///
    /// `message` is what the circuit computes for the idle slot.
    #[must_use]
    pub fn dummy(message: Fr) -> Self {
        let mut one = [0; 32];
        one[0] = 1;
        let secret = SecretKey::from_bytes(&one).expect("one is a secret key");
        Self::of(&key::sign(&secret, message)).expect("an honest signature is canonical")
    }
}

/// Checks, if `enabled`, that `signature` is one of `message` by `key`: 2,063 constraints, two
/// fewer with a constant `enabled`.
///
/// `key` must be of prime order, or (0, 0): keys are checked when they enter the state. (0, 0), an
/// account without a key, makes the system unsatisfiable, see `montgomery::Point::of_edwards`.
///
/// When the check is not enabled, the key is the base point instead, whose secret key is one:
/// anybody can sign for it, so an idle slot is always satisfiable ([`SignatureWitness::dummy`]),
/// and nothing of the check itself is conditional. When it is enabled, the key is exactly `key`.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn verify<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    key: &edwards::Point,
    message: &Expression,
    signature: &SignatureWitness,
    enabled: &Bit,
) -> Result<(), SynthesisError> {
    let dummy = edwards::Point::constant(&zklink::key::base::base());
    let key = edwards::Point::select(&mut cs.namespace(|| "key"), enabled, key, &dummy)?;
    let mut commitment_cs = cs.namespace(|| "commitment");
    let commitment = edwards::Point::unchecked(&mut commitment_cs, signature.commitment)?;
    drop(commitment_cs);
    let lanes = [commitment.x.clone(), key.x.clone(), message.clone(), commitment.y.clone()];
    let digest =
        poseidon2::compress4(&mut cs.namespace(|| "challenge"), Domain::Challenge, &lanes)?;
    let digest_bits = bits::canonical_bits(&mut cs.namespace(|| "challenge bits"), &digest)?;
    let mut response_cs = cs.namespace(|| "s B");
    let response = fixed_base::multiply_base(&mut response_cs, signature.response.as_ref())?;
    drop(response_cs);
    let product = multiply_leading_one(&mut cs.namespace(|| "c A"), &key, &digest_bits[..128])?;
    let mut sum_cs = cs.namespace(|| "s B - c A");
    let sum = edwards::Point::add(&mut sum_cs, &response, &product.negated())?;
    drop(sum_cs);
    enforce_equal_up_to_small_order(cs, &sum, &commitment)
}

/// Checks that eight times `sum`, a point of the curve, is eight times `commitment`: 10 constraints.
fn enforce_equal_up_to_small_order<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    sum: &edwards::Point,
    commitment: &edwards::Point,
) -> Result<(), SynthesisError> {
    let shift = sum.negated().value().zip(commitment.value());
    let shift = shift.map(|(sum, commitment)| edwards::native_sum(commitment, sum));
    let shift = edwards::Point::of_small_order(&mut cs.namespace(|| "T"), shift)?;
    edwards::Point::enforce_sum(&mut cs.namespace(|| "R"), sum, &shift, commitment)
}

/// `(2^128 + c) * point` for a point of prime order and the 128 bits of `c`, lowest first: 781
/// constraints.
///
/// With `c = 2 t + c_0`, a ladder from `3 * point` over the 127 bits of `t`, each adding `±point`
/// to twice the sum, gives `3 * 2^127 + 2 t - (2^127 - 1) = 2^128 + 2 t + 1` times the point. If
/// `c_0` is zero, the point is taken away once.
///
/// No addition is exceptional: the sum is a multiple by k with `3 <= k < 2^129`, so `k`, `k ± 1`
/// and `2 k ± 1` are neither zero nor multiples of the order (252 bits): the sum meets neither
/// `±point` in the inner addition nor, in the outer one, `±` the inner sum.
fn multiply_leading_one<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    point: &edwards::Point,
    scalar: &[Bit],
) -> Result<edwards::Point, SynthesisError> {
    assert_eq!(scalar.len(), 128, "the loop below is for 128 bits");
    let base = montgomery::Point::of_edwards(&mut cs.namespace(|| "montgomery"), point)?;
    let twice = base.double(&mut cs.namespace(|| "twice"))?;
    let mut sum = montgomery::Point::add(&mut cs.namespace(|| "thrice"), &twice, &base)?;
    for (index, bit) in scalar.iter().enumerate().skip(1).rev() {
        let mut cs = cs.namespace(|| format!("bit{index}"));
        let twice_v = &base.v + &base.v;
        let v = &Expression::product(&mut cs, "signed v", &twice_v, bit.expression())? - &base.v;
        sum = sum.double_and_add(&mut cs, &montgomery::Point { u: base.u.clone(), v })?;
    }
    let odd = sum.to_edwards(&mut cs.namespace(|| "edwards"))?;
    let identity = edwards::Point::constant(&AffinePoint::identity());
    let mut parity_cs = cs.namespace(|| "parity");
    let surplus = edwards::Point::select(&mut parity_cs, &scalar[0], &identity, &point.negated())?;
    edwards::Point::add(&mut parity_cs, &odd, &surplus)
}

#[cfg(test)]
mod tests;
