//! Field elements eight at a time, on processors with AVX-512 IFMA.
//!
//! An element is five limbs of 52 bits; a vector has one limb of eight elements. Products are Montgomery products
//! with `R = 2^260`, after Gueron and Krasnov, "Software implementation of modular exponentiation, using advanced
//! vector instructions architectures" (2012). Elements are not fully reduced in between. This is how large they may be,
//! in units of `2^255`, of which the modulus is 0.906; an element below 32 of them fits the limbs.
//!
//! ```text
//! product(a, b)      takes a * b below 32 * 32, gives below a * b / 32 + 0.91
//! reduced(a)         takes below 32,            gives below 3.9
//! difference(a, b)   takes b below 3.6,         gives below a + 3.7
//! ```
//!
//! Who uses them says how large what he computes is, and tests it against the portable form.

#![allow(
    unsafe_code,
    reason = "vectors go to memory, and the processor is asked, before these instructions are used"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_sub_epi64,
};
use std::sync::LazyLock;

use bls12_381::Scalar as Fr;

/// Elements of a vector.
pub(crate) const LANES: usize = 8;
/// Limbs of an element.
const LIMBS: usize = 5;
/// Bits of a limb.
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;
/// Bits of the highest limb below `2^255`.
const TOP_BITS: u32 = 255 - 4 * BITS;

/// Limbs of one number.
pub(crate) type Limbs = [u64; LIMBS];
/// Eight elements: vector `i` has limb `i` of each.
pub(crate) type Eight = [__m512i; LIMBS];

/// Numbers that all products need.
struct Constants {
    modulus: Limbs,
    /// `-modulus^-1` modulo `2^52`.
    inverse: u64,
    /// `2^255 - modulus`.
    complement: Limbs,
    /// Four times the modulus, in limbs so large that those of a carried number can be taken from them.
    four: Limbs,
    /// `2^260` in the field.
    radix: Fr,
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(Constants::new);

impl Constants {
    fn new() -> Constants {
        // The largest element is one below the modulus.
        let mut modulus = split(&-Fr::one());
        modulus[0] += 1;
        // Newton's iteration doubles the bits that are right, of which an odd number has three.
        let mut inverse = modulus[0];
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(modulus[0].wrapping_mul(inverse)));
        }
        let mut complement = modulus.map(|limb| MASK - limb);
        complement[0] += 1;
        complement[4] &= (1 << TOP_BITS) - 1;
        let mut four = modulus.map(|limb| 4 * limb);
        for limb in 0..LIMBS - 1 {
            four[limb + 1] += four[limb] >> BITS;
            four[limb] &= MASK;
        }
        for limb in 0..LIMBS - 1 {
            four[limb] += 1 << BITS;
            four[limb + 1] -= 1;
        }
        let radix = Fr::from(2).pow(&[260, 0, 0, 0]);
        Constants { modulus, inverse: inverse.wrapping_neg() & MASK, complement, four, radix }
    }
}

/// Whether this processor has the instructions.
pub(crate) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// The form of an element in which products take it.
pub(crate) fn limbs(element: &Fr) -> Limbs {
    split(&(element * CONSTANTS.radix))
}

/// The number of an element, below the modulus.
fn split(element: &Fr) -> Limbs {
    let bytes = element.to_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    let [a, b, c, d] = [0, 1, 2, 3].map(|word: usize| u64::from_le_bytes(words[word]));
    [
        a & MASK,
        (a >> 52 | b << 12) & MASK,
        (b >> 40 | c << 24) & MASK,
        (c >> 28 | d << 36) & MASK,
        d >> 16,
    ]
}

/// The element of a number below `2^256`.
fn join([a, b, c, d, e]: Limbs) -> Fr {
    Fr::from_raw([a | b << 52, b >> 12 | c << 40, c >> 24 | d << 28, d >> 36 | e << 16])
}

/// Vectors that all products need.
pub(crate) struct Arithmetic {
    modulus: Eight,
    inverse: __m512i,
    complement: Eight,
    four: Eight,
}

