//! Eight compressions at a time, on processors with AVX-512 IFMA.
//!
//! A field element is five limbs of 52 bits; a vector has one limb of eight elements. Products are Montgomery products
//! with `R = 2^260`, after Gueron and Krasnov, "Software implementation of modular exponentiation, using advanced
//! vector instructions architectures" (2012). Elements are not fully reduced in between. This is how large they may be,
//! in units of `2^255`, of which the modulus is 0.906; an element below 32 of them fits the limbs.
//!
//! ```text
//! product(a, b)   takes a * b below 32 * 32, gives below a * b / 32 + 0.91
//! linear layer    takes below 1.9,           gives below 3.9
//! S-box           takes below 7,             gives below 1.4
//! partial round   takes below 5,             gives below 4
//! ```
//!
//! The tests hold it against the portable permutation.

#![allow(
    unsafe_code,
    reason = "vectors go to memory, and the processor is asked, before these instructions are used"
)]

use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_set_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi64,
    _mm512_srli_epi64,
};
use std::sync::LazyLock;

use super::poseidon2::{FULL_ROUNDS_PER_END, Parameters};
use super::{Domain, Fr, T4};

/// Elements of a vector.
pub(super) const LANES: usize = 8;
/// Limbs of an element.
const LIMBS: usize = 5;
/// Bits of a limb.
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;
/// Bits of the highest limb below `2^255`.
const TOP_BITS: u32 = 255 - 4 * BITS;

/// Limbs of one number.
type Limbs = [u64; LIMBS];
/// Eight elements: vector `i` has limb `i` of each.
type Eight = [__m512i; LIMBS];

/// Numbers of the protocol in the form in which they are used here.
struct Constants {
    modulus: Limbs,
    /// `-modulus^-1` modulo `2^52`.
    inverse: u64,
    /// `2^255 - modulus`.
    complement: Limbs,
    /// `2^260` in the field.
    radix: Fr,
    first_full: [[Limbs; 4]; FULL_ROUNDS_PER_END],
    partial: Vec<Limbs>,
    last_full: [[Limbs; 4]; FULL_ROUNDS_PER_END],
    diagonal: [Limbs; 4],
    /// The tag of each domain.
    tags: [Limbs; Domain::ALL.len()],
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(Constants::new);

impl Constants {
    fn new() -> Constants {
        let Parameters { first_full, partial, last_full, diagonal } = &T4;
        let radix = Fr::from(2).pow(&[260, 0, 0, 0]);
        let form = |element: &Fr| limbs(&(element * radix));
        // The largest element is one below the modulus.
        let mut modulus = limbs(&-Fr::one());
        modulus[0] += 1;
        // Newton's iteration doubles the bits that are right, of which an odd number has three.
        let mut inverse = modulus[0];
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(modulus[0].wrapping_mul(inverse)));
        }
        let mut complement = modulus.map(|limb| MASK - limb);
        complement[0] += 1;
        complement[4] &= (1 << TOP_BITS) - 1;
        Constants {
            modulus,
            inverse: inverse.wrapping_neg() & MASK,
            complement,
            radix,
            first_full: first_full.map(|round| round.each_ref().map(form)),
            partial: partial.iter().map(form).collect(),
            last_full: last_full.map(|round| round.each_ref().map(form)),
            diagonal: diagonal.each_ref().map(form),
            tags: Domain::ALL.map(|domain| form(&domain.tag())),
        }
    }
}

/// Whether this processor has the instructions.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// [`super::compress4`] of eight inputs.
///
/// # Panics
/// On a processor without the instructions: see [`is_there`].
pub(super) fn compress4(domain: Domain, inputs: &[[Fr; 4]; LANES]) -> [Fr; LANES] {
    assert!(is_there(), "the processor has no AVX-512 IFMA");
    let tag = &CONSTANTS.tags[domain.index()];
    // SAFETY: the processor has the instructions, which is all that these functions ask for.
    unsafe { compress(tag, inputs) }
}

