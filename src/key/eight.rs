//! Signatures eight at a time, on processors with AVX-512 IFMA: each lane checks one by its own equation, so that a
//! wrong one is nothing to the others.
//!
//! Points are in extended coordinates, with the formulas of the curve crate (Hisil, Wong, Carter and Dawson, "Twisted
//! Edwards curves revisited", 2008): complete for this curve, so that all lanes take the same steps. Coordinates stay
//! below 2.3 units ([`crate::ifma`] says what these are): an addition of a multiple whose form is below 6 gives
//! coordinates below 1.8, a doubling below 2.1.

#![allow(unsafe_code, reason = "the processor is asked before these instructions are used")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ff::{BatchInvert, PrimeField};
use jubjub::AffinePoint;

use super::{base, edwards_d};
use crate::hash::Fr;
use crate::ifma::{
    Arithmetic, Eight, LANES, Limbs, carried, is_there, limbs, pack, shifted, spread, sum, unpack,
};

/// Decodes eight points. Accepts exactly what `AffinePoint::from_bytes` accepts.
///
/// # Panics
/// On a processor without the instructions.
pub(super) fn decode(encodings: &[[u8; 32]; LANES]) -> [Option<AffinePoint>; LANES] {
    assert!(is_there(), "the processor has no AVX-512 IFMA");
    let signs = encodings.map(|bytes| bytes[31] >> 7);
    let heights = encodings.map(|mut bytes| {
        bytes[31] &= 0x7f;
        Option::<Fr>::from(Fr::from_bytes(&bytes))
    });
    // x^2 = (y^2 - 1) / (1 + d y^2), where the denominator is never zero. The height one stands for what is none.
    let squares = heights.map(|height| height.unwrap_or(Fr::one()).square());
    let mut inverted = squares.map(|square| Fr::one() + edwards_d() * square);
    inverted.iter_mut().batch_invert();
    let quotient = |lane: usize| (squares[lane] - Fr::one()) * inverted[lane];
    // SAFETY: the processor has the instructions, which is all that this function asks for.
    let roots = unsafe { square_roots(&std::array::from_fn(quotient)) };
    std::array::from_fn(|lane| {
        let (root, height) = (roots[lane]?, heights[lane]?);
        let flipped = (root.to_bytes()[0] ^ signs[lane]) & 1 == 1;
        // The sign of zero is not chosen.
        if flipped && root == Fr::zero() {
            return None;
        }
        let x = if flipped { -root } else { root };
        Some(AffinePoint::from_raw_unchecked(x, height))
    })
}

/// What is left of a signature once its parts are decoded.
#[derive(Clone, Copy)]
pub(super) struct Equation {
    /// The key.
    pub(super) key: AffinePoint,
    /// The commitment.
    pub(super) commitment: AffinePoint,
    /// The challenge without its leading one.
    pub(super) challenge: u128,
    /// The response, little-endian.
    pub(super) response: [u8; 32],
}

/// Whether `8 (s B - c A - R) == 0`, for each of eight signatures.
///
/// # Panics
/// On a processor without the instructions.
pub(super) fn hold(equations: &[Equation; LANES]) -> [bool; LANES] {
    assert!(is_there(), "the processor has no AVX-512 IFMA");
    // SAFETY: the processor has the instructions, which is all that this function asks for.
    unsafe { check(equations) }
}

/// Eight points: `x = X/Z`, `y = Y/Z`, `T = XY/Z`.
#[derive(Clone, Copy)]
struct Points {
    x: Eight,
    y: Eight,
    z: Eight,
    t: Eight,
}

/// Eight points as an addition takes them: `Y + X`, `Y - X`, `2d T`, `2Z`.
type Operand = [Eight; 4];

/// Multiples of a point as an addition takes them, lane by lane.
type Multiple = [[Limbs; LANES]; 4];

/// Numbers of the curve in the form of products.
struct Curve {
    one: Limbs,
    two: Limbs,
    two_d: Limbs,
    /// Row `i` holds `d * 256^i * B` for every byte `d`: `y + x`, `y - x`, `2d xy`.
    base: Vec<[[Limbs; 3]; 256]>,
}

static CURVE: LazyLock<Curve> = LazyLock::new(|| {
    let form = |point: &AffinePoint| {
        let (x, y) = (point.get_u(), point.get_v());
        [y + x, y - x, (edwards_d() * x * y).double()].map(|part| limbs(&part))
    };
    Curve {
        one: limbs(&Fr::one()),
        two: limbs(&Fr::from(2)),
        two_d: limbs(&edwards_d().double()),
        base: base::multiples().map(|row| row.each_ref().map(form)).collect(),
    }
});