impl Arithmetic {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn new() -> Arithmetic {
        Arithmetic {
            modulus: spread(&CONSTANTS.modulus),
            inverse: word(CONSTANTS.inverse),
            complement: spread(&CONSTANTS.complement),
            four: spread(&CONSTANTS.four),
        }
    }

    /// `a * b / 2^260` modulo the modulus. Limbs of both are below `2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn product(&self, a: &Eight, b: &Eight) -> Eight {
        let zero = _mm512_setzero_si512();
        let mut held = [zero; LIMBS];
        for limb in a {
            for (held, factor) in held.iter_mut().zip(b) {
                *held = _mm512_madd52lo_epu64(*held, *limb, *factor);
            }
            let multiple = _mm512_madd52lo_epu64(zero, held[0], self.inverse);
            for (held, modulus) in held.iter_mut().zip(&self.modulus) {
                *held = _mm512_madd52lo_epu64(*held, multiple, *modulus);
            }
            // The lowest limb is a multiple of 2^52 now, and leaves; high halves belong one limb up.
            let carry = _mm512_srli_epi64::<BITS>(held[0]);
            held = [_mm512_add_epi64(held[1], carry), held[2], held[3], held[4], zero];
            for ((held, factor), modulus) in held.iter_mut().zip(b).zip(&self.modulus) {
                *held = _mm512_madd52hi_epu64(*held, *limb, *factor);
                *held = _mm512_madd52hi_epu64(*held, multiple, *modulus);
            }
        }
        carried(held)
    }

    /// The same element below 3.9 * 2^255, from limbs that sum up to less than `2^260`: what is above `2^255` is
    /// replaced by as many times `2^255 - modulus`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn reduced(&self, x: Eight) -> Eight {
        let mut x = carried(x);
        let above = _mm512_srli_epi64::<TOP_BITS>(x[4]);
        x[4] = _mm512_and_si512(x[4], word((1 << TOP_BITS) - 1));
        for (limb, complement) in x.iter_mut().zip(&self.complement) {
            *limb = _mm512_madd52lo_epu64(*limb, above, *complement);
        }
        for (limb, complement) in x[1..].iter_mut().zip(&self.complement) {
            *limb = _mm512_madd52hi_epu64(*limb, above, *complement);
        }
        carried(x)
    }

    /// `a - b`, carried, of which limbs of `b` are below `2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn difference(&self, a: &Eight, b: &Eight) -> Eight {
        let mut difference = sum(a, &self.four);
        for (limb, other) in difference.iter_mut().zip(b) {
            *limb = _mm512_sub_epi64(*limb, *other);
        }
        carried(difference)
    }

    /// The elements of a vector, as the rest of the program has them. They are below 32.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(crate) fn elements(&self, x: &Eight) -> [Fr; LANES] {
        // A product with one takes the factor 2^260 away, and gives a number below 2^256.
        unpack(&self.product(x, &spread(&[1, 0, 0, 0, 0]))).map(join)
    }
}

/// Brings all limbs but the highest below `2^52`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn carried(mut x: Eight) -> Eight {
    let mask = word(MASK);
    for limb in 0..LIMBS - 1 {
        let carry = _mm512_srli_epi64::<BITS>(x[limb]);
        x[limb] = _mm512_and_si512(x[limb], mask);
        x[limb + 1] = _mm512_add_epi64(x[limb + 1], carry);
    }
    x
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn sum(a: &Eight, b: &Eight) -> Eight {
    let mut sum = *a;
    for (limb, other) in sum.iter_mut().zip(b) {
        *limb = _mm512_add_epi64(*limb, *other);
    }
    sum
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn shifted<const BY: u32>(a: &Eight) -> Eight {
    let mut shifted = *a;
    for limb in &mut shifted {
        *limb = _mm512_slli_epi64::<BY>(*limb);
    }
    shifted
}

/// A number in all lanes of a vector.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn word(number: u64) -> __m512i {
    _mm512_set1_epi64(number.cast_signed())
}

