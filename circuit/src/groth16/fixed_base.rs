//! Many multiples of one point: the work of the key generator.

use bls12_381::Scalar;
use rayon::prelude::*;

use super::point::{Affine, Group};

/// Signed multiples of `2^(w·window)` times the generator for every window.
///
/// A scalar is cut into signed digits of `window` bits; each digit costs one table look-up and one
/// mixed addition, and there are no doublings at all.
pub(crate) struct FixedBase<G: Group> {
    window: u32,
    /// `table[w][d - 1] = d · 2^(w·window) · generator` for `1 <= d <= 2^(window-1)`.
    table: Vec<Vec<G::Affine>>,
}

/// Points normalised with one inversion.
const CHUNK: usize = 512;

impl<G: Group> FixedBase<G> {
    /// A table whose making is small beside `count` multiplications.
    pub(crate) fn generator(count: usize) -> Self {
        let window = (usize::BITS - count.leading_zeros()).saturating_sub(5).clamp(4, 12);
        let windows = 256usize.div_ceil(window as usize);
        let mut bases = Vec::with_capacity(windows);
        let mut base = G::from_affine(&G::generator());
        for _ in 0..windows {
            bases.push(base);
            (0..window).for_each(|_| G::double(&mut base));
        }
        let table = G::to_affine(&bases)
            .par_iter()
            .map(|base| {
                let mut multiple = G::Point::default();
                let multiples: Vec<_> = (0..1usize << (window - 1))
                    .map(|_| {
                        G::add_affine(&mut multiple, base);
                        multiple
                    })
                    .collect();
                G::to_affine(&multiples)
            })
            .collect();
        Self { window, table }
    }

    /// `scalar · generator`.
    fn times(&self, scalar: &Scalar) -> G::Point {
        let mut sum = G::Point::default();
        for (multiples, digit) in self.table.iter().zip(SignedDigits::new(scalar, self.window)) {
            let place = digit.unsigned_abs() as usize;
            match digit.signum() {
                1 => G::add_affine(&mut sum, &multiples[place - 1]),
                -1 => G::add_affine(&mut sum, &multiples[place - 1].negated()),
                _ => {}
            }
        }
        sum
    }

    /// All `scalars` times the generator, in order.
    pub(crate) fn times_all(&self, scalars: &[Scalar]) -> Vec<G::Bellman> {
        scalars
            .par_chunks(CHUNK)
            .flat_map_iter(|chunk| {
                let points: Vec<_> = chunk.iter().map(|scalar| self.times(scalar)).collect();
                G::to_affine(&points).into_iter().map(|point| G::to_bellman(&point))
            })
            .collect()
    }
}

/// Digits `-2^(w-1) < d <= 2^(w-1)` of a scalar, least significant first.
///
/// A scalar is below 2^255; digits that cover 256 bits therefore never leave a carry.
pub(crate) struct SignedDigits {
    bytes: [u8; 40],
    window: u32,
    bit: usize,
    carry: i64,
}

impl SignedDigits {
    pub(crate) fn new(scalar: &Scalar, window: u32) -> Self {
        let mut bytes = [0u8; 40];
        bytes[..32].copy_from_slice(&scalar.to_bytes());
        Self { bytes, window, bit: 0, carry: 0 }
    }
}

impl Iterator for SignedDigits {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let start = self.bit / 8;
        if start >= 32 {
            return None;
        }
        let word: [u8; 8] = self.bytes[start..start + 8].try_into().expect("eight bytes");
        let bits = (u64::from_le_bytes(word) >> (self.bit % 8)) & ((1 << self.window) - 1);
        self.bit += self.window as usize;
        // A window has at most 20 bits, so the digit fits with room to spare.
        let digit = bits as i64 + self.carry;
        self.carry = i64::from(digit > 1 << (self.window - 1));
        Some(digit - (self.carry << self.window))
    }
}

#[cfg(test)]
mod tests {
    use bls12_381::{G1Affine, G2Affine};
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::point::{G1, G2};
    use super::*;

    fn samples() -> Vec<Scalar> {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let mut scalars = vec![Scalar::ONE, -Scalar::ONE, Scalar::from(8), Scalar::from(9)];
        scalars.extend((0..20).map(|_| Scalar::random(&mut rng)));
        scalars
    }

    #[test]
    fn digits_recompose() {
        for window in 2..=16 {
            for scalar in samples() {
                let radix = Scalar::from(1u64 << window);
                let digits: Vec<_> = SignedDigits::new(&scalar, window).collect();
                let value = digits.iter().rev().fold(Scalar::ZERO, |sum, &digit| {
                    assert!(digit.abs() <= 1 << (window - 1));
                    let size = Scalar::from(digit.unsigned_abs());
                    sum * radix + if digit < 0 { -size } else { size }
                });
                assert_eq!(value, scalar);
            }
        }
    }

    #[test]
    fn multiples_equal_the_curve_crates() {
        for count in [1, 1 << 12] {
            let scalars = samples();
            let first = FixedBase::<G1>::generator(count).times_all(&scalars);
            let second = FixedBase::<G2>::generator(count).times_all(&scalars);
            for (at, scalar) in scalars.iter().enumerate() {
                assert_eq!(first[at], G1Affine::from(G1Affine::generator() * scalar));
                assert_eq!(second[at], G2Affine::from(G2Affine::generator() * scalar));
            }
        }
    }
}
