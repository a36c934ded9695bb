//! Multiplication of the signature's base point by a scalar of 252 bits.
//!
//! The scalar `s` is written with 84 odd base-8 digits: with the base-8 digits `e_j` of `s`, `d_j =
//! 2 e_j - 7` is one of ±1, ±3, ±5, ±7 and `sum d_j 8^j = 2 s - (8^84 - 1)`. So with `H = B / 2`
//! and `K = (8^84 - 1) H`, `s B = sum d_j 8^j H + K`. The witness is the digits themselves, as sign
//! and magnitude `1 + 2 m0 + 4 m1`: every choice of bits stands for exactly one `s` in `0 ..
//! 2^252`, so nothing else has to be checked.
//!
//! A digit selects one of four constant points: u is linear in m0, m1 and m0 * m1, and the sign
//! flips v.
//!
//! No addition is exceptional. The sum before window j is a multiple of H by an odd number below
//! 8^j in size, the summand one by at least 8^j and at most 7 * 8^j, so their sum and difference
//! are multiples by numbers that are not zero and below 8^(j+1) in size. Up to j = 82 that is 2^249
//! at most, less than the order of the group, so neither is the identity. The last window, where
//! that fails, takes its eight points (K included) in Edwards form, whose addition is complete.

use std::sync::LazyLock;

use bellman::{ConstraintSystem, SynthesisError};
use jubjub::{AffinePoint, ExtendedPoint, Scalar};
use zklink::hash::Fr;
use zklink::key::base::base;

use super::{Bit, Expression, edwards, montgomery};

/// Number of base-8 digits.
const WINDOWS: usize = 84;

/// The constant points of all windows.
struct Table {
    /// For each window but the last, `8^j * {1, 3, 5, 7} * H` in Montgomery form.
    windows: Vec<[(Fr, Fr); 4]>,
    /// `d * 8^83 * H + K` in Edwards form, in the order of `sign + 2 m0 + 4 m1`.
    last: [(Fr, Fr); 8],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let half = Scalar::from(2).invert().into_option().expect("the order is odd");
    let mut unit = ExtendedPoint::from(base()) * half;
    let mut offset = ExtendedPoint::identity();
    let mut windows = Vec::with_capacity(WINDOWS - 1);
    for _ in 0..WINDOWS - 1 {
        let twice = unit.double();
        let multiples = [unit, unit + twice, unit + twice.double(), unit + twice + twice.double()];
        windows.push(multiples.map(|point| montgomery::native(&AffinePoint::from(point))));
        // 8^84 - 1 is the sum of 7 * 8^j.
        offset += multiples[3];
        unit = twice.double().double();
    }
    let twice = unit.double();
    let multiples = [unit, unit + twice, unit + twice.double(), unit + twice + twice.double()];
    offset += multiples[3];
    let last = std::array::from_fn(|index| {
        let multiple = multiples[index >> 1];
        let signed = if index & 1 == 1 { multiple } else { -multiple };
        let point = AffinePoint::from(signed + offset);
        (point.get_u(), point.get_v())
    });
    Table { windows, last }
});

/// One digit: the sign (one for positive) and the two bits of the magnitude.
struct Digit {
    positive: Bit,
    magnitude: [Bit; 2],
}

impl Digit {
    /// Three constraints.
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        digit: Option<u8>,
    ) -> Result<Self, SynthesisError> {
        // A digit e below four is negative: 2 e - 7 = -(1 + 2 (3 - e)).
        let positive = digit.map(|digit| digit & 4 != 0);
        let magnitude = digit.map(|digit| if digit & 4 != 0 { digit & 3 } else { 3 - (digit & 3) });
        Ok(Self {
            positive: Bit::witness(cs, "positive", positive)?,
            magnitude: [
                Bit::witness(cs, "m0", magnitude.map(|magnitude| magnitude & 1 == 1))?,
                Bit::witness(cs, "m1", magnitude.map(|magnitude| magnitude & 2 == 2))?,
            ],
        })
    }

    /// The point of a window that is not the last: two constraints.
    fn select<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        points: &[(Fr, Fr); 4],
    ) -> Result<montgomery::Point, SynthesisError> {
        let [m0, m1] = &self.magnitude;
        let both = Bit::and(cs, "both", m0, m1)?;
        let monomials = [&Expression::one(), m0.expression(), m1.expression(), both.expression()];
        let u = interpolated(&points.map(|(u, _)| u), &monomials);
        let v = interpolated(&points.map(|(_, v)| v), &monomials);
        // positive ? v : -v
        let sign = &(self.positive.expression() * Fr::from(2)) - Fr::one();
        let v = Expression::product(cs, "signed v", &v, &sign)?;
        Ok(montgomery::Point { u, v })
    }

    /// The point of the last window: four constraints.
    fn select_last<CS: ConstraintSystem<Fr>>(
        &self,
        cs: &mut CS,
        points: &[(Fr, Fr); 8],
    ) -> Result<edwards::Point, SynthesisError> {
        let (s, [m0, m1]) = (&self.positive, &self.magnitude);
        let s_m0 = Bit::and(cs, "positive m0", s, m0)?;
        let s_m1 = Bit::and(cs, "positive m1", s, m1)?;
        let both = Bit::and(cs, "both", m0, m1)?;
        let every = Bit::and(cs, "every", &s_m0, m1)?;
        let one = Expression::one();
        let monomials = [&one, s.expression(), m0.expression(), s_m0.expression(), m1.expression()]
            .into_iter()
            .chain([s_m1.expression(), both.expression(), every.expression()])
            .collect::<Vec<_>>();
        Ok(edwards::Point {
            x: interpolated(&points.map(|(x, _)| x), &monomials),
            y: interpolated(&points.map(|(_, y)| y), &monomials),
        })
    }
}