/// The number of an element, below the modulus.
fn limbs(element: &Fr) -> Limbs {
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
fn element([a, b, c, d, e]: Limbs) -> Fr {
    Fr::from_raw([a | b << 52, b >> 12 | c << 40, c >> 24 | d << 28, d >> 36 | e << 16])
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn compress(tag: &Limbs, inputs: &[[Fr; 4]; LANES]) -> [Fr; LANES] {
    let arithmetic = Arithmetic::new();
    let given = [0, 1, 2, 3].map(|lane: usize| {
        pack(&inputs.each_ref().map(|input| limbs(&(input[lane] * CONSTANTS.radix))))
    });
    let state = arithmetic.permute(given);
    let fed = |lane: usize| carried(sum(&state[lane], &given[lane]));
    let tagged = arithmetic.product(&fed(1), &spread(tag));
    // A product with one takes the factor 2^260 away, and gives a number below 2^256.
    let one = spread(&[1, 0, 0, 0, 0]);
    let plain = arithmetic.product(&carried(sum(&tagged, &fed(0))), &one);
    unpack(&plain).map(element)
}

/// Vectors that all products need.
struct Arithmetic {
    modulus: Eight,
    inverse: __m512i,
    complement: Eight,
}

impl Arithmetic {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new() -> Arithmetic {
        Arithmetic {
            modulus: spread(&CONSTANTS.modulus),
            inverse: word(CONSTANTS.inverse),
            complement: spread(&CONSTANTS.complement),
        }
    }

    /// The permutation of [`T4`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn permute(&self, given: [Eight; 4]) -> [Eight; 4] {
        let mut state = self.linear(given);
        for constants in &CONSTANTS.first_full {
            state = self.full_round(&state, constants);
        }
        for constant in &CONSTANTS.partial {
            state = self.partial_round(&state, constant);
        }
        for constants in &CONSTANTS.last_full {
            state = self.full_round(&state, constants);
        }
        state
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn full_round(&self, state: &[Eight; 4], constants: &[Limbs; 4]) -> [Eight; 4] {
        let mut boxed = *state;
        for (lane, constant) in boxed.iter_mut().zip(constants) {
            *lane = self.fifth_power(&carried(sum(lane, &spread(constant))));
        }
        self.linear(boxed)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn partial_round(&self, state: &[Eight; 4], constant: &Limbs) -> [Eight; 4] {
        let [first, second, third, fourth] = state;
        let first = self.fifth_power(&carried(sum(first, &spread(constant))));
        let total = self.reduced(sum(&sum(&first, second), &sum(third, fourth)));
        let mut next = [first, *second, *third, *fourth];
        for (lane, factor) in next.iter_mut().zip(&CONSTANTS.diagonal) {
            *lane = carried(sum(&self.product(lane, &spread(factor)), &total));
        }
        next
    }

    /// The external matrix, as in [`super::poseidon2::multiply_external`]: at most sixteen times the largest lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn linear(&self, [a, b, c, d]: [Eight; 4]) -> [Eight; 4] {
        let (left, right) = (sum(&a, &b), sum(&c, &d));
        let (second, fourth) = (sum(&shifted::<1>(&b), &right), sum(&shifted::<1>(&d), &left));
        let last = sum(&shifted::<2>(&right), &fourth);
        let next = sum(&shifted::<2>(&left), &second);
        let lanes = [sum(&fourth, &next), next, sum(&second, &last), last];
        let [a, b, c, d] = lanes;
        [self.reduced(a), self.reduced(b), self.reduced(c), self.reduced(d)]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fifth_power(&self, x: &Eight) -> Eight {
        let square = self.product(x, x);
        self.product(&self.product(&square, &square), x)
    }

    /// `a * b / 2^260` modulo the modulus. Limbs of both are below `2^52`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn product(&self, a: &Eight, b: &Eight) -> Eight {
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
    fn reduced(&self, x: Eight) -> Eight {
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
}

/// Brings all limbs but the highest below `2^52`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn carried(mut x: Eight) -> Eight {
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
fn sum(a: &Eight, b: &Eight) -> Eight {
    let mut sum = *a;
    for (limb, other) in sum.iter_mut().zip(b) {
        *limb = _mm512_add_epi64(*limb, *other);
    }
    sum
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn shifted<const BY: u32>(a: &Eight) -> Eight {
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
fn spread(limbs: &Limbs) -> Eight {
    let [a, b, c, d, e] = *limbs;
    [word(a), word(b), word(c), word(d), word(e)]
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn pack(elements: &[Limbs; LANES]) -> Eight {
    let mut packed = [_mm512_setzero_si512(); LIMBS];
    for (limb, vector) in packed.iter_mut().enumerate() {
        let [a, b, c, d, e, f, g, h] = elements.each_ref().map(|of| of[limb].cast_signed());
        *vector = _mm512_set_epi64(h, g, f, e, d, c, b, a);
    }
    packed
}

fn unpack(packed: &Eight) -> [Limbs; LANES] {
    // SAFETY: both are 64 bytes without padding, and every pattern of bits is a number.
    let vectors =
        packed.map(|vector| unsafe { std::mem::transmute::<__m512i, [u64; LANES]>(vector) });
    std::array::from_fn(|lane| vectors.map(|vector| vector[lane]))
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::hash;

    /// Compares with the portable form; says so and passes where the instructions are missing.
    fn agrees(domain: Domain, inputs: &[[Fr; 4]; LANES]) -> [Fr; LANES] {
        let expected = inputs.map(|input| hash::compress4(domain, input));
        if is_there() {
            assert_eq!(compress4(domain, inputs), expected, "{domain:?} {inputs:?}");
        } else {
            eprintln!("this processor has no AVX-512 IFMA: nothing was compared");
        }
        expected
    }

    #[test]
    fn eight_lanes_give_what_the_portable_permutation_gives() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        for domain in Domain::ALL {
            for _ in 0..20 {
                let random = |_| std::array::from_fn(|_| Fr::random(&mut rng));
                agrees(domain, &std::array::from_fn(random));
            }
        }
    }

    #[test]
    fn extreme_elements_are_no_exception() {
        let half = Fr::from(2).invert().unwrap();
        let high = Fr::from(2).pow(&[254, 0, 0, 0]);
        let limb = Fr::from(MASK);
        let extremes = [Fr::zero(), Fr::one(), -Fr::one(), half, high, -high, limb, -limb];
        for shift in 0..8 {
            for stride in 0..8 {
                let input = |lane: usize| {
                    [0, 1, 2, 3].map(|place: usize| extremes[(lane + shift + place * stride) % 8])
                };
                agrees(Domain::Node, &std::array::from_fn(input));
            }
        }
    }

    #[test]
    fn a_chain_of_two_hundred_stays_equal() {
        let mut inputs: [[Fr; 4]; LANES] = std::array::from_fn(|lane| {
            [0, 1, 2, 3].map(|place| Fr::from((4 * lane + place) as u64))
        });
        for _ in 0..200 {
            let hashes = agrees(Domain::Node, &inputs);
            for (lane, input) in inputs.iter_mut().enumerate() {
                input.rotate_left(1);
                input[3] = hashes[(lane + 1) % LANES];
            }
        }
    }

    #[test]
    fn numbers_survive_their_limbs() {
        for number in [Fr::zero(), Fr::one(), -Fr::one(), Fr::from(2).pow(&[208, 0, 0, 0])] {
            assert_eq!(element(limbs(&number)), number);
        }
        let Constants { modulus, inverse, complement, .. } = &*CONSTANTS;
        assert_eq!(modulus[0].wrapping_mul(*inverse) & MASK, MASK, "it is -1 / modulus");
        let (mut carry, mut total) = (0, [0; LIMBS]);
        for limb in 0..LIMBS {
            let added = modulus[limb] + complement[limb] + carry;
            (total[limb], carry) = (added & MASK, added >> BITS);
        }
        assert_eq!(total, [0, 0, 0, 0, 1 << TOP_BITS], "together they are 2^255");
    }
}