#[target_feature(enable = "avx512f,avx512ifma")]
fn check(equations: &[Equation; LANES]) -> [bool; LANES] {
    let (curve, arithmetic) = (&*CURVE, Arithmetic::new());
    let at = |point: &dyn Fn(&Equation) -> AffinePoint| {
        let points = equations.each_ref().map(point);
        arithmetic.negated(&points)
    };
    let key = at(&|equation| equation.key);
    let multiples = arithmetic.multiples(&key);
    // The leading one of the challenge, then its windows of four bits.
    let mut sum = key;
    for window in (0..32).rev() {
        for _ in 0..3 {
            sum = arithmetic.doubled::<false>(&sum);
        }
        sum = arithmetic.doubled::<true>(&sum);
        let digits = equations
            .each_ref()
            .map(|equation| usize::from((equation.challenge >> (4 * window)) as u8 & 15));
        let part =
            |part: usize| pack(&std::array::from_fn(|lane| multiples[digits[lane]][part][lane]));
        sum = arithmetic.added(&sum, &[part(0), part(1), part(2), part(3)]);
    }
    let two = spread(&curve.two);
    for (place, row) in curve.base.iter().enumerate() {
        let entries =
            equations.each_ref().map(|equation| &row[usize::from(equation.response[place])]);
        let part = |part: usize| pack(&entries.map(|entry| entry[part]));
        sum = arithmetic.added(&sum, &[part(0), part(1), part(2), two]);
    }
    let commitment = arithmetic.operand(&at(&|equation| equation.commitment));
    sum = arithmetic.added(&sum, &commitment);
    // Of a point of small order, four times it is one of (0, 1) and (0, -1).
    sum = arithmetic.doubled::<false>(&arithmetic.doubled::<false>(&sum));
    arithmetic.elements(&sum.x).map(|x| x == Fr::zero())
}

impl Arithmetic {
    /// The points with other signs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn negated(&self, points: &[AffinePoint; LANES]) -> Points {
        let x = pack(&points.each_ref().map(|point| limbs(&-point.get_u())));
        let y = pack(&points.each_ref().map(|point| limbs(&point.get_v())));
        Points { x, y, z: spread(&CURVE.one), t: self.product(&x, &y) }
    }

    /// `0` to `15` times the points.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn multiples(&self, points: &Points) -> Vec<Multiple> {
        let (one, two) = (spread(&CURVE.one), spread(&CURVE.two));
        let lanes = |operand: &Operand| operand.each_ref().map(unpack);
        let zero = spread(&[0; 5]);
        let step = self.operand(points);
        let mut multiples = vec![lanes(&[one, one, zero, two]), lanes(&step)];
        let mut multiple = *points;
        for _ in 2..16 {
            multiple = self.added(&multiple, &step);
            multiples.push(lanes(&self.operand(&multiple)));
        }
        multiples
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn operand(&self, Points { x, y, z, t }: &Points) -> Operand {
        let two_d = spread(&CURVE.two_d);
        [
            carried(sum(y, x)),
            self.difference(y, x),
            self.product(t, &two_d),
            carried(shifted::<1>(z)),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn added(&self, points: &Points, [plus, minus, two_d_t, two_z]: &Operand) -> Points {
        let a = self.product(&self.difference(&points.y, &points.x), minus);
        let b = self.product(&carried(sum(&points.y, &points.x)), plus);
        let c = self.product(&points.t, two_d_t);
        let d = self.product(&points.z, two_z);
        let (u, v) = (self.difference(&b, &a), carried(sum(&b, &a)));
        let (z, t) = (carried(sum(&d, &c)), self.difference(&d, &c));
        Points {
            x: self.product(&u, &t),
            y: self.product(&v, &z),
            z: self.product(&z, &t),
            t: self.product(&u, &v),
        }
    }

    /// Twice the points; without `T`, if only doublings follow.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn doubled<const WITH_T: bool>(&self, Points { x, y, z, .. }: &Points) -> Points {
        let (xx, yy, zz) = (self.product(x, x), self.product(y, y), self.product(z, z));
        let both = carried(sum(x, y));
        let plus = carried(sum(&yy, &xx));
        let u = self.difference(&self.product(&both, &both), &plus);
        let minus = self.difference(&yy, &xx);
        let t = carried(sum(&shifted::<1>(&zz), &self.difference(&xx, &yy)));
        Points {
            x: self.product(&u, &t),
            y: self.product(&plus, &minus),
            z: self.product(&minus, &t),
            t: if WITH_T { self.product(&u, &plus) } else { u },
        }
    }
}

/// What square roots need: the elements whose order is a power of two are the powers of one of them, `g`, of order
/// `2^32`.
struct Roots {
    /// `(odd - 1) / 2` for the odd part of the order of the multiplicative group, in digits of four bits, the highest
    /// first.
    exponent: Vec<usize>,
    /// Row `i` holds `g^(-256^i * k)` for every byte `k`.
    inverses: [Vec<Limbs>; 4],
    /// The byte `k` of `g^(2^24 * k)`.
    logarithms: BTreeMap<[u8; 32], u8>,
}

