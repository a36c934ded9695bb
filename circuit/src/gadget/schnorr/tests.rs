use super::*;
use crate::gadget::fixture::{Fixture, NONE};
use jubjub::{ExtendedPoint, Scalar};
use zklink::key::base::{base, small_order_points};

fn signer() -> SecretKey {
    SecretKey::from_seed(b"signer of the circuit's tests")
}

fn run(key: (Fr, Fr), message: Fr, signature: &SignatureWitness, enabled: Bit) -> Fixture {
    let mut fixture = Fixture::new();
    let point = edwards::Point { x: fixture.given(key.0), y: fixture.given(key.1) };
    let message = fixture.given(message);
    verify(&mut fixture.cs, &point, &message, signature, &enabled).unwrap();
    fixture
}

fn run_with_flag(key: (Fr, Fr), message: Fr, signature: &SignatureWitness, flag: bool) -> Fixture {
    let mut fixture = Fixture::new();
    let point = edwards::Point { x: fixture.given(key.0), y: fixture.given(key.1) };
    let message = fixture.given(message);
    let enabled = fixture.given_bit(flag);
    verify(&mut fixture.cs, &point, &message, signature, &enabled).unwrap();
    fixture
}

fn coordinates(secret: &SecretKey) -> (Fr, Fr) {
    (secret.public().x(), secret.public().y())
}

fn witness(secret: &SecretKey, message: Fr) -> SignatureWitness {
    SignatureWitness::of(&key::sign(secret, message)).unwrap()
}

#[test]
fn signatures_of_the_node_pass() {
    let secret = signer();
    for message in 0..8u64 {
        let message = Fr::from(message);
        let signature = witness(&secret, message);
        let enabled = Bit::constant(true);
        let fixture = run(coordinates(&secret), message, &signature, enabled);
        assert_eq!(fixture.cs.first_failure(), None);
        assert_eq!(fixture.cost(), 2061);
        let fixture = run_with_flag(coordinates(&secret), message, &signature, true);
        assert_eq!(fixture.cs.first_failure(), None);
        assert_eq!(fixture.cost(), 2063);
    }
}

#[test]
fn no_variable_is_free() {
    let secret = signer();
    let message = Fr::from(99);
    let signature = witness(&secret, message);
    let mut fixture = run_with_flag(coordinates(&secret), message, &signature, true);
    // An inverse is free where a whole run of ones is met in the comparison with the modulus.
    let mut survivors = fixture.survivors();
    survivors.retain(|path| !path.ends_with("/inverse"));
    assert_eq!(survivors, NONE);
}

#[test]
fn another_message_key_or_response_is_refused() {
    let secret = signer();
    let message = Fr::from(5);
    let signature = witness(&secret, message);
    let failure = |fixture: Fixture| fixture.cs.first_failure().map(str::to_owned);
    let sum = |failure: Option<String>| failure.is_some_and(|path| path == "T/small order");
    let key = coordinates(&secret);
    assert!(sum(failure(run_with_flag(key, Fr::from(6), &signature, true))));
    let other = coordinates(&SecretKey::from_seed(b"other"));
    assert!(sum(failure(run_with_flag(other, message, &signature, true))));
    let mirrored = (-key.0, key.1);
    assert!(sum(failure(run_with_flag(mirrored, message, &signature, true))));
    let mut changed = signature;
    changed.response = signature.response.map(|mut s| {
        s[0] ^= 1;
        s
    });
    assert!(sum(failure(run_with_flag(key, message, &changed, true))));
    let mut changed = signature;
    changed.commitment = signature.commitment.map(|(x, y)| (-x, y));
    assert!(sum(failure(run_with_flag(key, message, &changed, true))));
}

/// A signature with a chosen nonce and a part of small order in its commitment.
fn shifted(secret: &SecretKey, message: Fr, nonce: Scalar, shift: AffinePoint) -> Signature {
    let commitment = ExtendedPoint::from(base()) * nonce + ExtendedPoint::from(shift);
    let commitment = AffinePoint::from(commitment);
    let mut factor = [0; 32];
    let challenge = key::challenge(&commitment, &secret.public(), message);
    factor[..16].copy_from_slice(&challenge.to_le_bytes());
    factor[16] = 1;
    let [factor, secret] = [factor, secret.to_bytes()].map(|of| Scalar::from_bytes(&of).unwrap());
    Signature { r: commitment.to_bytes(), s: (nonce + factor * secret).to_bytes() }
}

/// Alone, in a batch and here the same signatures pass.
#[test]
fn a_part_of_small_order_in_the_commitment_is_accepted_as_natively() {
    let (secret, message) = (signer(), Fr::from(12));
    let public = secret.public();
    let other = (public, Fr::from(13), key::sign(&secret, Fr::from(13)));
    for shift in small_order_points() {
        for nonce in [Scalar::from(123), Scalar::zero()] {
            let signature = shifted(&secret, message, nonce, shift);
            assert_eq!(key::verify(&public, message, &signature), Ok(()));
            let mut batch = [other; 20];
            batch[1] = (public, message, signature);
            assert_eq!(key::verify_batch(&batch), Ok(()));
            let witness = SignatureWitness::of(&signature).unwrap();
            let fixture = run_with_flag(coordinates(&secret), message, &witness, true);
            assert_eq!(fixture.cs.first_failure(), None);
        }
    }
}

