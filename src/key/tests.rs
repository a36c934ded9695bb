use super::*;

fn signer() -> SecretKey {
    SecretKey::from_seed(b"a seed for tests, thirty-two bytes")
}

#[test]
fn a_signature_verifies_and_is_deterministic() {
    let key = signer();
    for message in 0..20 {
        let m = Fr::from(message);
        let signature = sign(&key, m);
        assert_eq!(signature, sign(&key, m));
        assert_eq!(verify(&key.public(), m, &signature), Ok(()));
    }
    assert_ne!(sign(&key, Fr::one()).r, sign(&key, Fr::zero()).r);
}

/// Pins seed derivation, base point, nonce, challenge and encodings.
#[test]
fn known_signature() {
    let key = signer();
    assert_eq!(
        hex::encode(key.public().to_bytes()),
        "4feaa47c79b94c97884993a9b93b95b060e049358f06f59b83caa1db282aa465"
    );
    assert_eq!(
        hex::encode(sign(&key, Fr::from(7)).to_bytes()),
        "d6f8f2b011db2bc04d2c261fb8f9c855903ada6a2e69efbdec9ff0bc81b282ba0abdc1ed3362c4e144715d49de41b6b7a386f720e143656acc3978cf253bed0d"
    );
    assert_eq!(
        hex::encode(pub_key_hash(&key.public())),
        "6f68cdf69d4e5052c701f20d0e59cbc9f0ea3001"
    );
}

#[test]
fn another_message_or_key_is_refused() {
    let key = signer();
    let signature = sign(&key, Fr::from(5));
    let other = SecretKey::from_seed(b"another seed").public();
    assert_eq!(verify(&key.public(), Fr::from(6), &signature), Err(SignatureError::Mismatch));
    assert_eq!(verify(&other, Fr::from(5), &signature), Err(SignatureError::Mismatch));
}

#[test]
fn every_tampered_bit_is_refused() {
    let key = signer();
    let m = Fr::from(9);
    let bytes = sign(&key, m).to_bytes();
    for bit in 0..512 {
        let mut tampered = bytes;
        tampered[bit / 8] ^= 1 << (bit % 8);
        let signature = Signature::from_bytes(&tampered);
        assert!(verify(&key.public(), m, &signature).is_err(), "bit {bit}");
    }
}

#[test]
fn s_plus_the_order_is_refused() {
    let key = signer();
    let mut signature = sign(&key, Fr::from(11));
    let order_minus_one = (-Scalar::one()).to_bytes();
    let mut carry = 1u16;
    for (byte, add) in signature.s.iter_mut().zip(order_minus_one) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let refused = verify(&key.public(), Fr::from(11), &signature);
    assert_eq!(refused, Err(SignatureError::NonCanonicalResponse));
}

#[test]
fn non_canonical_commitments_are_refused() {
    let key = signer();
    let with_r = |r| verify(&key.public(), Fr::one(), &Signature { r, s: [0; 32] });
    // The identity and the point of order two with the sign bit set are second encodings.
    for point in [AffinePoint::identity(), base::small_order_points()[4]] {
        let mut encoding = point.to_bytes();
        encoding[31] |= 0x80;
        assert_eq!(with_r(encoding), Err(SignatureError::InvalidCommitment));
    }
    // So is a y that is not below the modulus: 1 plus the modulus.
    let mut beyond = (-Fr::one()).to_bytes();
    beyond[0] += 2;
    assert_eq!(with_r(beyond), Err(SignatureError::InvalidCommitment));
    assert_eq!(with_r([0xff; 32]), Err(SignatureError::InvalidCommitment));
}

/// Signs with a nonce and a commitment that are chosen, as no honest signer does.
pub(super) fn sign_with(key: &SecretKey, m: Fr, nonce: Scalar, shift: AffinePoint) -> Signature {
    let commitment = ExtendedPoint::from(base::base()) * nonce + ExtendedPoint::from(shift);
    let commitment = AffinePoint::from(commitment);
    let c = challenge(&commitment, &key.public(), m);
    let s = nonce + scalar_of(c) * key.scalar;
    Signature { r: commitment.to_bytes(), s: s.to_bytes() }
}

/// The equation has the cofactor: a part of small order in R does not matter, nor does a nonce of
/// zero (which reveals the key of whoever signed so).
#[test]
fn a_part_of_small_order_in_the_commitment_is_accepted() {
    let (key, m) = (signer(), Fr::from(3));
    for shift in base::small_order_points() {
        for nonce in [Scalar::from(123), Scalar::zero()] {
            let signature = sign_with(&key, m, nonce, shift);
            assert_eq!(verify(&key.public(), m, &signature), Ok(()));
        }
    }
}

