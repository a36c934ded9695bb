//! The two curve groups over blst: the only file that calls its C functions.
//!
//! blst's Rust wrappers cover multi-exponentiation of ready points. Fixed-base tables, decoding of
//! uncompressed points and field arithmetic for bucket sums need the C interface.
//!
//! Safety of every call below: blst's functions read their inputs and write their outputs through
//! the pointers given, keep none of them, and accept an output that is also an input. All pointers
//! here come from references to initialised `repr(C)` values of exactly the declared types, and
//! lengths are those of the slices passed.
#![allow(unsafe_code)]

use bls12_381::{G1Affine, G2Affine, Scalar};
use blst::{
    blst_fp, blst_fp_add, blst_fp_cneg, blst_fp_inverse, blst_fp_mul, blst_fp_sqr, blst_fp_sub,
    blst_fp2, blst_fp2_add, blst_fp2_cneg, blst_fp2_inverse, blst_fp2_mul, blst_fp2_sqr,
    blst_fp2_sub, blst_p1, blst_p1_add_or_double, blst_p1_add_or_double_affine, blst_p1_affine,
    blst_p1_affine_generator, blst_p1_affine_in_g1, blst_p1_affine_serialize, blst_p1_deserialize,
    blst_p1_double, blst_p1_from_affine, blst_p1_mult, blst_p1s_to_affine, blst_p2,
    blst_p2_add_or_double, blst_p2_add_or_double_affine, blst_p2_affine, blst_p2_affine_generator,
    blst_p2_affine_in_g2, blst_p2_affine_serialize, blst_p2_deserialize, blst_p2_double,
    blst_p2_from_affine, blst_p2_mult, blst_p2s_to_affine,
};

/// Bits of a scalar of the field's order r < 2^255.
pub(crate) const SCALAR_BITS: usize = 255;

/// Arithmetic of a coordinate field (Fp of G1, Fp2 of G2).
pub(crate) trait Coordinate: Copy + Default + Eq + Send + Sync {
    /// Sum.
    fn plus(&self, other: &Self) -> Self;
    /// Difference.
    fn minus(&self, other: &Self) -> Self;
    /// Product.
    fn times(&self, other: &Self) -> Self;
    /// Square.
    fn square(&self) -> Self;
    /// Additive inverse.
    fn negated(&self) -> Self;
    /// Multiplicative inverse; of zero it is zero.
    fn inverse(&self) -> Self;
    /// Whether this is zero.
    fn is_zero(&self) -> bool;
}

/// Limbs are reduced, so zero has one form. A chain of ORs, as a comparison calls `memcmp`.
#[inline]
fn zero_fp(element: &blst_fp) -> bool {
    element.l.iter().fold(0, |bits, limb| bits | limb) == 0
}

macro_rules! coordinate {
    ($field:ty, $add:ident, $sub:ident, $mul:ident, $sqr:ident, $neg:ident, $inverse:ident,
     $is_zero:expr) => {
        impl Coordinate for $field {
            #[inline]
            fn plus(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $add(&mut out, self, other) };
                out
            }
            #[inline]
            fn minus(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $sub(&mut out, self, other) };
                out
            }
            #[inline]
            fn times(&self, other: &Self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $mul(&mut out, self, other) };
                out
            }
            #[inline]
            fn square(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $sqr(&mut out, self) };
                out
            }
            #[inline]
            fn negated(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $neg(&mut out, self, true) };
                out
            }
            fn inverse(&self) -> Self {
                let mut out = Self::default();
                // SAFETY: see the head of this file.
                unsafe { $inverse(&mut out, self) };
                out
            }
            #[inline]
            fn is_zero(&self) -> bool {
                $is_zero(self)
            }
        }
    };
}

coordinate!(
    blst_fp,
    blst_fp_add,
    blst_fp_sub,
    blst_fp_mul,
    blst_fp_sqr,
    blst_fp_cneg,
    blst_fp_inverse,
    zero_fp
);
coordinate!(
    blst_fp2,
    blst_fp2_add,
    blst_fp2_sub,
    blst_fp2_mul,
    blst_fp2_sqr,
    blst_fp2_cneg,
    blst_fp2_inverse,
    |element: &blst_fp2| element.fp.iter().all(zero_fp)
);

