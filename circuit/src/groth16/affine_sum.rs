//! Additions of affine points in batches.
//!
//! An affine addition needs one inversion. Montgomery's trick shares it among a thousand
//! additions, each of which then costs five multiplications and a squaring, where adding an affine
//! to a projective point costs ten or more.

use super::point::{Affine, Coordinate as _};

/// Additions that share one inversion: an inversion costs some hundred multiplications.
const BATCH: usize = 1024;

struct Addition<F> {
    left: u32,
    right: u32,
    slot: u32,
    /// `x₂ - x₁`, or `2y` for a doubling; never zero.
    denominator: F,
    /// Product of the denominators before this one.
    before: F,
}

/// Collects additions of points in one list and carries them out together into another.
///
/// All calls between two [`Self::flush`]es must name the same lists.
pub(crate) struct AffineAdder<A: Affine> {
    pending: Vec<Addition<A::Field>>,
    product: A::Field,
}

impl<A: Affine> AffineAdder<A> {
    pub(crate) fn new() -> Self {
        Self { pending: Vec::with_capacity(BATCH), product: A::Field::default() }
    }

    /// Has `points[left] + points[right]` written to `out[slot]`, at once or by the next
    /// [`Self::flush`] at the latest.
    #[inline]
    pub(crate) fn add(&mut self, points: &[A], out: &mut [A], [left, right, slot]: [usize; 3]) {
        let (first, second) = (&points[left], &points[right]);
        if first.is_identity() {
            out[slot] = *second;
            return;
        }
        if second.is_identity() {
            out[slot] = *first;
            return;
        }
        let mut denominator = second.x().minus(first.x());
        if denominator.is_zero() {
            if first.negated() == *second {
                out[slot] = A::default();
                return;
            }
            denominator = first.y().plus(first.y());
        }
        let before = self.product;
        self.product =
            if self.pending.is_empty() { denominator } else { before.times(&denominator) };
        // Lists have fewer than 2^32 points, since places in a key file have 32 bits.
        let [left, right, slot] = [left, right, slot].map(|place| place as u32);
        self.pending.push(Addition { left, right, slot, denominator, before });
        if self.pending.len() == BATCH {
            self.flush(points, out);
        }
    }

    /// Writes all sums that are outstanding.
    pub(crate) fn flush(&mut self, points: &[A], out: &mut [A]) {
        // Inverse of the product of this denominator and all before it.
        let mut inverse = self.product.inverse();
        for (place, addition) in self.pending.iter().enumerate().rev() {
            let own = if place == 0 { inverse } else { inverse.times(&addition.before) };
            inverse = inverse.times(&addition.denominator);
            let (left, right) = (&points[addition.left as usize], &points[addition.right as usize]);
            out[addition.slot as usize] = sum(left, right, &own);
        }
        self.pending.clear();
    }
}

/// The sum of two points, given the inverse of the denominator.
#[inline]
fn sum<A: Affine>(left: &A, right: &A, inverse: &A::Field) -> A {
    let mut numerator = right.y().minus(left.y());
    if numerator.is_zero() {
        // Equal points: as y² = x³ + b on both curves, the tangent's slope is 3x² / 2y. Different
        // points of equal y exist too (x times a cube root of 1), and their slope is 0.
        if left.x() == right.x() {
            let square = left.x().square();
            numerator = square.plus(&square).plus(&square);
        }
    }
    let slope = numerator.times(inverse);
    let x = slope.square().minus(left.x()).minus(right.x());
    let y = slope.times(&left.x().minus(&x)).minus(left.y());
    A::new(x, y)
}