/// The challenge covers the whole of R: nobody else can add a part of small order afterwards.
#[test]
fn a_commitment_cannot_be_shifted_after_signing() {
    let (key, m) = (signer(), Fr::from(3));
    let signature = sign(&key, m);
    let commitment = ExtendedPoint::from(signature.commitment().unwrap());
    for shift in &base::small_order_points()[1..] {
        let r = AffinePoint::from(commitment + ExtendedPoint::from(*shift)).to_bytes();
        let shifted = Signature { r, ..signature };
        assert_eq!(verify(&key.public(), m, &shifted), Err(SignatureError::Mismatch));
    }
    // Nor can R be taken for the point with the same x.
    let point = signature.commitment().unwrap();
    let mirrored = AffinePoint::from_raw_unchecked(point.get_u(), -point.get_v());
    let mirrored = Signature { r: mirrored.to_bytes(), ..signature };
    assert_eq!(verify(&key.public(), m, &mirrored), Err(SignatureError::Mismatch));
    let challenges = [signature, mirrored]
        .map(|signature| challenge(&signature.commitment().unwrap(), &key.public(), m));
    assert_ne!(challenges[0], challenges[1]);
}

#[test]
fn keys_are_checked() {
    let key = signer().public();
    let (x, y) = (key.x(), key.y());
    assert_eq!(PublicKey::from_coordinates(x, y), Ok(key));
    assert_eq!(PublicKey::from_bytes(key.to_bytes()), Ok(key));
    assert_eq!(PublicKey::from_coordinates(Fr::zero(), Fr::zero()), Err(KeyError::Unset));
    assert_eq!(PublicKey::from_coordinates(y, x), Err(KeyError::NotOnCurve));
    assert_eq!(PublicKey::from_coordinates(Fr::zero(), Fr::one()), Err(KeyError::NotPrimeOrder));
    // Both are on the curve, outside the subgroup: the key plus the point of order two, and its
    // mirror.
    assert_eq!(PublicKey::from_coordinates(-x, -y), Err(KeyError::NotPrimeOrder));
    assert_eq!(PublicKey::from_coordinates(x, -y), Err(KeyError::NotPrimeOrder));
    assert_eq!(PublicKey::from_bytes([0xff; 32]), Err(KeyError::NotOnCurve));
    let identity = AffinePoint::identity().to_bytes();
    assert_eq!(PublicKey::from_bytes(identity), Err(KeyError::NotPrimeOrder));
}

#[test]
fn the_negated_key_is_another_key() {
    let key = signer();
    let negated = PublicKey::from_coordinates(-key.public().x(), key.public().y()).unwrap();
    let signature = sign(&key, Fr::from(2));
    assert_eq!(verify(&negated, Fr::from(2), &signature), Err(SignatureError::Mismatch));
    assert_ne!(pub_key_hash(&negated), pub_key_hash(&key.public()));
}

#[test]
fn secret_keys_round_trip_and_stay_secret() {
    let key = signer();
    let again = SecretKey::from_bytes(&key.to_bytes()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(format!("{key:?}"), "SecretKey([redacted])");
    assert_eq!(SecretKey::from_bytes(&[0; 32]).unwrap_err(), KeyError::SecretOutOfRange);
    assert_eq!(SecretKey::from_bytes(&[0xff; 32]).unwrap_err(), KeyError::SecretOutOfRange);
}

#[test]
fn keys_and_signatures_travel_as_hexadecimal() {
    let key = signer();
    let signature = sign(&key, Fr::one());
    let text = serde_json::to_string(&(key.public(), signature)).unwrap();
    let (same_key, same_signature): (PublicKey, Signature) = serde_json::from_str(&text).unwrap();
    assert_eq!((same_key, same_signature), (key.public(), signature));
    assert!(serde_json::from_str::<PublicKey>("\"0x00\"").is_err());
    assert!(serde_json::from_str::<PublicKey>(&format!("\"{}\"", "f".repeat(64))).is_err());
    assert!(serde_json::from_str::<Signature>(&format!("\"{}\"", "0".repeat(127))).is_err());
}

#[test]
fn the_curve_constant_is_the_fraction() {
    assert_eq!(edwards_d() * Fr::from(10241), -Fr::from(10240));
}
