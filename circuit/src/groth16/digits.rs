//! Signed digits of scalars.

use bls12_381::Scalar;

/// A division of 256 bits into windows of `bits` bits.
///
/// Adding `2^(bits-1)` at every window beforehand makes digits independent of each other: the
/// digit is the window's value less `2^(bits-1)`, hence from `-2^(bits-1)` to `2^(bits-1) - 1`.
/// The sum stays below `2^(bits · count)`: scalars are below 0.46 · 2^256 and the addend is below
/// 0.54 · 2^(bits · count) for windows of four bits or more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    bits: usize,
    offset: [u64; LIMBS],
}

/// Limbs of a recoded scalar; the last is room for reading past the end.
const LIMBS: usize = 6;
/// Least and greatest number of bits of a window.
pub(crate) const BITS: std::ops::RangeInclusive<usize> = 4..=16;

/// A scalar with the offset added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recoded([u64; LIMBS]);

impl Windows {
    /// # Panics
    /// If `bits` is not in [`BITS`].
    pub(crate) fn new(bits: usize) -> Self {
        assert!(BITS.contains(&bits), "windows have 4 to 16 bits");
        let mut offset = [0u64; LIMBS];
        for window in 0..256usize.div_ceil(bits) {
            let bit = window * bits + bits - 1;
            offset[bit / 64] |= 1 << (bit % 64);
        }
        Self { bits, offset }
    }

    pub(crate) fn bits(&self) -> usize {
        self.bits
    }

    /// How many digits a scalar has.
    pub(crate) fn count(&self) -> usize {
        256usize.div_ceil(self.bits)
    }

    /// Greatest absolute value of a digit.
    pub(crate) fn greatest(&self) -> usize {
        1 << (self.bits - 1)
    }

    pub(crate) fn recode(&self, scalar: &Scalar) -> Recoded {
        let bytes = scalar.to_bytes();
        let mut limbs = self.offset;
        let mut carry = false;
        for (place, limb) in limbs.iter_mut().enumerate() {
            let word = bytes.chunks_exact(8).nth(place).map_or(0, |word| {
                u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"))
            });
            let (sum, first) = limb.overflowing_add(word);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
        Recoded(limbs)
    }

    /// The digit of weight `2^(bits · window)`.
    #[inline]
    pub(crate) fn digit(&self, scalar: &Recoded, window: usize) -> i32 {
        let bit = window * self.bits;
        let (limb, shift) = (bit / 64, bit % 64);
        let pair = u128::from(scalar.0[limb]) | u128::from(scalar.0[limb + 1]) << 64;
        let value = (pair >> shift) as u32 & ((1 << self.bits) - 1);
        // Both are at most 2^16.
        value as i32 - (1 << (self.bits - 1))
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn digits_recompose() {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let mut scalars = vec![Scalar::ZERO, Scalar::ONE, -Scalar::ONE, Scalar::from(8)];
        scalars.extend((0..20).map(|_| Scalar::random(&mut rng)));
        for windows in BITS.map(Windows::new) {
            let radix = Scalar::from(1u64 << windows.bits());
            for scalar in &scalars {
                let recoded = windows.recode(scalar);
                let value = (0..windows.count()).rev().fold(Scalar::ZERO, |sum, window| {
                    let digit = windows.digit(&recoded, window);
                    assert!(digit.unsigned_abs() as usize <= windows.greatest());
                    let size = Scalar::from(u64::from(digit.unsigned_abs()));
                    sum * radix + if digit < 0 { -size } else { size }
                });
                assert_eq!(value, *scalar);
            }
        }
    }
}