/// The same for a part that is added after signing, and so changes the challenge.
#[test]
fn a_commitment_that_is_shifted_after_signing_is_refused_as_natively() {
    let (secret, message) = (signer(), Fr::from(12));
    let public = secret.public();
    let signed = key::sign(&secret, message);
    let commitment = ExtendedPoint::from(signed.commitment().unwrap());
    for shift in &small_order_points()[1..] {
        let r = AffinePoint::from(commitment + ExtendedPoint::from(*shift)).to_bytes();
        let signature = Signature { r, ..signed };
        let refused = key::SignatureError::Mismatch;
        assert_eq!(key::verify(&public, message, &signature), Err(refused));
        let other = (public, message, signed);
        let mut batch = [other; 20];
        batch[1] = (public, message, signature);
        assert_eq!(key::verify_batch(&batch), Err(vec![(1, refused)]));
        let witness = SignatureWitness::of(&signature).unwrap();
        let fixture = run_with_flag(coordinates(&secret), message, &witness, true);
        assert_eq!(fixture.cs.first_failure(), Some("T/small order"));
    }
}

/// A prover who writes another T, with all that belongs to it, is refused by the last sum.
#[test]
fn no_other_shift_makes_up_for_a_wrong_signature() {
    let secret = signer();
    let signature = witness(&secret, Fr::from(5));
    for (message, right) in [(5u64, true), (6, false)] {
        let mut fixture = run_with_flag(coordinates(&secret), Fr::from(message), &signature, true);
        for (index, shift) in small_order_points().into_iter().enumerate() {
            let (x, y) = (shift.get_u(), shift.get_v());
            fixture.cs.tamper("T/x", x);
            fixture.cs.tamper("T/y", y);
            fixture.cs.tamper("T/x y", x * y);
            fixture.cs.tamper("T/x y squared", (x * y).square());
            let failures = fixture.cs.failures();
            assert!(failures.iter().all(|path| path.starts_with("R/")), "{failures:?}");
            assert_eq!(failures.is_empty(), right && index == 0);
        }
    }
}

#[test]
fn an_idle_check_takes_the_dummy_signature_and_no_enabled_one_does() {
    let message = Fr::from(31);
    let dummy = SignatureWitness::dummy(message);
    for key in [(Fr::zero(), Fr::zero()), coordinates(&signer())] {
        let fixture = run_with_flag(key, message, &dummy, false);
        assert_eq!(fixture.cs.first_failure(), None);
        let fixture = run_with_flag(key, message, &dummy, true);
        assert!(!fixture.cs.is_satisfied());
    }
}

#[test]
fn an_account_without_a_key_cannot_sign() {
    let message = Fr::from(31);
    let fixture =
        run_with_flag((Fr::zero(), Fr::zero()), message, &SignatureWitness::dummy(message), true);
    assert_eq!(fixture.cs.first_failure(), Some("c A/montgomery/v"));
}

#[test]
fn the_ladder_agrees_with_the_curve_crate() {
    let point = AffinePoint::from(ExtendedPoint::from(base()) * Scalar::from(77));
    for c in [0u128, 1, 2, u128::MAX, 1 << 127, 0x1234_5678_9abc_def0_0fed_cba9_8765_4321] {
        let mut fixture = Fixture::new();
        let given =
            edwards::Point { x: fixture.given(point.get_u()), y: fixture.given(point.get_v()) };
        let scalar: Vec<Bit> =
            (0..128).map(|index| fixture.given_bit(c >> index & 1 == 1)).collect();
        let product = multiply_leading_one(&mut fixture.cs, &given, &scalar).unwrap();
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&c.to_le_bytes());
        bytes[16] = 1;
        let factor = Scalar::from_bytes(&bytes).unwrap();
        let expected = AffinePoint::from(ExtendedPoint::from(point) * factor);
        assert_eq!(product.value(), Some((expected.get_u(), expected.get_v())));
        assert_eq!(fixture.cost(), 781);
        assert_eq!(fixture.survivors(), NONE);
    }
}

/// The circuit without values, as the key generator sees it, is the one with values.
#[test]
fn the_system_does_not_depend_on_the_witness() {
    let secret = signer();
    let digests: Vec<[u8; 32]> = [1u64, 2]
        .map(|message| {
            let message = Fr::from(message);
            let signature = witness(&secret, message);
            run_with_flag(coordinates(&secret), message, &signature, true).cs.digest()
        })
        .into();
    assert_eq!(digests[0], digests[1]);
    let dummy = SignatureWitness::dummy(Fr::from(3));
    let idle = run_with_flag((Fr::zero(), Fr::zero()), Fr::from(3), &dummy, false);
    assert_eq!(idle.cs.digest(), digests[0]);
    // Pinned: keys made for another system do not fit.
    let pinned = "4b4a95868d9e14e0332300d463f226bce50728804a4b5d9d561c190c8b450439";
    assert_eq!(hex::encode(digests[0]), pinned);
}
