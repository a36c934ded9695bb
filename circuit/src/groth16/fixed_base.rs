//! Many multiples of one point: the work of the key generator.

use bls12_381::Scalar;
use rayon::prelude::*;

use super::affine_sum::AffineAdder;
use super::digits::{BITS, Windows};
use super::point::{Affine as _, Group};

/// Multiples of `2^(w · bits)` times the generator for every window w.
///
/// Each digit of a scalar costs one look-up and one addition, and there are no doublings. Sums
/// of many scalars go side by side through the windows, so that they share inversions.
pub(crate) struct FixedBase<G: Group> {
    windows: Windows,
    /// `table[w][d - 1] = d · 2^(w · bits) · generator` for `1 <= d <= 2^(bits-1)`.
    table: Vec<Vec<G::Affine>>,
}

/// Scalars that go through the windows together.
const CHUNK: usize = 2048;

impl<G: Group> FixedBase<G> {
    /// A table whose making is small beside `count` multiplications.
    pub(crate) fn generator(count: usize) -> Self {
        let log = (usize::BITS - count.leading_zeros()) as usize;
        let windows = Windows::new(log.saturating_sub(4).clamp(*BITS.start(), 13));
        let mut base = G::from_affine(&G::generator());
        let bases: Vec<_> = (0..windows.count())
            .map(|_| {
                let current = base;
                (0..windows.bits()).for_each(|_| G::double(&mut base));
                current
            })
            .collect();
        let table = G::to_affine(&bases)
            .par_iter()
            .map(|base| {
                let mut multiple = G::Point::default();
                let multiples: Vec<_> = (0..windows.greatest())
                    .map(|_| {
                        G::add_affine(&mut multiple, base);
                        multiple
                    })
                    .collect();
                G::to_affine(&multiples)
            })
            .collect();
        Self { windows, table }
    }

    /// All `scalars` times the generator, in order.
    pub(crate) fn times_all(&self, scalars: &[Scalar]) -> Vec<G::Bellman> {
        scalars
            .par_chunks(CHUNK)
            .flat_map_iter(|chunk| {
                self.times_chunk(chunk).into_iter().map(|point| G::to_bellman(&point))
            })
            .collect()
    }

    fn times_chunk(&self, scalars: &[Scalar]) -> Vec<G::Affine> {
        let recoded: Vec<_> = scalars.iter().map(|scalar| self.windows.recode(scalar)).collect();
        let count = scalars.len();
        // Sums so far, then the term that each of them gets next.
        let mut points = vec![G::Affine::default(); 2 * count];
        let mut sums = vec![G::Affine::default(); count];
        let mut adder = AffineAdder::new();
        for (window, multiples) in self.table.iter().enumerate() {
            points[..count].copy_from_slice(&sums);
            for (slot, scalar) in recoded.iter().enumerate() {
                let digit = self.windows.digit(scalar, window);
                if digit != 0 {
                    let multiple = &multiples[digit.unsigned_abs() as usize - 1];
                    points[count + slot] = if digit < 0 { multiple.negated() } else { *multiple };
                    adder.add(&points, &mut sums, [slot, count + slot, slot]);
                }
            }
            // Each sum must be complete before its next digit.
            adder.flush(&points, &mut sums);
        }
        sums
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

    #[test]
    fn multiples_equal_the_curve_crates() {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, Scalar::from(9)];
        scalars.extend((0..20).map(|_| Scalar::random(&mut rng)));
        for count in [1, 1 << 12] {
            let first = FixedBase::<G1>::generator(count).times_all(&scalars);
            let second = FixedBase::<G2>::generator(count).times_all(&scalars);
            for (at, scalar) in scalars.iter().enumerate() {
                assert_eq!(first[at], G1Affine::from(G1Affine::generator() * scalar));
                assert_eq!(second[at], G2Affine::from(G2Affine::generator() * scalar));
            }
        }
    }
}