static ROOTS: LazyLock<Roots> = LazyLock::new(|| {
    let powers = |of: Fr| std::iter::successors(Some(Fr::one()), move |power| Some(power * of));
    let root = Fr::ROOT_OF_UNITY;
    let inverse = root.invert().expect("a root of unity is not zero");
    let row = |place: u32| {
        let step = inverse.pow_vartime(&[1u64 << (8 * place), 0, 0, 0]);
        powers(step).take(256).map(|power| limbs(&power)).collect()
    };
    let top = powers(root.pow_vartime(&[1u64 << 24, 0, 0, 0])).take(256);
    let logarithms = top.zip(0..=u8::MAX).map(|(power, byte)| (power.to_bytes(), byte)).collect();
    // The largest element is one below the modulus, which is the order of the multiplicative group: its last 32 bits
    // are the even part, and one more is dropped from the odd one.
    let order = (-Fr::one()).to_bytes();
    let bit = |at: usize| usize::from(order.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1));
    let digit = |place: usize| (0..4).map(|at| bit(33 + 4 * place + at) << at).sum();
    let exponent = (0..56).rev().map(digit).collect();
    Roots { exponent, inverses: [0, 1, 2, 3].map(row), logarithms }
});

/// A square root of each element that has one.
///
/// With `a^(2k + 1)`, the odd part of the order being `2k + 1`, an element `b` whose order is a power of two is left,
/// and `a^(k + 1)` is a root but for half of the logarithm of `b` to the base `g`: which is found a byte at a time,
/// after Sarkar, "Computing square roots faster than the Tonelli-Shanks/Bernstein algorithm" (2020).
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_roots(elements: &[Fr; LANES]) -> [Option<Fr>; LANES] {
    let (roots, arithmetic) = (&*ROOTS, Arithmetic::new());
    let given = pack(&elements.each_ref().map(limbs));
    let power = arithmetic.power(&given, &roots.exponent);
    let mut root = arithmetic.product(&given, &power);
    let mut left = arithmetic.product(&root, &power);
    let mut logarithms = [0u32; LANES];
    let byte = |logarithm: u32, place: usize| usize::from(logarithm.to_le_bytes()[place]);
    for place in 0..4 {
        let mut top = left;
        for _ in 0..24 - 8 * place {
            top = arithmetic.product(&top, &top);
        }
        let tops = arithmetic.elements(&top);
        for (logarithm, top) in logarithms.iter_mut().zip(tops) {
            // Of zero nothing is left, and its root is right whatever the logarithm.
            let digit = roots.logarithms.get(&top.to_bytes()).copied().unwrap_or(0);
            *logarithm |= u32::from(digit) << (8 * place);
        }
        let inverse = logarithms.map(|logarithm| roots.inverses[place][byte(logarithm, place)]);
        left = arithmetic.product(&left, &pack(&inverse));
    }
    for place in 0..4 {
        let half = logarithms.map(|logarithm| roots.inverses[place][byte(logarithm / 2, place)]);
        root = arithmetic.product(&root, &pack(&half));
    }
    let found = arithmetic.elements(&root);
    std::array::from_fn(|lane| {
        let is_square = logarithms[lane] % 2 == 0;
        assert!(!is_square || found[lane].square() == elements[lane], "this is no square root");
        is_square.then_some(found[lane])
    })
}

impl Arithmetic {
    /// Elements below 2 to a power whose digits of four bits are given, the highest first. The result is below 1.1.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn power(&self, elements: &Eight, digits: &[usize]) -> Eight {
        let mut powers = vec![spread(&CURVE.one), *elements];
        for at in 2..16 {
            powers.push(self.product(&powers[at - 1], elements));
        }
        let mut power = powers[0];
        for digit in digits {
            for _ in 0..4 {
                power = self.product(&power, &power);
            }
            power = self.product(&power, &powers[*digit]);
        }
        power
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use jubjub::{ExtendedPoint, Scalar};
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::super::base::{multiply_base, multiply_leading_one, small_order_points};
    use super::*;

    fn skipped() -> bool {
        if !is_there() {
            eprintln!("this processor has no AVX-512 IFMA: nothing was compared");
        }
        !is_there()
    }

