//! Multi-exponentiation: `sum_i scalar_i point_i`.
//!
//! Pippenger's buckets with signed digits. What is added to a bucket is first sorted by bucket and
//! then summed in rounds of pairs, so that affine additions of a whole window share inversions.
//! Zero digits cost nothing, so the many small values of a witness are cheap.

use bls12_381::Scalar;
use rayon::prelude::*;

use super::affine_sum::AffineAdder;
use super::digits::{BITS, Recoded, Windows};
use super::point::{Affine, Group};

/// Cost of an affine addition in a batch, in field multiplications.
const BATCHED_ADDITION: usize = 7;
/// Cost of a bucket after its sum is known: one addition in its row, one in its column.
const BUCKET: usize = 2 * BATCHED_ADDITION;

/// The sum of `scalars[i] · points[i]`. Not constant time.
///
/// # Panics
/// If the lengths differ; a [`super::key::ProvingKey`] guarantees that they do not.
pub(crate) fn multi_exp<G: Group>(points: &[G::Affine], scalars: &[Scalar]) -> G::Point {
    assert_eq!(points.len(), scalars.len(), "each point has one scalar");
    let windows = best_windows(scalars);
    let recoded: Vec<_> = scalars.par_iter().map(|scalar| windows.recode(scalar)).collect();
    // Enough pieces to keep all threads busy to the end, yet few, for each has its own buckets.
    let pieces = (4 * rayon::current_num_threads()).div_ceil(windows.count());
    let piece = points.len().div_ceil(pieces).max(1);
    let sums: Vec<G::Point> = (0..windows.count())
        .into_par_iter()
        .map(|window| {
            points
                .par_chunks(piece)
                .zip(recoded.par_chunks(piece))
                .map(|(points, scalars)| window_sum::<G>(points, scalars, &windows, window))
                .reduce(G::Point::default, |mut sum, other| {
                    G::add(&mut sum, &other);
                    sum
                })
        })
        .collect();
    let mut total = G::Point::default();
    for sum in sums.iter().rev() {
        (0..windows.bits()).for_each(|_| G::double(&mut total));
        G::add(&mut total, sum);
    }
    total
}

/// The window size with the least estimated cost for so many bits in all.
fn best_windows(scalars: &[Scalar]) -> Windows {
    let bits: usize = scalars
        .par_iter()
        .map(|scalar| {
            let bytes = scalar.to_bytes();
            8 * bytes.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1)
        })
        .sum();
    let full = bits / 256;
    let cost = |windows: &Windows| {
        windows.count() * (full * BATCHED_ADDITION + windows.greatest() * BUCKET)
    };
    BITS.map(Windows::new).min_by_key(cost).expect("there are several window sizes")
}

/// `sum_i digit_i points[i]` for the digits of one window.
fn window_sum<G: Group>(
    points: &[G::Affine],
    scalars: &[Recoded],
    windows: &Windows,
    window: usize,
) -> G::Point {
    let (order, mut lengths) = sorted_by_bucket(scalars, windows, window);
    if order.is_empty() {
        return G::Point::default();
    }
    let mut sums: Vec<_> = order
        .iter()
        .map(|entry| {
            let point = &points[entry.index as usize];
            if entry.negative { point.negated() } else { *point }
        })
        .collect();
    sums = sum_groups(&mut lengths, sums);
    let mut sums = sums.into_iter();
    let buckets = lengths
        .iter()
        .map(|length| if *length == 1 { sums.next() } else { None })
        .map(Option::unwrap_or_default)
        .collect();
    weighted_sum::<G>(buckets)
}

/// `sum_i (i + 1) buckets[i]`.
///
/// With `i = width · high + low` this is `width · sum high · R(high) + sum (low + 1) · C(low)`,
/// where R and C are the sums of rows and columns of the buckets as a matrix. Those are sums of
/// affine points again; what is left for weights is one row and one column.
fn weighted_sum<G: Group>(buckets: Vec<G::Affine>) -> G::Point {
    let log_width = buckets.len().trailing_zeros() / 2;
    let width = 1usize << log_width;
    let height = buckets.len() / width;
    let transposed = (0..width)
        .flat_map(|low| buckets.iter().skip(low).step_by(width).copied())
        .collect::<Vec<_>>();
    let rows = sum_groups(&mut vec![width as u32; height], buckets);
    let columns = sum_groups(&mut vec![height as u32; width], transposed);
    let mut total = running_sum::<G>(&rows[1..]);
    (0..log_width).for_each(|_| G::double(&mut total));
    G::add(&mut total, &running_sum::<G>(&columns));
    total
}

