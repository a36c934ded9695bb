//! Keys and signatures of layer 2: Schnorr on Jubjub with a Poseidon2 challenge.
//!
//! Formats and reasons are in `docs/adr/0002-schnorr.md`. A signature of message `m` under key `A`
//! is `(R, s)` with `8*s*B == 8*R + 8*c*A` and `c = 2^128 +` the low 128 bits of
//! `compress4(Challenge, [R.x, A.x, m, R.y])`.

pub mod base;
mod batch;
#[cfg(target_arch = "x86_64")]
mod eight;

use std::fmt;
use std::io::{self, Read, Write};

use blake2::{Blake2b512, Digest};
use borsh::{BorshDeserialize, BorshSerialize};
use jubjub::{AffinePoint, ExtendedPoint, Scalar};
use serde::{Deserialize, Serialize};

use crate::binary;
use crate::hash::{Domain, Fr, compress4, fr_to_be_bytes, hash_many};

pub use batch::verify_batch;

const SEED_DOMAIN: &[u8] = b"zkLink/Schnorr/key/v1";
const NONCE_KEY_DOMAIN: &[u8] = b"zkLink/Schnorr/nonce-key/v1";
const NONCE_DOMAIN: &[u8] = b"zkLink/Schnorr/nonce/v1";

/// Why bytes or coordinates are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The coordinates (0, 0) stand for an account without a key.
    #[error("the account has no key: set one with ChangePubKey first")]
    Unset,
    /// The coordinates do not satisfy the curve equation, or the bytes do not encode a point.
    #[error("not a point of Jubjub: send the canonical 32-byte encoding of a public key")]
    NotOnCurve,
    /// The point is the identity, or has a component outside the prime-order subgroup.
    #[error("not of prime order: derive the public key from a secret key")]
    NotPrimeOrder,
    /// The bytes are zero or not smaller than the order of the subgroup.
    #[error("not a secret key: it is a number from 1 to the order of the subgroup, exclusive")]
    SecretOutOfRange,
    /// The text is not hexadecimal of the right length.
    #[error("not hexadecimal of the expected length (keys have 32 bytes, signatures 64)")]
    Text,
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `s` is not smaller than the order of the subgroup.
    #[error("s is not canonical: reduce it modulo the order of the subgroup")]
    NonCanonicalResponse,
    /// `R` is not the canonical encoding of a point.
    #[error("R is not the canonical encoding of a point of Jubjub")]
    InvalidCommitment,
    /// The equation does not hold.
    #[error("the signature is not one of this message by this key: check nonce, fields and key")]
    Mismatch,
}

/// A secret key: a non-zero scalar of the prime-order subgroup.
///
/// The scalar is overwritten when the key is dropped, as far as safe code can promise that.
#[derive(Clone)]
pub struct SecretKey {
    scalar: Scalar,
}

impl SecretKey {
    /// Derives a key from `seed`, which must carry at least 32 bytes of entropy, or from the
    /// wallet's signature over a fixed text.
    #[must_use]
    pub fn from_seed(seed: &[u8]) -> Self {
        // A zero scalar never comes up; the counter makes the function total all the same.
        let scalar = (0u8..=u8::MAX)
            .map(|counter| wide_hash(SEED_DOMAIN, &[&[counter], seed]))
            .find(|scalar| *scalar != Scalar::zero())
            .expect("256 wide hashes in a row are never zero");
        Self { scalar }
    }

    /// Reads a secret key, 32 bytes little-endian.
    ///
    /// # Errors
    /// [`KeyError::SecretOutOfRange`] when the number is zero or not below the subgroup's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Scalar::from_bytes(bytes)
            .into_option()
            .filter(|scalar| *scalar != Scalar::zero())
            .map(|scalar| Self { scalar })
            .ok_or(KeyError::SecretOutOfRange)
    }

    /// The secret number, 32 bytes little-endian. Keep it off logs and disks.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.scalar.to_bytes()
    }

    /// The public key `a*B`.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let point = ExtendedPoint::from(base::base()) * self.scalar;
        PublicKey { point: AffinePoint::from(point) }
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.scalar = Scalar::zero();
        // The black box keeps the compiler from removing the store as dead.
        std::hint::black_box(&mut self.scalar);
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretKey([redacted])")
    }
}

/// A public key: a point of the prime-order subgroup of Jubjub that is not the identity.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    point: AffinePoint,
}

impl PublicKey {
    /// Reads affine coordinates that come from outside, with all checks.
    ///
    /// # Errors
    /// A [`KeyError`] that says which check failed.
    pub fn from_coordinates(x: Fr, y: Fr) -> Result<Self, KeyError> {
        let key = Self::from_state(x, y)?;
        if bool::from(ExtendedPoint::from(key.point).is_torsion_free()) {
            Ok(key)
        } else {
            Err(KeyError::NotPrimeOrder)
        }
    }

