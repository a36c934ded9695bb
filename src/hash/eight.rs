//! Compressions eight and sixteen at a time, on processors with AVX-512 IFMA.
//!
//! How large elements are in between, in the units of [`crate::ifma`]:
//!
//! ```text
//! linear layer    takes below 1.9, gives below 3.9
//! S-box           takes below 7,   gives below 1.4
//! partial round   takes below 5,   gives below 4
//! ```
//!
//! The tests hold it against the portable permutation.

#![allow(unsafe_code, reason = "the processor is asked before these instructions are used")]

use std::array::from_fn;
use std::sync::LazyLock;

use super::poseidon2::{FULL_ROUNDS_PER_END, Parameters};
use super::{Domain, Fr, T4};
use crate::ifma::{
    Arithmetic, Eight, LANES, Limbs, carried, is_there, limbs, pack, shifted, spread, sum,
};

/// Numbers of the permutation in the form of products.
struct Constants {
    first_full: [[Limbs; 4]; FULL_ROUNDS_PER_END],
    partial: Vec<Limbs>,
    last_full: [[Limbs; 4]; FULL_ROUNDS_PER_END],
    diagonal: [Limbs; 4],
    /// The tag of each domain.
    tags: [Limbs; Domain::ALL.len()],
}

static CONSTANTS: LazyLock<Constants> = LazyLock::new(|| {
    let Parameters { first_full, partial, last_full, diagonal } = &T4;
    Constants {
        first_full: first_full.map(|round| round.each_ref().map(limbs)),
        partial: partial.iter().map(limbs).collect(),
        last_full: last_full.map(|round| round.each_ref().map(limbs)),
        diagonal: diagonal.each_ref().map(limbs),
        tags: Domain::ALL.map(|domain| limbs(&domain.tag())),
    }
});

/// Inputs of eight compressions.
pub(super) type Inputs = [[Fr; 4]; LANES];

/// [`super::compress4`] of `N` times eight inputs. Two times eight take less time than eight twice: while the result
/// of one product is waited for, the other has its turn.
///
/// # Panics
/// On a processor without the instructions: see [`is_there`].
pub(super) fn compress4<const N: usize>(domain: Domain, inputs: &[Inputs; N]) -> [[Fr; LANES]; N] {
    assert!(is_there(), "the processor has no AVX-512 IFMA");
    let tag = &CONSTANTS.tags[domain.index()];
    // SAFETY: the processor has the instructions, which is all that these functions ask for.
    unsafe { compress(tag, inputs) }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn compress<const N: usize>(tag: &Limbs, inputs: &[Inputs; N]) -> [[Fr; LANES]; N] {
    let arithmetic = Arithmetic::new();
    let given: [[Eight; 4]; N] = from_fn(|of| {
        [0, 1, 2, 3]
            .map(|lane: usize| pack(&inputs[of].each_ref().map(|input| limbs(&input[lane]))))
    });
    let states = arithmetic.permute(given);
    from_fn(|of| {
        let fed = |lane: usize| carried(sum(&states[of][lane], &given[of][lane]));
        let tagged = arithmetic.product(&fed(1), &spread(tag));
        arithmetic.elements(&carried(sum(&tagged, &fed(0))))
    })
}

impl Arithmetic {
    /// The permutation of [`T4`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn permute<const N: usize>(&self, given: [[Eight; 4]; N]) -> [[Eight; 4]; N] {
        let mut states = given.map(|state| self.linear(state));
        for constants in &CONSTANTS.first_full {
            states = states.map(|state| self.full_round(&state, constants));
        }
        for constant in &CONSTANTS.partial {
            self.partial_round(&mut states, constant);
        }
        for constants in &CONSTANTS.last_full {
            states = states.map(|state| self.full_round(&state, constants));
        }
        states
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn full_round(&self, state: &[Eight; 4], constants: &[Limbs; 4]) -> [Eight; 4] {
        let given: [Eight; 4] =
            from_fn(|lane| carried(sum(&state[lane], &spread(&constants[lane]))));
        self.linear(self.fifth_powers(&given))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn partial_round<const N: usize>(&self, states: &mut [[Eight; 4]; N], constant: &Limbs) {
        let given: [Eight; N] = from_fn(|of| carried(sum(&states[of][0], &spread(constant))));
        let boxed = self.fifth_powers(&given);
        for (state, first) in states.iter_mut().zip(boxed) {
            let [_, second, third, fourth] = &*state;
            let total = self.reduced(sum(&sum(&first, second), &sum(third, fourth)));
            state[0] = first;
            for (lane, factor) in state.iter_mut().zip(&CONSTANTS.diagonal) {
                *lane = carried(sum(&self.product(lane, &spread(factor)), &total));
            }
        }
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

    /// Fifth powers, a step of all before the next step.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fifth_powers<const N: usize>(&self, of: &[Eight; N]) -> [Eight; N] {
        let squares: [Eight; N] = from_fn(|at| self.product(&of[at], &of[at]));
        let fourth: [Eight; N] = from_fn(|at| self.product(&squares[at], &squares[at]));
        from_fn(|at| self.product(&fourth[at], &of[at]))
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::hash;

    /// Compares with the portable form; says so and passes where the instructions are missing.
    fn agrees(domain: Domain, inputs: &Inputs) -> [Fr; LANES] {
        let expected = inputs.map(|input| hash::compress4(domain, input));
        if is_there() {
            assert_eq!(compress4(domain, &[*inputs]), [expected], "{domain:?} {inputs:?}");
            let mut turned = *inputs;
            turned.rotate_left(3);
            let mut of_turned = expected;
            of_turned.rotate_left(3);
            assert_eq!(compress4(domain, &[*inputs, turned]), [expected, of_turned]);
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
        let limb = Fr::from((1 << 52) - 1);
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
}