/// `sum_i (i + 1) points[i]`: from the top, each point is in the running sum so often.
fn running_sum<G: Group>(points: &[G::Affine]) -> G::Point {
    let (mut running, mut total) = (G::Point::default(), G::Point::default());
    for point in points.iter().rev() {
        G::add_affine(&mut running, point);
        G::add(&mut total, &running);
    }
    total
}

/// A point's place in the list and the sign of its digit.
#[derive(Clone, Copy, Default)]
struct Entry {
    index: u32,
    negative: bool,
}

/// Points with a digit other than zero in the order of its absolute value, and how many there are
/// of each, from 1 on.
fn sorted_by_bucket(
    scalars: &[Recoded],
    windows: &Windows,
    window: usize,
) -> (Vec<Entry>, Vec<u32>) {
    let mut lengths = vec![0u32; windows.greatest()];
    for scalar in scalars {
        let digit = windows.digit(scalar, window);
        if digit != 0 {
            lengths[digit.unsigned_abs() as usize - 1] += 1;
        }
    }
    let mut next = 0;
    let mut places: Vec<u32> = lengths
        .iter()
        .map(|length| {
            next += length;
            next - length
        })
        .collect();
    let mut order = vec![Entry::default(); next as usize];
    for (index, scalar) in (0u32..).zip(scalars) {
        let digit = windows.digit(scalar, window);
        if digit != 0 {
            let place = &mut places[digit.unsigned_abs() as usize - 1];
            order[*place as usize] = Entry { index, negative: digit < 0 };
            *place += 1;
        }
    }
    (order, lengths)
}

/// The sum of each group of points that lie side by side. `lengths` become 1, or 0 where they
/// were; only the former have a sum.
fn sum_groups<A: Affine>(lengths: &mut [u32], mut points: Vec<A>) -> Vec<A> {
    while lengths.iter().any(|length| *length > 1) {
        points = sum_pairs(lengths, &points);
    }
    points
}

/// One round: the points of each bucket, which lie side by side, are added in pairs; an odd one
/// is carried over. `lengths` become those of the result.
fn sum_pairs<A: Affine>(lengths: &mut [u32], points: &[A]) -> Vec<A> {
    let count: u32 = lengths.iter().map(|length| length.div_ceil(2)).sum();
    let mut out = vec![A::default(); count as usize];
    let mut adder = AffineAdder::new();
    let (mut from, mut to) = (0, 0);
    for length in lengths.iter_mut() {
        let end = from + *length as usize;
        while from + 1 < end {
            adder.add(points, &mut out, [from, from + 1, to]);
            from += 2;
            to += 1;
        }
        if from < end {
            out[to] = points[from];
            from += 1;
            to += 1;
        }
        *length = length.div_ceil(2);
    }
    adder.flush(points, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::super::point::{G1, G2};
    use super::*;

    fn agrees_with_blst<G: Group>(count: usize, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let points: Vec<_> = (0..count)
            .map(|_| G::times(&G::generator(), &Scalar::from(1 + rng.next_u64() % 50)))
            .collect();
        // So few different points that equal and opposite ones meet in buckets.
        let points = G::to_affine(&points);
        let scalars: Vec<_> = (0..count)
            .map(|_| match rng.next_u32() % 6 {
                0 => Scalar::ZERO,
                1 => Scalar::ONE,
                2 => -Scalar::ONE,
                3 => Scalar::from(u64::from(rng.next_u32() % 1000)),
                _ => Scalar::random(&mut rng),
            })
            .collect();
        let bytes: Vec<u8> = scalars.iter().flat_map(|scalar| scalar.to_bytes()).collect();
        let expected = G::to_affine(&[G::pippenger(&points, &bytes)]);
        assert_eq!(G::to_affine(&[multi_exp::<G>(&points, &scalars)]), expected);
    }

    #[test]
    fn sums_equal_blsts() {
        for (seed, count) in [0, 1, 2, 3, 31, 100, 1000, 5000].into_iter().enumerate() {
            agrees_with_blst::<G1>(count, seed as u64);
            agrees_with_blst::<G2>(count.min(1000), seed as u64);
        }
    }

    #[test]
    fn opposite_terms_cancel_to_the_identity() {
        let point = G1::generator();
        let points = [point, point.negated(), point, point.negated()];
        let scalars = [7, 7, 300, 300].map(Scalar::from);
        let sum = G1::to_affine(&[multi_exp::<G1>(&points, &scalars)]);
        assert!(sum[0].is_identity());
    }
}