    /// Reads coordinates from an account of the state, without the costly check of the order: no
    /// key enters the state unless [`Self::from_coordinates`] and the circuit accepted it.
    ///
    /// # Errors
    /// [`KeyError::Unset`] for an account without a key; other errors mean that the state is
    /// corrupt.
    pub fn from_state(x: Fr, y: Fr) -> Result<Self, KeyError> {
        if x == Fr::zero() && y == Fr::zero() {
            return Err(KeyError::Unset);
        }
        if !is_on_curve(x, y) {
            return Err(KeyError::NotOnCurve);
        }
        if x == Fr::zero() {
            // Only the identity and the point of order two have a zero x.
            return Err(KeyError::NotPrimeOrder);
        }
        Ok(Self { point: AffinePoint::from_raw_unchecked(x, y) })
    }

    /// Reads the compressed encoding: y little-endian, the lowest bit of x in the highest bit.
    ///
    /// # Errors
    /// A [`KeyError`] that says which check failed.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let point = AffinePoint::from_bytes(bytes).into_option().ok_or(KeyError::NotOnCurve)?;
        Self::from_coordinates(point.get_u(), point.get_v())
    }

    /// The compressed encoding.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.point.to_bytes()
    }

    /// The affine x.
    #[must_use]
    pub fn x(&self) -> Fr {
        self.point.get_u()
    }

    /// The affine y.
    #[must_use]
    pub fn y(&self) -> Fr {
        self.point.get_v()
    }

    /// The key as a point of the curve crate.
    #[must_use]
    pub fn point(&self) -> AffinePoint {
        self.point
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", hex::encode(self.to_bytes()))
    }
}

/// The compressed encoding; reading it makes all checks.
impl BorshSerialize for PublicKey {
    fn serialize<W: Write>(&self, to: &mut W) -> io::Result<()> {
        to.write_all(&self.to_bytes())
    }
}

impl BorshDeserialize for PublicKey {
    fn deserialize_reader<R: Read>(from: &mut R) -> io::Result<Self> {
        let bytes = <[u8; 32]>::deserialize_reader(from)?;
        Self::from_bytes(bytes).map_err(|error| binary::malformed(&error.to_string()))
    }
}

/// The form of a key of an account that is kept: both coordinates, so that reading costs no square root. The order of
/// the point is not checked again, as [`PublicKey::from_state`] says.
pub mod kept {
    use std::io::{Read, Result, Write};

    use borsh::{BorshDeserialize, BorshSerialize};

    use super::PublicKey;
    use crate::binary::{element, malformed};

    /// Writes a key, if there is one.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn serialize<W: Write>(key: &Option<PublicKey>, to: &mut W) -> Result<()> {
        key.is_some().serialize(to)?;
        if let Some(key) = key {
            element::serialize(&key.x(), to)?;
            element::serialize(&key.y(), to)?;
        }
        Ok(())
    }

    /// Reads what [`serialize`] wrote.
    ///
    /// # Errors
    /// Those of the reader, and a point that is not on the curve.
    pub fn deserialize<R: Read>(from: &mut R) -> Result<Option<PublicKey>> {
        if !bool::deserialize_reader(from)? {
            return Ok(None);
        }
        let (x, y) = (element::deserialize(from)?, element::deserialize(from)?);
        let key = PublicKey::from_state(x, y);
        key.map(Some).map_err(|error| malformed(&error.to_string()))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        format!("0x{}", hex::encode(key.to_bytes()))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::from_bytes(bytes_of_text(&text)?)
    }
}

/// The compressed encoding of a public key, which nobody has looked into: what a transaction names. A key that the
/// state knows is recognised by its bytes, which no other key has, and spares finding its point again.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackedKey(pub [u8; 32]);

impl PackedKey {
    /// The key, with all checks.
    ///
    /// # Errors
    /// As [`PublicKey::from_bytes`].
    pub fn unpack(self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(self.0)
    }
}

impl From<&PublicKey> for PackedKey {
    fn from(key: &PublicKey) -> Self {
        Self(key.to_bytes())
    }
}

impl fmt::Debug for PackedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PackedKey({})", hex::encode(self.0))
    }
}

impl From<PackedKey> for String {
    fn from(key: PackedKey) -> Self {
        format!("0x{}", hex::encode(key.0))
    }
}

impl TryFrom<String> for PackedKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        bytes_of_text(&text).map(Self)
    }
}

/// A signature as it travels: whether it is one shows only in [`verify`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Signature {
    /// The commitment `R`, a compressed point.
    pub r: [u8; 32],
    /// The response `s`, little-endian.
    pub s: [u8; 32],
}

impl Signature {
    /// `R ‖ s`.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// Splits `R ‖ s`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut signature = Self { r: [0; 32], s: [0; 32] };
        signature.r.copy_from_slice(&bytes[..32]);
        signature.s.copy_from_slice(&bytes[32..]);
        signature
    }

    /// The commitment `R` as a point, of whatever order.
    ///
    /// # Errors
    /// [`SignatureError::InvalidCommitment`] when the bytes are not the canonical encoding of a
    /// point.
    pub fn commitment(&self) -> Result<AffinePoint, SignatureError> {
        AffinePoint::from_bytes(self.r).into_option().ok_or(SignatureError::InvalidCommitment)
    }

    /// The response `s` as a scalar.
    ///
    /// # Errors
    /// [`SignatureError::NonCanonicalResponse`] when it is not below the order of the subgroup.
    pub fn response(&self) -> Result<Scalar, SignatureError> {
        Scalar::from_bytes(&self.s).into_option().ok_or(SignatureError::NonCanonicalResponse)
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        format!("0x{}", hex::encode(signature.to_bytes()))
    }
}

