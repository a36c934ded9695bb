use super::super::tests::sign_with;
use super::super::{SecretKey, challenge, sign, verify};
use super::*;

type Item = (PublicKey, Fr, Signature);

/// [`verify_batch`], whose two ways agree.
fn checked(items: &[Item]) -> Result<(), Wrong> {
    let result = verify_batch(items);
    let in_sum = wrong_in_sum(items);
    assert_eq!(result.clone().err().unwrap_or_default(), in_sum, "lanes and sum");
    result
}

fn secret(seed: usize) -> SecretKey {
    SecretKey::from_seed(&[seed as u8; 32])
}

/// Honest signatures by a few keys.
fn honest(count: usize) -> Vec<Item> {
    (0..count)
        .map(|place| {
            let (key, m) = (secret(place % 5), Fr::from(place as u64));
            (key.public(), m, sign(&key, m))
        })
        .collect()
}

/// What checking one by one says.
fn one_by_one(items: &[Item]) -> Result<(), Vec<(usize, SignatureError)>> {
    let wrong: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(place, (key, m, of))| verify(key, *m, of).err().map(|error| (place, error)))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

#[test]
fn honest_batches_of_every_size_pass() {
    let items = honest(70);
    for count in (0..=20).chain([33, 70]) {
        assert_eq!(checked(&items[..count]), Ok(()), "{count}");
        assert!(sum_holds(&items[..count]), "{count}");
    }
}

fn sum_holds(items: &[Item]) -> bool {
    difference_of(&equations(items)).is_small_order().into()
}

/// The equations of decodable signatures.
fn equations(items: &[Item]) -> Vec<Equation<'_>> {
    let seed = seed(items);
    items
        .iter()
        .enumerate()
        .map(|(place, (key, m, signature))| {
            let commitment = signature.commitment().unwrap();
            Equation {
                place,
                key,
                commitment,
                challenge: challenge(&commitment, key, *m),
                response: signature.response().unwrap(),
                coefficient: coefficient(&seed, place),
            }
        })
        .collect()
}

#[test]
fn wrong_signatures_are_found_wherever_they_are() {
    let good = honest(40);
    for place in 0..40 {
        let mut items = good.clone();
        items[place].1 += Fr::one();
        assert_eq!(checked(&items), Err(vec![(place, SignatureError::Mismatch)]));
    }
    let mut items = good;
    let one = |place| (place, SignatureError::Mismatch);
    (items[3].2, items[4].2) = (items[4].2, items[3].2);
    items[11].2.s = [0xff; 32];
    items[12].2.r = [0xff; 32];
    items[39].0 = secret(77).public();
    let response = (11, SignatureError::NonCanonicalResponse);
    let commitment = (12, SignatureError::InvalidCommitment);
    let wrong = vec![one(3), one(4), response, commitment, one(39)];
    assert_eq!(checked(&items), Err(wrong.clone()));
    assert_eq!(one_by_one(&items), Err(wrong));
    for (_, m, _) in &mut items {
        *m += Fr::one();
    }
    assert_eq!(checked(&items), one_by_one(&items));
}

/// With a sum without the cofactor every one of these would pass or fail by chance.
#[test]
fn parts_of_small_order_are_accepted_as_one_by_one() {
    let mut items = honest(30);
    for (place, shift) in base::small_order_points().into_iter().enumerate() {
        let (key, m) = (secret(9), Fr::from(7));
        let nonce = if place % 2 == 0 { Scalar::from(55) } else { Scalar::zero() };
        items[place + 3] = (key.public(), m, sign_with(&key, m, nonce, shift));
        assert_eq!(checked(&items), Ok(()));
        assert!(sum_holds(&items));
        assert_eq!(one_by_one(&items), Ok(()));
    }
}

/// Errors that cancel each other in a plain sum do not in one with coefficients.
#[test]
fn errors_do_not_cancel() {
    let mut items = honest(20);
    let shift = |s: [u8; 32], by: Scalar| (Scalar::from_bytes(&s).unwrap() + by).to_bytes();
    items[2].2.s = shift(items[2].2.s, Scalar::one());
    items[6].2.s = shift(items[6].2.s, -Scalar::one());
    assert!(!sum_holds(&items));
    let wrong = [2, 6].map(|place| (place, SignatureError::Mismatch));
    assert_eq!(checked(&items), Err(wrong.into()));
}

#[test]
fn coefficients_depend_on_every_part_of_every_signature() {
    let items = honest(4);
    let first = coefficient(&seed(&items), 0);
    let mut seen = vec![first, coefficient(&seed(&items), 1)];
    for change in 0..4 {
        let mut changed = items.clone();
        let (key, m, signature) = &mut changed[3];
        match change {
            0 => *key = secret(50).public(),
            1 => *m += Fr::one(),
            2 => signature.r[0] ^= 1,
            _ => signature.s[0] ^= 1,
        }
        seen.push(coefficient(&seed(&changed), 0));
    }
    for (index, coefficient) in seen.iter().enumerate() {
        assert!(!seen[..index].contains(coefficient), "{index}");
    }
}

#[test]
fn sums_of_multiples_agree_with_the_curve_crate() {
    let point = |n: u64| ExtendedPoint::from(base::base()) * Scalar::from(n + 1);
    for count in [0usize, 1, 2, 7, 40, 300] {
        let scalars: Vec<Scalar> = (0..count)
            .map(|n| match n {
                0 => -Scalar::one(),
                1 => Scalar::zero(),
                _ => Scalar::from_bytes_wide(&[n as u8; 64]),
            })
            .collect();
        let points = (0..count as u64).map(point);
        let expected = points
            .clone()
            .zip(&scalars)
            .fold(ExtendedPoint::identity(), |sum, (p, of)| sum + p * of);
        let multiples: Vec<_> = points
            .zip(&scalars)
            .map(|(point, of)| (AffinePoint::from(point).to_niels(), of.to_bytes()))
            .collect();
        assert_eq!(sum_of_multiples(&multiples), expected);
    }
}
