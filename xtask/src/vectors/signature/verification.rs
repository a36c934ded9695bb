//! Signatures that a verifier must accept or refuse. Where it can be, all but one thing is right about what is
//! refused: a verifier without that one check accepts it.

use anyhow::{Result, ensure};
use jubjub::{AffinePoint, ExtendedPoint, Scalar};
use serde::Serialize;
use zklink::hash::{Domain, Fr, compress4};
use zklink::key::base::{base, small_order_points};
use zklink::key::{
    KeyError, PublicKey, SecretKey, Signature, SignatureError, sign, verify, verify_batch,
};

use super::super::{bytes, word};

/// The answer of a verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Accepted,
    /// The equation does not hold.
    Mismatch,
    /// s is not below the order of the subgroup.
    NonCanonicalResponse,
    /// R is not the canonical encoding of a point.
    InvalidCommitment,
    /// The coordinates (0, 0).
    KeyUnset,
    KeyNotOnCurve,
    KeyNotPrimeOrder,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Case {
    name: String,
    key_x: String,
    key_y: String,
    message: String,
    signature: String,
    answer: Answer,
}

/// The key as coordinates, the message, and the signature of a case.
struct Attempt {
    key: (Fr, Fr),
    message: Fr,
    signature: Signature,
}

impl Attempt {
    fn answer(&self) -> Answer {
        let key = match PublicKey::from_coordinates(self.key.0, self.key.1) {
            Ok(key) => key,
            Err(KeyError::Unset) => return Answer::KeyUnset,
            Err(KeyError::NotOnCurve) => return Answer::KeyNotOnCurve,
            Err(_) => return Answer::KeyNotPrimeOrder,
        };
        let alone = verify(&key, self.message, &self.signature);
        // Enough of them for a sum.
        let together = verify_batch(&[(key, self.message, self.signature); 20]);
        assert_eq!(alone.is_ok(), together.is_ok(), "alone and in a batch the answer is the same");
        match alone {
            Ok(()) => Answer::Accepted,
            Err(SignatureError::Mismatch) => Answer::Mismatch,
            Err(SignatureError::NonCanonicalResponse) => Answer::NonCanonicalResponse,
            Err(SignatureError::InvalidCommitment) => Answer::InvalidCommitment,
        }
    }

    fn case(&self, name: impl Into<String>, expected: Answer) -> Result<Case> {
        let (name, answer) = (name.into(), self.answer());
        ensure!(answer == expected, "{name}: {answer:?}, expected {expected:?}");
        Ok(Case {
            name,
            key_x: word(self.key.0),
            key_y: word(self.key.1),
            message: word(self.message),
            signature: bytes(&self.signature.to_bytes()),
            answer,
        })
    }
}

/// All cases, for the first of the secrets; the second is somebody else.
pub(super) fn cases(secrets: &[SecretKey; 2]) -> Result<Vec<Case>> {
    let mut cases = of_the_equation(secrets)?;
    cases.extend(of_small_order(&secrets[0])?);
    cases.extend(of_encodings(&secrets[0])?);
    cases.extend(of_keys(&secrets[0])?);
    Ok(cases)
}

const MESSAGE: u64 = 2026;

fn honest(secret: &SecretKey) -> Attempt {
    let message = Fr::from(MESSAGE);
    Attempt { key: coordinates(secret.public().point()), message, signature: sign(secret, message) }
}

fn of_the_equation(secrets: &[SecretKey; 2]) -> Result<Vec<Case>> {
    let [secret, other] = secrets;
    let mut message = honest(secret);
    message.message += Fr::one();
    let mut key = honest(secret);
    key.key = coordinates(other.public().point());
    let mut mirrored = honest(secret);
    mirrored.key.0 = -mirrored.key.0;
    let mut response = honest(secret);
    response.signature.s[0] ^= 1;
    Ok(vec![
        honest(secret).case("honest", Answer::Accepted)?,
        message.case("another message", Answer::Mismatch)?,
        key.case("another key", Answer::Mismatch)?,
        mirrored.case("the negated key", Answer::Mismatch)?,
        response.case("another s", Answer::Mismatch)?,
    ])
}