impl TryFrom<String> for Signature {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        bytes_of_text(&text).map(|bytes| Self::from_bytes(&bytes))
    }
}

/// Signs message `m`. The nonce is a function of key and message, so no randomness is needed.
#[must_use]
pub fn sign(key: &SecretKey, m: Fr) -> Signature {
    let nonce_key =
        Blake2b512::new().chain_update(NONCE_KEY_DOMAIN).chain_update(key.to_bytes()).finalize();
    let nonce = wide_hash(NONCE_DOMAIN, &[&nonce_key, &m.to_bytes()]);
    let commitment = AffinePoint::from(ExtendedPoint::from(base::base()) * nonce);
    let c = challenge(&commitment, &key.public(), m);
    let response = nonce + scalar_of(c) * key.scalar;
    Signature { r: commitment.to_bytes(), s: response.to_bytes() }
}

/// Checks that `signature` is one of message `m` by `key`.
///
/// # Errors
/// A [`SignatureError`] that says what is wrong.
pub fn verify(key: &PublicKey, m: Fr, signature: &Signature) -> Result<(), SignatureError> {
    signature.response()?;
    let commitment = signature.commitment()?;
    let c = challenge(&commitment, key, m);
    check_equation(key, &commitment, c, &signature.s)
}

/// `8 * (s*B - c*A - R) == 0` for the canonical `s`. [`verify_batch`] and the circuit have the
/// cofactor as well, so that all three accept the same signatures.
fn check_equation(
    key: &PublicKey,
    commitment: &AffinePoint,
    c: u128,
    s: &[u8; 32],
) -> Result<(), SignatureError> {
    let product = base::multiply_leading_one(&ExtendedPoint::from(key.point), c);
    let difference = base::multiply_base(s) - product - ExtendedPoint::from(*commitment);
    if bool::from(difference.is_small_order()) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

/// The low 128 bits of `compress4(Challenge, [R.x, A.x, m, R.y])`.
///
/// The factor of the key is this number plus 2^128: with a leading one the circuit multiplies
/// without exceptional cases.
#[must_use]
pub fn challenge(commitment: &AffinePoint, key: &PublicKey, m: Fr) -> u128 {
    low_bits(compress4(Domain::Challenge, challenge_lanes(commitment, key, m)))
}

fn challenge_lanes(commitment: &AffinePoint, key: &PublicKey, m: Fr) -> [Fr; 4] {
    [commitment.get_u(), key.x(), m, commitment.get_v()]
}

fn low_bits(digest: Fr) -> u128 {
    let mut low = [0; 16];
    low.copy_from_slice(&digest.to_bytes()[..16]);
    u128::from_le_bytes(low)
}

/// What people compare on a screen: the last 20 bytes of `hash_many(PublicKey, [x, y])`, big-endian.
#[must_use]
pub fn pub_key_hash(key: &PublicKey) -> [u8; 20] {
    let digest = fr_to_be_bytes(hash_many(Domain::PublicKey, &[key.x(), key.y()]));
    let mut hash = [0; 20];
    hash.copy_from_slice(&digest[12..]);
    hash
}

/// The curve equation `-x^2 + y^2 = 1 + d x^2 y^2`.
fn is_on_curve(x: Fr, y: Fr) -> bool {
    let (x2, y2) = (x.square(), y.square());
    y2 - x2 == Fr::one() + edwards_d() * x2 * y2
}

/// The constant `d = -10240/10241` of Jubjub.
#[must_use]
pub fn edwards_d() -> Fr {
    const D: Fr = Fr::from_raw([
        0x0106_5fd6_d634_3eb1,
        0x292d_7f6d_3757_9d26,
        0xf5fd_9207_e6bd_7fd4,
        0x2a93_18e7_4bfa_2b48,
    ]);
    D
}

/// The factor `2^128 + c` of the key.
fn scalar_of(c: u128) -> Scalar {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&c.to_le_bytes());
    bytes[16] = 1;
    Scalar::from_bytes(&bytes).expect("129 bits are below the order of the subgroup")
}

/// Hashes length-free parts after a domain to a uniform scalar: the last part alone varies in
/// length.
fn wide_hash(domain: &[u8], parts: &[&[u8]]) -> Scalar {
    let hasher = parts
        .iter()
        .fold(Blake2b512::new().chain_update(domain), |hasher, part| hasher.chain_update(part));
    let mut wide = [0; 64];
    wide.copy_from_slice(&hasher.finalize());
    Scalar::from_bytes_wide(&wide)
}

fn bytes_of_text<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyError::Text)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