/// A point in affine coordinates; the identity has both coordinates zero, as in blst.
pub(crate) trait Affine: Copy + Default + Eq + Send + Sync + std::fmt::Debug {
    /// The coordinate field.
    type Field: Coordinate;
    /// The point with these coordinates; the caller answers for the curve equation.
    fn new(x: Self::Field, y: Self::Field) -> Self;
    /// First coordinate.
    fn x(&self) -> &Self::Field;
    /// Second coordinate.
    fn y(&self) -> &Self::Field;

    /// Whether this is the identity. (0, 0) is on neither curve, so nothing else looks like it.
    #[inline]
    fn is_identity(&self) -> bool {
        self.x().is_zero() && self.y().is_zero()
    }

    /// The inverse point.
    #[inline]
    fn negated(&self) -> Self {
        Self::new(*self.x(), self.y().negated())
    }
}

/// One of the groups G1 and G2. Not constant time: a rollup's witnesses are public data, and the
/// generator's randomness lives in one process of one operator.
pub(crate) trait Group: 'static + Send + Sync {
    /// Affine points as blst has them.
    type Affine: Affine;
    /// Jacobian points as blst has them.
    type Point: Copy + Default + Send + Sync;
    /// The same group in the crate that bellman uses.
    type Bellman: Copy + Send + Sync;
    /// Bytes of an uncompressed point.
    const ENCODED: usize;

    /// The standard generator.
    fn generator() -> Self::Affine;
    /// Adds `other` to `sum`.
    fn add(sum: &mut Self::Point, other: &Self::Point);
    /// Adds the affine `other` to `sum`.
    fn add_affine(sum: &mut Self::Point, other: &Self::Affine);
    /// Doubles `point`.
    fn double(point: &mut Self::Point);
    /// `scalar` times `point`.
    fn times(point: &Self::Affine, scalar: &Scalar) -> Self::Point;
    /// Affine forms, with one inversion for all.
    fn to_affine(points: &[Self::Point]) -> Vec<Self::Affine>;
    /// Jacobian form.
    fn from_affine(point: &Self::Affine) -> Self::Point;
    /// Reads an uncompressed point and checks the curve equation, not the subgroup.
    fn decode(bytes: &[u8]) -> Option<Self::Affine>;
    /// Appends the uncompressed point in zcash's encoding, which is bellman's.
    fn encode(point: &Self::Affine, out: &mut Vec<u8>);
    /// Whether the point is in the subgroup of prime order.
    fn in_subgroup(point: &Self::Affine) -> bool;
    /// `sum_i scalars[i] points[i]` by blst's own multi-exponentiation, the measure of ours;
    /// 32 little-endian bytes for each scalar.
    #[cfg(test)]
    fn pippenger(points: &[Self::Affine], scalars: &[u8]) -> Self::Point;
    /// The point in bellman's type.
    fn to_bellman(point: &Self::Affine) -> Self::Bellman;
    /// The point from bellman's type.
    fn from_bellman(point: &Self::Bellman) -> Self::Affine;
}

/// The first group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct G1;
/// The second group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct G2;

