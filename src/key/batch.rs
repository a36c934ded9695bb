//! Many signatures at once: eight in the lanes of a vector where the processor has AVX-512 IFMA, elsewhere one sum of
//! multiples instead of one for each signature.
//!
//! With a coefficient `z_i` of 128 bits for each signature, the sum of `z_i` times the equations of
//! all is checked, with the cofactor:
//!
//! ```text
//! 8 * ((sum z_i s_i) B - sum z_i R_i - sum (z_i c_i) A_i) == 0
//! ```
//!
//! Every equation with the cofactor is one in the group of prime order, so a sum with a wrong one in
//! it is zero for one choice in 2^128 of its coefficient. Without the cofactor it would be
//! zero for every second choice where the error has order two. The coefficients are hashes of all
//! signatures together, so whoever makes the signatures does not know them before.

use std::collections::BTreeMap;

use blake2::{Blake2b512, Digest};
use jubjub::{AffineNielsPoint, AffinePoint, ExtendedPoint, Scalar};

use super::{
    PublicKey, Signature, SignatureError, base, challenge_lanes, check_equation, low_bits,
    scalar_of,
};
use crate::hash::{Domain, Fr, compress4_each};

const BATCH_DOMAIN: &[u8] = b"zkLink/Schnorr/batch/v1";

/// So many signatures and fewer are checked one by one: a sum over them costs no less.
const CHECKED_SINGLY: usize = 16;

/// What is wrong with the signatures of a batch, by their places in it, ascending.
type Wrong = Vec<(usize, SignatureError)>;

/// Checks many signatures together: each is one of message `m` by a key. Accepts exactly what
/// [`super::verify`] accepts, but for a chance of 2^-128 for each wrong signature.
///
/// In lanes a wrong signature is nothing to the others. In a sum it is found by halving the batch, which makes it
/// dearer than one by one once many are wrong (figures in `docs/adr/0002-schnorr.md`): callers who take signatures
/// from strangers bound the size of a batch, or who shares one.
///
/// # Errors
/// The places of the wrong signatures, ascending, each with what is wrong.
pub fn verify_batch(items: &[(PublicKey, Fr, Signature)]) -> Result<(), Wrong> {
    #[cfg(target_arch = "x86_64")]
    let wrong = if items.len() > 1 && crate::ifma::is_there() {
        wrong_in_lanes(items)
    } else {
        wrong_in_sum(items)
    };
    #[cfg(not(target_arch = "x86_64"))]
    let wrong = wrong_in_sum(items);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Checks eight at a time.
#[cfg(target_arch = "x86_64")]
fn wrong_in_lanes(items: &[(PublicKey, Fr, Signature)]) -> Wrong {
    use super::eight::{Equation, decode, hold};
    use crate::ifma::LANES;
    let mut wrong = Wrong::new();
    for (chunk, begin) in items.chunks(LANES).zip((0..).step_by(LANES)) {
        let of = |lane: usize| &chunk[lane.min(chunk.len() - 1)];
        let commitments = decode(&std::array::from_fn(|lane| of(lane).2.r));
        // Lanes that are not needed, and those of what is no point, check something else, and are not asked.
        let commitments = commitments.map(|point| point.ok_or(SignatureError::InvalidCommitment));
        let lanes: Vec<[Fr; 4]> = (0..LANES)
            .map(|lane| {
                let (key, m, _) = of(lane);
                challenge_lanes(&commitments[lane].unwrap_or(base::base()), key, *m)
            })
            .collect();
        let challenges = compress4_each(Domain::Challenge, &lanes);
        let held = hold(&std::array::from_fn(|lane| {
            let (key, _, signature) = of(lane);
            let commitment = commitments[lane].unwrap_or(base::base());
            let challenge = low_bits(challenges[lane]);
            Equation { key: key.point(), commitment, challenge, response: signature.s }
        }));
        for (lane, (_, _, signature)) in chunk.iter().enumerate() {
            let held = if held[lane] { Ok(()) } else { Err(SignatureError::Mismatch) };
            let result = signature.response().and(commitments[lane].map(drop)).and(held);
            wrong.extend(result.err().map(|error| (begin + lane, error)));
        }
    }
    wrong
}

/// Checks the sum of all.
fn wrong_in_sum(items: &[(PublicKey, Fr, Signature)]) -> Wrong {
    let mut wrong = Vec::new();
    let mut equations = Vec::with_capacity(items.len());
    let seed = seed(items);
    let commitments = AffinePoint::batch_from_bytes(items.iter().map(|(_, _, of)| of.r));
    let mut decoded = Vec::with_capacity(items.len());
    for ((place, (key, m, signature)), commitment) in items.iter().enumerate().zip(commitments) {
        let commitment = commitment.into_option().ok_or(SignatureError::InvalidCommitment);
        match signature.response().and_then(|response| Ok((response, commitment?))) {
            Err(error) => wrong.push((place, error)),
            Ok((response, commitment)) => decoded.push((place, key, *m, response, commitment)),
        }
    }
    let lanes = |(_, key, m, _, commitment): &(_, &PublicKey, _, _, _)| {
        challenge_lanes(commitment, key, *m)
    };
    let lanes: Vec<[Fr; 4]> = decoded.iter().map(lanes).collect();
    let challenges = compress4_each(Domain::Challenge, &lanes).into_iter().map(low_bits);
    for ((place, key, _, response, commitment), challenge) in decoded.into_iter().zip(challenges) {
        let coefficient = coefficient(&seed, place);
        equations.push(Equation { place, key, commitment, challenge, response, coefficient });
    }
    if equations.len() <= CHECKED_SINGLY {
        check_singly(&equations, &mut wrong);
    } else {
        find_wrong(&equations, difference_of(&equations), &mut wrong);
    }
    wrong.sort_by_key(|(place, _)| *place);
    wrong
}

/// What is left of a signature to check once its parts are decoded.
struct Equation<'a> {
    place: usize,
    key: &'a PublicKey,
    commitment: AffinePoint,
    challenge: u128,
    response: Scalar,
    /// A random number of 128 bits.
    coefficient: u128,
}

