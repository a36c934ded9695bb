//! Fourier transforms over the scalar field and the quotient polynomial of a proof.
//!
//! The inverse transform takes natural order to bit-reversed order, the forward transform takes
//! it back, so nothing is permuted in between. Twiddle factors are computed once for each key.

use bls12_381::Scalar;
use ff::{Field, PrimeField};
use rayon::prelude::*;

/// Blocks at least this long are split over threads; shorter ones cost less than a hand-over.
const PARALLEL: usize = 1 << 12;

/// The `2^log`-th roots of unity with everything that is precomputed over them.
pub(crate) struct Domain {
    log: u32,
    /// `ω^i` for `i < n/2`.
    forward: Vec<Scalar>,
    /// `ω^-i` for `i < n/2`.
    backward: Vec<Scalar>,
    /// `g^i / n` at the bit-reversed place of `i`: into the coset.
    to_coset: Vec<Scalar>,
    /// `g^-i / (n Z(g))` at the bit-reversed place of `i`: out of the coset, divided by Z.
    from_coset: Vec<Scalar>,
    /// `1 / (n Z(g))`.
    plain: Scalar,
}

/// The primitive `2^log`-th root of unity that bellman uses as well.
pub(crate) fn root_of_unity(log: u32) -> Scalar {
    (log..Scalar::S).fold(Scalar::ROOT_OF_UNITY, |root, _| root.square())
}

/// `base^exponent`.
pub(crate) fn power(base: Scalar, exponent: usize) -> Scalar {
    base.pow_vartime(&[exponent as u64, 0, 0, 0])
}

/// `first · base^i` for `i < count`.
pub(crate) fn powers(first: Scalar, base: Scalar, count: usize) -> Vec<Scalar> {
    const CHUNK: usize = 1 << 12;
    let mut out = vec![Scalar::ZERO; count];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let mut power = first * power(base, chunk * CHUNK);
        for value in values {
            *value = power;
            power *= base;
        }
    });
    out
}

fn inverse(value: Scalar) -> Scalar {
    Option::from(value.invert()).expect("roots of unity, powers of two and Z(g) are not zero")
}

/// Moves `values[i]` to the place with the bits of `i` reversed.
pub(crate) fn bit_reverse(values: &mut [Scalar]) {
    let log = values.len().trailing_zeros();
    if log == 0 {
        return;
    }
    for place in 0..values.len() {
        let other = place.reverse_bits() >> (usize::BITS - log);
        if place < other {
            values.swap(place, other);
        }
    }
}

impl Domain {
    /// The domain of `2^log` points.
    ///
    /// # Panics
    /// If `log` exceeds the 2-adicity 32; [`super::r1cs::MAX_ROWS`] keeps circuits below it.
    pub(crate) fn new(log: u32) -> Self {
        assert!(log <= Scalar::S, "the field has no roots of unity of order 2^{log}");
        let size = 1usize << log;
        let root = root_of_unity(log);
        let generator = Scalar::MULTIPLICATIVE_GENERATOR;
        let over_size = inverse(Scalar::from(size as u64));
        let vanishing = power(generator, size) - Scalar::ONE;
        let plain = over_size * inverse(vanishing);
        let mut to_coset = powers(over_size, generator, size);
        let mut from_coset = powers(plain, inverse(generator), size);
        bit_reverse(&mut to_coset);
        bit_reverse(&mut from_coset);
        Self {
            log,
            forward: powers(Scalar::ONE, root, size / 2),
            backward: powers(Scalar::ONE, inverse(root), size / 2),
            to_coset,
            from_coset,
            plain,
        }
    }

    /// Number of points.
    pub(crate) fn size(&self) -> usize {
        1 << self.log
    }

    /// Coefficients of `h = (a b - c) / Z` from the values of a, b and c on the domain.
    ///
    /// `c` needs no transform on the coset: modulo `X^n - g^n` it is itself, and there `Z` is the
    /// constant `Z(g)`, hence `h = (interpolation of a b on the coset - c) / Z(g)`.
    pub(crate) fn quotient(
        &self,
        mut a: Vec<Scalar>,
        b: Vec<Scalar>,
        mut c: Vec<Scalar>,
    ) -> Vec<Scalar> {
        let onto_coset = |mut values: Vec<Scalar>| {
            values.resize(self.size(), Scalar::ZERO);
            from_natural(&mut values, &self.backward, 1);
            values.par_iter_mut().zip(&self.to_coset).for_each(|(value, scale)| *value *= scale);
            to_natural(&mut values, &self.forward, 1);
            values
        };
        let b = onto_coset(b);
        a = onto_coset(a);
        a.par_iter_mut().zip(&b).for_each(|(a, b)| *a *= b);
        from_natural(&mut a, &self.backward, 1);
        c.resize(self.size(), Scalar::ZERO);
        from_natural(&mut c, &self.backward, 1);
        a.par_iter_mut()
            .zip(&self.from_coset)
            .zip(&c)
            .for_each(|((h, scale), c)| *h = *h * scale - *c * self.plain);
        bit_reverse(&mut a);
        a
    }
}