/// One element in all lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn spread(limbs: &Limbs) -> Eight {
    let [a, b, c, d, e] = *limbs;
    [word(a), word(b), word(c), word(d), word(e)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(crate) fn pack(elements: &[Limbs; LANES]) -> Eight {
    let mut packed = [_mm512_setzero_si512(); LIMBS];
    for (limb, vector) in packed.iter_mut().enumerate() {
        let [a, b, c, d, e, f, g, h] = elements.each_ref().map(|of| of[limb].cast_signed());
        *vector = _mm512_set_epi64(h, g, f, e, d, c, b, a);
    }
    packed
}

/// The limbs of each lane.
pub(crate) fn unpack(packed: &Eight) -> [Limbs; LANES] {
    // SAFETY: both are 64 bytes without padding, and every pattern of bits is a number.
    let vectors =
        packed.map(|vector| unsafe { std::mem::transmute::<__m512i, [u64; LANES]>(vector) });
    std::array::from_fn(|lane| vectors.map(|vector| vector[lane]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_limbs() {
        for number in [Fr::zero(), Fr::one(), -Fr::one(), Fr::from(2).pow(&[208, 0, 0, 0])] {
            assert_eq!(join(split(&number)), number);
        }
        let Constants { modulus, inverse, complement, four, .. } = &*CONSTANTS;
        assert_eq!(modulus[0].wrapping_mul(*inverse) & MASK, MASK, "it is -1 / modulus");
        let (mut carry, mut total) = (0, [0; LIMBS]);
        for limb in 0..LIMBS {
            let added = modulus[limb] + complement[limb] + carry;
            (total[limb], carry) = (added & MASK, added >> BITS);
        }
        assert_eq!(total, [0, 0, 0, 0, 1 << TOP_BITS], "together they are 2^255");
        assert!(four[..4].iter().all(|limb| *limb >= MASK), "limbs of a carried number fit");
        let number = |limbs: &Limbs| {
            let power = |limb: usize| Fr::from(2).pow(&[52 * limb as u64, 0, 0, 0]);
            (0..LIMBS).map(|limb| Fr::from(limbs[limb]) * power(limb)).sum::<Fr>()
        };
        assert_eq!(number(four), Fr::zero(), "a multiple of the modulus");
    }

    #[test]
    fn products_and_differences_of_large_forms_are_right() {
        if !is_there() {
            return eprintln!("this processor has no AVX-512 IFMA: nothing was compared");
        }
        // SAFETY: the processor has the instructions.
        unsafe { compare() }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn compare() {
        let arithmetic = Arithmetic::new();
        let extremes = [
            Fr::zero(),
            Fr::one(),
            -Fr::one(),
            Fr::from(MASK),
            -Fr::from(MASK),
            Fr::from(2).pow(&[254, 0, 0, 0]),
            Fr::from(2).invert().unwrap(),
            -Fr::from(7),
        ];
        let radix = CONSTANTS.radix;
        for shift in 0..8 {
            let others: [Fr; 8] = std::array::from_fn(|lane| extremes[(lane + shift) % 8]);
            let (a, b) =
                (pack(&extremes.each_ref().map(limbs)), pack(&others.each_ref().map(limbs)));
            let check = |found: &Eight, expected: &dyn Fn(Fr, Fr) -> Fr| {
                let expected: [Fr; 8] = std::array::from_fn(|l| expected(extremes[l], others[l]));
                assert_eq!(arithmetic.elements(found), expected);
            };
            check(&arithmetic.product(&a, &b), &|a, b| a * b);
            let less = arithmetic.difference(&a, &b);
            check(&less, &|a, b| a - b);
            // 4.6 and 8.3 units.
            let more = carried(sum(&less, &arithmetic.difference(&b, &a)));
            check(&more, &|_, _| Fr::zero());
            check(&arithmetic.product(&less, &more), &|_, _| Fr::zero());
            let wide = carried(shifted::<2>(&less));
            check(&arithmetic.product(&wide, &wide), &|a, b| (a - b).square() * Fr::from(16));
            check(&arithmetic.reduced(wide), &|a, b| (a - b) * Fr::from(4));
            assert_eq!(radix, CONSTANTS.radix);
        }
    }
}