fn seed(items: &[(PublicKey, Fr, Signature)]) -> [u8; 64] {
    let mut hasher = Blake2b512::new().chain_update(BATCH_DOMAIN);
    for (key, m, signature) in items {
        hasher.update(key.to_bytes());
        hasher.update(m.to_bytes());
        hasher.update(signature.to_bytes());
    }
    hasher.finalize().into()
}

fn coefficient(seed: &[u8; 64], place: usize) -> u128 {
    let place = (place as u64).to_le_bytes();
    let digest = Blake2b512::new().chain_update(seed).chain_update(place).finalize();
    let mut low = [0; 16];
    low.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(low)
}

/// Halves equations whose sum is `difference` until the sum is right or few are left.
fn find_wrong(
    equations: &[Equation<'_>],
    difference: ExtendedPoint,
    wrong: &mut Vec<(usize, SignatureError)>,
) {
    if bool::from(difference.is_small_order()) {
        return;
    }
    if equations.len() <= CHECKED_SINGLY {
        check_singly(equations, wrong);
        return;
    }
    let (left, right) = equations.split_at(equations.len() / 2);
    // The sum of the right half is what is left of the whole.
    let of_left = difference_of(left);
    find_wrong(left, of_left, wrong);
    find_wrong(right, difference - of_left, wrong);
}

fn check_singly(equations: &[Equation<'_>], wrong: &mut Vec<(usize, SignatureError)>) {
    for Equation { place, key, commitment, challenge, response, .. } in equations {
        let checked = check_equation(key, commitment, *challenge, &response.to_bytes());
        wrong.extend(checked.err().map(|error| (*place, error)));
    }
}

/// `(sum z_i s_i) B - sum z_i R_i - sum (z_i c_i) A_i`: of small order if all equations hold.
fn difference_of(equations: &[Equation<'_>]) -> ExtendedPoint {
    let mut response = Scalar::zero();
    let mut multiples = Vec::with_capacity(2 * equations.len());
    // Signatures by one key share its multiple.
    let mut of_keys: BTreeMap<[u8; 32], (AffinePoint, Scalar)> = BTreeMap::new();
    for equation in equations {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&equation.coefficient.to_le_bytes());
        let coefficient = Scalar::from_bytes(&bytes).expect("128 bits are below the order");
        response += coefficient * equation.response;
        multiples.push((equation.commitment.to_niels(), bytes));
        let key = equation.key.point();
        let start = || (key, Scalar::zero());
        let (_, factor) = of_keys.entry(key.to_bytes()).or_insert_with(start);
        *factor += coefficient * scalar_of(equation.challenge);
    }
    multiples.extend(of_keys.values().map(|(key, factor)| (key.to_niels(), factor.to_bytes())));
    base::multiply_base(&response.to_bytes()) - sum_of_multiples(&multiples)
}

/// The bits of a number: scalars are below the order of the subgroup.
const BITS: usize = 252;

/// The sum of `number * point`, numbers being 32 bytes little-endian: Pippenger's method, in variable
/// time.
fn sum_of_multiples(multiples: &[(AffineNielsPoint, [u8; 32])]) -> ExtendedPoint {
    let width = window_width(multiples.len());
    let mut buckets = vec![ExtendedPoint::identity(); (1 << width) - 1];
    (0..BITS.div_ceil(width)).rev().fold(ExtendedPoint::identity(), |higher, window| {
        let shifted = (0..width).fold(higher, |point, _| point.double());
        shifted + window_sum(multiples, window * width, &mut buckets)
    })
}

/// The sum of `digit * point` over one window of bits. Leaves the buckets empty.
fn window_sum(
    multiples: &[(AffineNielsPoint, [u8; 32])],
    low: usize,
    buckets: &mut [ExtendedPoint],
) -> ExtendedPoint {
    for (point, number) in multiples {
        let digit = digit(number, low, buckets.len());
        if digit != 0 {
            buckets[digit - 1] += *point;
        }
    }
    // From the highest bucket down, the running sum is added once for each place below it.
    let (mut running, mut sum) = (ExtendedPoint::identity(), ExtendedPoint::identity());
    for bucket in buckets.iter_mut().rev() {
        running += std::mem::replace(bucket, ExtendedPoint::identity());
        sum += running;
    }
    sum
}

/// The bits of `number` from `low` on, under a mask of ones; at most 16.
fn digit(number: &[u8; 32], low: usize, mask: usize) -> usize {
    let byte = |index: usize| usize::from(number.get(index).copied().unwrap_or(0));
    let word = byte(low / 8) | byte(low / 8 + 1) << 8 | byte(low / 8 + 2) << 16;
    word >> (low % 8) & mask
}

/// The width that costs least: a window takes an addition for each point and two for each bucket.
fn window_width(points: usize) -> usize {
    let cost = |width: &usize| BITS.div_ceil(*width) * (points + (2 << *width));
    (2..=12).min_by_key(cost).expect("the range is not empty")
}

#[cfg(test)]
mod tests;