macro_rules! group {
    ($group:ty, $affine:ty, $point:ty, $field:ty, $bellman:ty, $bytes:literal,
     $generator:ident, $add:ident, $add_affine:ident, $double:ident, $mult:ident, $to_affine:ident,
     $from_affine:ident, $deserialize:ident, $serialize:ident, $in_group:ident) => {
        impl Affine for $affine {
            type Field = $field;
            #[inline]
            fn new(x: $field, y: $field) -> Self {
                Self { x, y }
            }
            #[inline]
            fn x(&self) -> &$field {
                &self.x
            }
            #[inline]
            fn y(&self) -> &$field {
                &self.y
            }
        }

        impl Group for $group {
            type Affine = $affine;
            type Point = $point;
            type Bellman = $bellman;
            const ENCODED: usize = $bytes;

            fn generator() -> $affine {
                // SAFETY: blst returns the address of a constant.
                unsafe { *$generator() }
            }
            #[inline]
            fn add(sum: &mut $point, other: &$point) {
                // SAFETY: see the head of this file.
                unsafe { $add(sum, sum, other) }
            }
            #[inline]
            fn add_affine(sum: &mut $point, other: &$affine) {
                // SAFETY: see the head of this file.
                unsafe { $add_affine(sum, sum, other) }
            }
            #[inline]
            fn double(point: &mut $point) {
                // SAFETY: see the head of this file.
                unsafe { $double(point, point) }
            }
            fn times(point: &$affine, scalar: &Scalar) -> $point {
                let (bytes, mut out) = (scalar.to_bytes(), Self::from_affine(point));
                // SAFETY: 255 bits are read from 32 bytes; see the head of this file.
                unsafe { $mult(&mut out, &out, bytes.as_ptr(), SCALAR_BITS) };
                out
            }
            fn to_affine(points: &[$point]) -> Vec<$affine> {
                let mut out = vec![<$affine>::default(); points.len()];
                if let Some(first) = points.first() {
                    let list: [*const $point; 2] = [first, std::ptr::null()];
                    // SAFETY: a null second pointer tells blst that the points lie one after
                    // another from the first; there are `points.len()` of them, and of `out`.
                    unsafe { $to_affine(out.as_mut_ptr(), list.as_ptr(), points.len()) };
                }
                out
            }
            fn from_affine(point: &$affine) -> $point {
                let mut out = <$point>::default();
                // SAFETY: see the head of this file.
                unsafe { $from_affine(&mut out, point) };
                out
            }
            fn decode(bytes: &[u8]) -> Option<$affine> {
                // The two highest bits mean compression and the identity. blst would read only
                // half of a compressed point, so that encoding is refused here.
                if bytes.len() != Self::ENCODED || bytes[0] & 0x80 != 0 {
                    return None;
                }
                let mut out = <$affine>::default();
                // SAFETY: blst reads `ENCODED` bytes, which the slice has.
                let code = unsafe { $deserialize(&mut out, bytes.as_ptr()) };
                (code == blst::BLST_ERROR::BLST_SUCCESS).then_some(out)
            }
            fn encode(point: &$affine, out: &mut Vec<u8>) {
                let mut bytes = [0u8; $bytes];
                // SAFETY: blst writes `ENCODED` bytes, which the array has.
                unsafe { $serialize(bytes.as_mut_ptr(), point) };
                out.extend_from_slice(&bytes);
            }
            fn in_subgroup(point: &$affine) -> bool {
                // SAFETY: see the head of this file.
                unsafe { $in_group(point) }
            }
            #[cfg(test)]
            fn pippenger(points: &[$affine], scalars: &[u8]) -> $point {
                // blst's safe wrapper panics on an empty list.
                if points.is_empty() {
                    return <$point>::default();
                }
                blst::MultiPoint::mult(points, scalars, SCALAR_BITS)
            }
            fn to_bellman(point: &$affine) -> $bellman {
                let mut bytes = [0u8; $bytes];
                // SAFETY: blst writes `ENCODED` bytes, which the array has.
                unsafe { $serialize(bytes.as_mut_ptr(), point) };
                // Curve and subgroup are not checked again: the point is blst's own.
                Option::from(<$bellman>::from_uncompressed_unchecked(&bytes))
                    .expect("blst writes coordinates below the modulus")
            }
            fn from_bellman(point: &$bellman) -> $affine {
                Self::decode(&point.to_uncompressed())
                    .expect("the type holds only points on the curve")
            }
        }
    };
}

group!(
    G1,
    blst_p1_affine,
    blst_p1,
    blst_fp,
    G1Affine,
    96,
    blst_p1_affine_generator,
    blst_p1_add_or_double,
    blst_p1_add_or_double_affine,
    blst_p1_double,
    blst_p1_mult,
    blst_p1s_to_affine,
    blst_p1_from_affine,
    blst_p1_deserialize,
    blst_p1_affine_serialize,
    blst_p1_affine_in_g1
);
group!(
    G2,
    blst_p2_affine,
    blst_p2,
    blst_fp2,
    G2Affine,
    192,
    blst_p2_affine_generator,
    blst_p2_add_or_double,
    blst_p2_add_or_double_affine,
    blst_p2_double,
    blst_p2_mult,
    blst_p2s_to_affine,
    blst_p2_from_affine,
    blst_p2_deserialize,
    blst_p2_affine_serialize,
    blst_p2_affine_in_g2
);
