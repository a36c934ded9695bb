//! The base point of the signatures, and fast multiplication of public points.
//!
//! Nothing here runs in constant time: use it for public data only.

use std::sync::LazyLock;

use blake2::{Blake2b512, Digest};
use jubjub::{AffineNielsPoint, AffinePoint, ExtendedNielsPoint, ExtendedPoint};

use crate::hash::Fr;

/// Domain string of the base point.
pub const BASE_DOMAIN: &[u8] = b"zkLink/Schnorr/base/v1";

/// The base point `B` as the curve crate's type.
#[must_use]
pub fn base() -> AffinePoint {
    const X: Fr = Fr::from_raw([
        0x7061_679b_8138_d317,
        0xc812_d317_32c4_4ce9,
        0xd325_fbca_37c7_8053,
        0x356b_8d6e_d5d6_c1fd,
    ]);
    const Y: Fr = Fr::from_raw([
        0xb7de_d7be_d439_a3a7,
        0x57b3_eb37_ef5d_1f1a,
        0x2b12_4d2b_da80_64e5,
        0x10ee_3801_6c44_70d5,
    ]);
    // The constants are the output of `derive_base`; a test derives them again.
    AffinePoint::from_raw_unchecked(X, Y)
}

/// Derives the base point: nobody knows its discrete logarithm to any other base.
///
/// For counter = 0, 1, ..: the first 32 bytes of `blake2b-512(domain ‖ counter as 4 bytes
/// little-endian)` are read as a compressed point. The first that decodes, times the cofactor 8, is
/// the base point, unless that product is the identity.
#[must_use]
pub fn derive_base() -> AffinePoint {
    candidates()
        .map(|candidate| candidate.mul_by_cofactor())
        .find(|point| !bool::from(point.is_identity()))
        .map(AffinePoint::from)
        .expect("half of all encodings are points")
}

/// The points of the curve that the recipe of [`derive_base`] meets, in order.
fn candidates() -> impl Iterator<Item = AffinePoint> {
    (0u32..).filter_map(|counter| {
        let digest = Blake2b512::new()
            .chain_update(BASE_DOMAIN)
            .chain_update(counter.to_le_bytes())
            .finalize();
        let mut encoding = [0; 32];
        encoding.copy_from_slice(&digest[..32]);
        AffinePoint::from_bytes(encoding).into_option()
    })
}

/// The eight points whose order divides the cofactor: multiple `i` of a point of order eight.
///
/// Tests and vectors add them to honest points. That point is the first candidate of [`derive_base`]
/// that has such a part, times the order of the subgroup.
#[cfg(any(test, feature = "fixtures"))]
#[must_use]
pub fn small_order_points() -> [AffinePoint; 8] {
    let mut order = (-jubjub::Scalar::one()).to_bytes();
    // The order is odd, so that adding one to its last byte less one carries nothing.
    order[0] += 1;
    let generator = candidates()
        .map(|point| point.to_niels().multiply_bits(&order))
        .find(|point| !bool::from(point.double().double().is_identity()))
        .expect("half of all points have a component of order eight");
    let mut multiple = ExtendedPoint::identity();
    [(); 8].map(|()| {
        let point = AffinePoint::from(multiple);
        multiple += generator;
        point
    })
}

/// Row `i` holds `d * 256^i * B` for every byte `d`.
static BASE_TABLE: LazyLock<Vec<[AffineNielsPoint; 256]>> =
    LazyLock::new(|| multiples().map(|row| row.map(|point| point.to_niels())).collect());

/// Rows of `d * 256^i * B` for every byte `d`, from the lowest place up.
pub(super) fn multiples() -> impl Iterator<Item = [AffinePoint; 256]> {
    let mut row_base = ExtendedPoint::from(base());
    (0..32).map(move |_| {
        let step = row_base;
        let mut multiples = [ExtendedPoint::identity(); 256];
        for digit in 1..256 {
            multiples[digit] = multiples[digit - 1] + step;
        }
        row_base = multiples[255] + step;
        let mut row = [AffinePoint::identity(); 256];
        for (place, point) in row.iter_mut().zip(jubjub::batch_normalize(&mut multiples)) {
            *place = point;
        }
        row
    })
}

/// `scalar * B` for a public scalar, 32 bytes little-endian: one addition a byte.
#[must_use]
pub(super) fn multiply_base(scalar: &[u8; 32]) -> ExtendedPoint {
    let start = ExtendedPoint::identity();
    BASE_TABLE.iter().zip(scalar).fold(start, |sum, (row, digit)| sum + row[usize::from(*digit)])
}

/// `(2^128 + scalar) * point` for public values, by windows of four bits.
#[must_use]
pub(super) fn multiply_leading_one(point: &ExtendedPoint, scalar: u128) -> ExtendedPoint {
    let mut multiples = [ExtendedNielsPoint::identity(); 16];
    let mut multiple = ExtendedPoint::identity();
    for place in &mut multiples[1..] {
        multiple += point;
        *place = multiple.to_niels();
    }
    (0..32).rev().fold(*point, |sum, window| {
        let digit = usize::try_from((scalar >> (4 * window)) & 15).expect("four bits fit");
        sum.double().double().double().double() + multiples[digit]
    })
}

#[cfg(test)]
mod tests {
    use jubjub::Scalar;

    use super::*;

    #[test]
    fn the_base_point_is_the_one_that_the_recipe_gives() {
        let derived = derive_base();
        assert_eq!(base(), derived, "{:?} {:?}", derived.get_u(), derived.get_v());
        assert!(bool::from(ExtendedPoint::from(base()).is_prime_order()));
    }

    #[test]
    fn the_points_of_small_order_are_eight_and_cyclic() {
        let points = small_order_points();
        for (index, point) in points.iter().enumerate() {
            assert!(bool::from(point.is_small_order()));
            assert!(!points[..index].contains(point), "{index} stands twice");
        }
        assert_eq!(points[0], AffinePoint::identity());
        assert_eq!((points[4].get_u(), points[4].get_v()), (Fr::zero(), -Fr::one()));
    }

    #[test]
    fn fast_multiplication_agrees_with_the_curve_crate() {
        let base = ExtendedPoint::from(base());
        for seed in 0..20u8 {
            let scalar = Scalar::from_bytes_wide(&[seed.wrapping_mul(37); 64]);
            assert_eq!(multiply_base(&scalar.to_bytes()), base * scalar);
            let mut low = [0; 32];
            low[..16].copy_from_slice(&scalar.to_bytes()[..16]);
            let challenge = u128::from_le_bytes(low[..16].try_into().unwrap());
            low[16] = 1;
            let point = base * Scalar::from(u64::from(seed) + 3);
            let expected = point * Scalar::from_bytes(&low).unwrap();
            assert_eq!(multiply_leading_one(&point, challenge), expected);
        }
    }
}