/// The multilinear polynomial that takes `values[i]` where the bits are those of `i`. Monomial `i`
/// is the product of the bits set in `i`, so the coefficients are the differences over subsets.
/// Free.
fn interpolated<const N: usize>(values: &[Fr; N], monomials: &[&Expression]) -> Expression {
    let mut coefficients = *values;
    let mut stride = 1;
    while stride < N {
        for index in (0..N).filter(|index| index & stride != 0) {
            let below = coefficients[index - stride];
            coefficients[index] -= below;
        }
        stride *= 2;
    }
    Expression::weighted_sum(coefficients.into_iter().zip(monomials.iter().copied()))
}

/// `s * B` for a witnessed `s` of 252 bits, 32 bytes little-endian: 676 constraints, 252 of them
/// for the bits.
///
/// `s` is not compared with the order of the group: `s` and `s` minus the order give the same
/// point.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none;
/// [`SynthesisError::Unsatisfiable`] when `s` has more than 252 bits.
pub(super) fn multiply_base<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    s: Option<&[u8; 32]>,
) -> Result<edwards::Point, SynthesisError> {
    if s.is_some_and(|s| s[31] >> 4 != 0) {
        return Err(SynthesisError::Unsatisfiable);
    }
    let digits = (0..WINDOWS)
        .map(|window| {
            let mut cs = cs.namespace(|| format!("digit{window}"));
            Digit::witness(&mut cs, s.map(|s| base8_digit(s, window)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (last, others) = digits.split_last().expect("there are 84 windows");
    let mut sum: Option<montgomery::Point> = None;
    for (window, (digit, points)) in others.iter().zip(&TABLE.windows).enumerate() {
        let mut cs = cs.namespace(|| format!("window{window}"));
        let point = digit.select(&mut cs, points)?;
        sum = Some(match sum {
            None => point,
            Some(sum) => montgomery::Point::add(&mut cs, &sum, &point)?,
        });
    }
    let sum = sum.expect("there are 83 windows before the last");
    let sum = sum.to_edwards(&mut cs.namespace(|| "edwards"))?;
    let last = last.select_last(&mut cs.namespace(|| "last window"), &TABLE.last)?;
    edwards::Point::add(&mut cs.namespace(|| "last sum"), &sum, &last)
}

/// Three bits of a number of 32 bytes, little-endian.
fn base8_digit(number: &[u8; 32], window: usize) -> u8 {
    (0..3).fold(0, |digit, offset| {
        let bit = 3 * window + offset;
        digit | (number[bit / 8] >> (bit % 8) & 1) << offset
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadget::fixture::{Fixture, NONE};

    fn expected(s: &[u8; 32]) -> (Fr, Fr) {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(s);
        let scalar = Scalar::from_bytes_wide(&wide);
        let point = AffinePoint::from(ExtendedPoint::from(base()) * scalar);
        (point.get_u(), point.get_v())
    }

    #[test]
    fn products_agree_with_the_curve_crate() {
        let mut largest = [0xff; 32];
        largest[31] = 0x0f;
        let mut one = [0; 32];
        one[0] = 1;
        let order_minus_one = (-Scalar::one()).to_bytes();
        let random = Scalar::from_bytes_wide(&[0x5a; 64]).to_bytes();
        for s in [[0; 32], one, largest, order_minus_one, random] {
            let mut fixture = Fixture::new();
            let product = multiply_base(&mut fixture.cs, Some(&s)).unwrap();
            assert_eq!(product.value(), Some(expected(&s)));
            assert_eq!(fixture.cost(), 676);
            assert!(fixture.cs.is_satisfied());
        }
    }

    #[test]
    fn every_variable_is_pinned_once_the_product_is() {
        let mut fixture = Fixture::new();
        let s = Scalar::from_bytes_wide(&[0x5a; 64]).to_bytes();
        multiply_base(&mut fixture.cs, Some(&s)).unwrap();
        assert_eq!(fixture.survivors(), NONE);
    }

    #[test]
    fn the_product_of_another_number_is_refused() {
        let mut fixture = Fixture::new();
        let s = Scalar::from_bytes_wide(&[0x5a; 64]).to_bytes();
        let product = multiply_base(&mut fixture.cs, Some(&s)).unwrap();
        let mut other = s;
        other[0] ^= 1;
        let (x, _) = expected(&other);
        assert_ne!(product.x.value(), Some(x));
        let claim = Expression::constant(x);
        Expression::enforce_equal(&mut fixture.cs, "claimed", &product.x, &claim);
        assert_eq!(fixture.cs.failures(), ["claimed"]);
    }

    #[test]
    fn numbers_of_more_than_252_bits_have_no_witness() {
        let mut fixture = Fixture::new();
        let refused = multiply_base(&mut fixture.cs, Some(&[0x10; 32]));
        assert!(matches!(refused, Err(SynthesisError::Unsatisfiable)));
    }
}