    #[test]
    fn points_are_decoded_as_the_curve_crate_decodes_them() {
        if skipped() {
            return;
        }
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let mut encodings: Vec<[u8; 32]> = Vec::new();
        for point in small_order_points() {
            let bytes = point.to_bytes();
            encodings.push(bytes);
            let mut other_sign = bytes;
            other_sign[31] ^= 0x80;
            encodings.push(other_sign);
        }
        let mut modulus = (-Fr::one()).to_bytes();
        modulus[0] += 1;
        let mut above = modulus;
        above[0] += 1;
        encodings.extend([modulus, above, [0; 32], [0xff; 32], [0x7f; 32]]);
        for _ in 0..400 {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            // Some are below the modulus, some not.
            bytes[31] &= 0xf3;
            encodings.push(bytes);
        }
        while !encodings.len().is_multiple_of(LANES) {
            encodings.push([1; 32]);
        }
        let (eights, _) = encodings.as_chunks::<LANES>();
        let mut decoded = 0;
        for eight in eights {
            for (bytes, found) in eight.iter().zip(decode(eight)) {
                let expected = Option::<AffinePoint>::from(AffinePoint::from_bytes(*bytes));
                assert_eq!(found, expected, "{bytes:?}");
                decoded += usize::from(found.is_some());
            }
        }
        assert!(decoded > 100 && decoded < encodings.len() - 100, "both happen");
    }

    #[test]
    fn roots_of_squares_are_found_and_of_others_not() {
        if skipped() {
            return;
        }
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let root = Fr::ROOT_OF_UNITY;
        let mut elements = vec![Fr::zero(), Fr::one(), -Fr::one(), Fr::from(4), Fr::from(7)];
        elements.extend((0..33).map(|at| root.pow_vartime(&[1u64 << at, 0, 0, 0])));
        elements.extend((0..33).map(|at| root.pow_vartime(&[(1u64 << at) - 1, 0, 0, 0])));
        elements.extend((0..97).map(|_| Fr::random(&mut rng)));
        let (eights, rest) = elements.as_chunks::<LANES>();
        assert!(rest.is_empty());
        for eight in eights {
            // SAFETY: the processor has the instructions.
            for (element, found) in eight.iter().zip(unsafe { square_roots(eight) }) {
                let expected = Option::<Fr>::from(element.sqrt());
                assert_eq!(found.is_some(), expected.is_some(), "{element}");
                assert!(found == expected || found == expected.map(|root| -root));
            }
        }
    }

    /// Equations that hold, with the point by which the sum misses zero.
    fn equation(rng: &mut ChaCha20Rng, missing: &ExtendedPoint) -> Equation {
        let mut scalar = || {
            let mut wide = [0; 64];
            rng.fill_bytes(&mut wide);
            Scalar::from_bytes_wide(&wide)
        };
        let (key, response) = (scalar(), scalar().to_bytes());
        let key = AffinePoint::from(ExtendedPoint::from(base::base()) * key);
        let challenge = u128::from_le_bytes(scalar().to_bytes()[..16].try_into().unwrap());
        let product = multiply_leading_one(&ExtendedPoint::from(key), challenge);
        let commitment = AffinePoint::from(multiply_base(&response) - product - missing);
        Equation { key, commitment, challenge, response }
    }

    #[test]
    fn equations_hold_up_to_a_point_of_small_order_and_no_other() {
        if skipped() {
            return;
        }
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let small = small_order_points();
        for round in 0..40usize {
            let missing: [ExtendedPoint; LANES] = std::array::from_fn(|lane| {
                let of_order = ExtendedPoint::from(small[(round + lane) % 8]);
                // Some miss by more.
                if (round + lane) % 3 == 2 { of_order + base::base().to_niels() } else { of_order }
            });
            let equations = std::array::from_fn(|lane| equation(&mut rng, &missing[lane]));
            let expected = std::array::from_fn(|lane| (round + lane) % 3 != 2);
            assert_eq!(hold(&equations), expected, "{round}");
        }
    }

    #[test]
    fn extreme_numbers_are_no_exception() {
        if skipped() {
            return;
        }
        let largest = (-Scalar::one()).to_bytes();
        let numbers = [0, 1, 15, 16, u128::MAX, u128::MAX - 15, 1 << 127, 0x1111 << 64];
        let responses = [[0; 32], largest, [1; 32], [9; 32]];
        let key = AffinePoint::from(ExtendedPoint::from(base::base()) * Scalar::from(3));
        for response in responses {
            let right = |challenge: u128| {
                let product = multiply_leading_one(&ExtendedPoint::from(key), challenge);
                let commitment = AffinePoint::from(multiply_base(&response) - product);
                Equation { key, commitment, challenge, response }
            };
            assert_eq!(hold(&numbers.map(right)), [true; LANES]);
            let wrong = |challenge: u128| Equation { challenge: challenge ^ 1, ..right(challenge) };
            assert_eq!(hold(&numbers.map(wrong)), [false; LANES]);
            let moved = |challenge: u128| Equation { key: base::base(), ..right(challenge) };
            assert_eq!(hold(&numbers.map(moved)), [false; LANES]);
        }
    }
}