/// Decimation in frequency: natural order in, bit-reversed order out.
fn from_natural(values: &mut [Scalar], twiddles: &[Scalar], stride: usize) {
    let half = values.len() / 2;
    if half == 0 {
        return;
    }
    let (low, high) = values.split_at_mut(half);
    let butterfly = |(place, (low, high)): (usize, (&mut Scalar, &mut Scalar))| {
        let difference = *low - *high;
        *low += *high;
        *high = if place == 0 { difference } else { difference * twiddles[place * stride] };
    };
    if half >= PARALLEL {
        low.par_iter_mut().zip(high.par_iter_mut()).enumerate().for_each(butterfly);
        rayon::join(
            || from_natural(low, twiddles, 2 * stride),
            || from_natural(high, twiddles, 2 * stride),
        );
    } else {
        low.iter_mut().zip(high.iter_mut()).enumerate().for_each(butterfly);
        from_natural(low, twiddles, 2 * stride);
        from_natural(high, twiddles, 2 * stride);
    }
}

/// Decimation in time: bit-reversed order in, natural order out.
fn to_natural(values: &mut [Scalar], twiddles: &[Scalar], stride: usize) {
    let half = values.len() / 2;
    if half == 0 {
        return;
    }
    let (low, high) = values.split_at_mut(half);
    let butterfly = |(place, (low, high)): (usize, (&mut Scalar, &mut Scalar))| {
        let turned = if place == 0 { *high } else { *high * twiddles[place * stride] };
        *high = *low - turned;
        *low += turned;
    };
    if half >= PARALLEL {
        rayon::join(
            || to_natural(low, twiddles, 2 * stride),
            || to_natural(high, twiddles, 2 * stride),
        );
        low.par_iter_mut().zip(high.par_iter_mut()).enumerate().for_each(butterfly);
    } else {
        to_natural(low, twiddles, 2 * stride);
        to_natural(high, twiddles, 2 * stride);
        low.iter_mut().zip(high.iter_mut()).enumerate().for_each(butterfly);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(coefficients: &[Scalar], x: Scalar) -> Scalar {
        coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * x + c)
    }

    #[test]
    fn transforms_are_inverse_and_evaluate() {
        let domain = Domain::new(5);
        let values: Vec<_> = (0..32u64).map(|i| Scalar::from(i * i + 3)).collect();
        let mut coefficients = values.clone();
        from_natural(&mut coefficients, &domain.backward, 1);
        bit_reverse(&mut coefficients);
        let size = Scalar::from(32);
        for (i, value) in values.iter().enumerate() {
            let x = power(root_of_unity(5), i);
            assert_eq!(at(&coefficients, x), size * value);
        }
    }

    #[test]
    fn quotient_satisfies_its_equation_at_a_random_point() {
        for log in [0u32, 1, 3, 14] {
            let size = 1usize << log;
            let domain = Domain::new(log);
            let a: Vec<_> = (0..size as u64).map(|i| Scalar::from(i + 7)).collect();
            let b: Vec<_> = (0..size as u64).map(|i| Scalar::from(i * i + 1)).collect();
            let c: Vec<_> = a.iter().zip(&b).map(|(a, b)| a * b).collect();
            let interpolate = |mut values: Vec<Scalar>| {
                from_natural(&mut values, &domain.backward, 1);
                bit_reverse(&mut values);
                let scale = inverse(Scalar::from(size as u64));
                values.iter().map(|v| v * scale).collect::<Vec<_>>()
            };
            let h = domain.quotient(a.clone(), b.clone(), c.clone());
            assert_eq!(h[size - 1], Scalar::ZERO, "the quotient has degree n - 2");
            let x = Scalar::from(123_456_789);
            let [a, b, c] = [a, b, c].map(|values| at(&interpolate(values), x));
            let vanishing = power(x, size) - Scalar::ONE;
            assert_eq!(a * b - c, at(&h, x) * vanishing);
        }
    }
}