/// R with a part of small order: accepted when the challenge is that of this R, also when nothing else is left of R.
fn of_small_order(secret: &SecretKey) -> Result<Vec<Case>> {
    let key = secret.public().point();
    let mut cases = Vec::new();
    for (multiple, shift) in small_order_points().into_iter().enumerate() {
        let order = 8 / gcd(multiple, 8);
        for (nonce, what) in
            [(Scalar::from(123), "nonce B plus a point"), (Scalar::zero(), "a point")]
        {
            let attempt = chosen(secret, coordinates(key), nonce, shift);
            let name = format!("R is {what} of order {order}, multiple {multiple}");
            cases.push(attempt.case(name, Answer::Accepted)?);
        }
        if multiple > 0 {
            let mut attempt = honest(secret);
            let shifted =
                ExtendedPoint::from(attempt.signature.commitment()?) + ExtendedPoint::from(shift);
            attempt.signature.r = AffinePoint::from(shifted).to_bytes();
            let name = format!(
                "R is shifted after signing by a point of order {order}, multiple {multiple}"
            );
            cases.push(attempt.case(name, Answer::Mismatch)?);
        }
    }
    Ok(cases)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Second encodings of what the equation accepts.
fn of_encodings(secret: &SecretKey) -> Result<Vec<Case>> {
    let key = coordinates(secret.public().point());
    let mut response = honest(secret);
    response.signature.s = plus_the_order(response.signature.s);
    let mut largest = honest(secret);
    largest.signature.s = [0xff; 32];
    let mut cases = vec![
        response.case("s plus the order of the subgroup", Answer::NonCanonicalResponse)?,
        largest.case("s of 256 ones", Answer::NonCanonicalResponse)?,
    ];
    for (multiple, name) in [(0, "the identity"), (4, "the point of order two")] {
        let mut signed = chosen(secret, key, Scalar::zero(), small_order_points()[multiple]);
        signed.signature.r[31] |= 0x80;
        let name = format!("R is {name} with the sign of x set");
        cases.push(signed.case(name, Answer::InvalidCommitment)?);
    }
    let mut beyond = chosen(secret, key, Scalar::zero(), AffinePoint::identity());
    // One plus the modulus: the modulus less one, whose last byte is zero, plus two.
    beyond.signature.r = (-Fr::one()).to_bytes();
    beyond.signature.r[0] += 2;
    cases
        .push(beyond.case("R is the identity with y plus the modulus", Answer::InvalidCommitment)?);
    let mut off = honest(secret);
    while off.signature.commitment().is_ok() {
        off.signature.r[0] = off.signature.r[0].wrapping_add(1);
    }
    cases.push(off.case("R has a y of no point", Answer::InvalidCommitment)?);
    Ok(cases)
}

/// Keys that must not be used although the equation holds for them.
fn of_keys(secret: &SecretKey) -> Result<Vec<Case>> {
    let key = ExtendedPoint::from(secret.public().point());
    let mut cases = Vec::new();
    for multiple in [4, 2, 1] {
        let order = 8 / multiple;
        let shifted = key + ExtendedPoint::from(small_order_points()[multiple]);
        let shifted = coordinates(AffinePoint::from(shifted));
        let attempt = chosen(secret, shifted, Scalar::from(123), AffinePoint::identity());
        let name = format!("the key plus a point of order {order}");
        cases.push(attempt.case(name, Answer::KeyNotPrimeOrder)?);
    }
    // For these keys the challenge does not matter: c A is the identity, or nothing at all.
    let r = AffinePoint::from(ExtendedPoint::from(base()) * Scalar::from(123)).to_bytes();
    let signature = Signature { r, s: Scalar::from(123).to_bytes() };
    let message = Fr::from(MESSAGE);
    let (zero, one) = (Fr::zero(), Fr::one());
    let (x, y) = coordinates(secret.public().point());
    for (key, name, answer) in [
        ((zero, one), "the key is the identity", Answer::KeyNotPrimeOrder),
        ((zero, -one), "the key is the point of order two", Answer::KeyNotPrimeOrder),
        ((zero, zero), "the key is (0, 0), which means none", Answer::KeyUnset),
        ((y, x), "the key is not on the curve", Answer::KeyNotOnCurve),
    ] {
        cases.push(Attempt { key, message, signature }.case(name, answer)?);
    }
    Ok(cases)
}

/// Signs with a chosen nonce and a chosen part of small order in R, for a key that may have such a part too.
fn chosen(secret: &SecretKey, key: (Fr, Fr), nonce: Scalar, shift: AffinePoint) -> Attempt {
    let message = Fr::from(MESSAGE);
    let commitment = ExtendedPoint::from(base()) * nonce + ExtendedPoint::from(shift);
    let commitment = AffinePoint::from(commitment);
    let lanes = [commitment.get_u(), key.0, message, commitment.get_v()];
    let mut factor = compress4(Domain::Challenge, lanes).to_bytes();
    factor[16..].fill(0);
    factor[16] = 1;
    let [factor, secret] = [factor, secret.to_bytes()]
        .map(|number| Scalar::from_bytes(&number).into_option().expect("both are below the order"));
    let s = (nonce + factor * secret).to_bytes();
    Attempt { key, message, signature: Signature { r: commitment.to_bytes(), s } }
}

/// Adds the order of the subgroup to a number of 32 bytes little-endian.
fn plus_the_order(mut number: [u8; 32]) -> [u8; 32] {
    let order_minus_one = (-Scalar::one()).to_bytes();
    let mut carry = 1;
    for (byte, of) in number.iter_mut().zip(order_minus_one) {
        let sum = u16::from(*byte) + u16::from(of) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    number
}

fn coordinates(point: AffinePoint) -> (Fr, Fr) {
    (point.get_u(), point.get_v())
}
