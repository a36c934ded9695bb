//! The Poseidon2 permutation (<https://eprint.iacr.org/2023/323>) with S-box x^5.
//!
//! One structure serves both widths. The parameters are public, because the circuit gadget and the
//! vectors file are made from the same numbers.

use super::Fr;

/// Number of full rounds at each end of the permutation.
pub const FULL_ROUNDS_PER_END: usize = 4;

/// What distinguishes one Poseidon2 permutation of width `T` from another.
#[derive(Debug)]
pub struct Parameters<const T: usize> {
    /// Constants added to every lane in the full rounds before the partial ones.
    pub first_full: [[Fr; T]; FULL_ROUNDS_PER_END],
    /// Constant added to lane 0 in each partial round.
    pub partial: &'static [Fr],
    /// Constants added to every lane in the full rounds after the partial ones.
    pub last_full: [[Fr; T]; FULL_ROUNDS_PER_END],
    /// The internal matrix is the all-one matrix plus this diagonal.
    pub diagonal: [Fr; T],
}

/// The 4 x 4 matrix from which the external matrices of all widths are built.
pub const M4: [[u64; 4]; 4] = [[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]];

/// The external matrix of width `T`, a multiple of four: `M4` itself for `T = 4`; otherwise blocks
/// of `M4`, twice on the diagonal and once elsewhere.
#[must_use]
pub const fn external_matrix<const T: usize>() -> [[u64; T]; T] {
    assert!(T.is_multiple_of(4), "the external matrix is made of 4 x 4 blocks");
    let mut matrix = [[0; T]; T];
    let mut row = 0;
    while row < T {
        let mut column = 0;
        while column < T {
            let weight = if T > 4 && row / 4 == column / 4 { 2 } else { 1 };
            matrix[row][column] = weight * M4[row % 4][column % 4];
            column += 1;
        }
        row += 1;
    }
    matrix
}

impl<const T: usize> Parameters<T> {
    /// Applies the permutation to `state`.
    pub fn permute(&self, state: &mut [Fr; T]) {
        multiply_external(state);
        for constants in &self.first_full {
            full_round(state, constants);
        }
        for constant in self.partial {
            self.partial_round(state, constant);
        }
        for constants in &self.last_full {
            full_round(state, constants);
        }
    }

    #[inline]
    fn partial_round(&self, state: &mut [Fr; T], constant: &Fr) {
        state[0] = fifth_power(&state[0].add(constant));
        let mut sum = state[0];
        for lane in &state[1..] {
            sum = sum.add(lane);
        }
        for (lane, factor) in state.iter_mut().zip(&self.diagonal) {
            *lane = lane.mul(factor).add(&sum);
        }
    }
}

#[inline]
fn full_round<const T: usize>(state: &mut [Fr; T], constants: &[Fr; T]) {
    for (lane, constant) in state.iter_mut().zip(constants) {
        *lane = fifth_power(&lane.add(constant));
    }
    multiply_external(state);
}

#[inline]
fn fifth_power(x: &Fr) -> Fr {
    x.square().square().mul(x)
}

/// Multiplies by [`external_matrix`] with additions and doublings only.
pub fn multiply_external<const T: usize>(state: &mut [Fr; T]) {
    for block in state.chunks_exact_mut(4) {
        multiply_m4(block);
    }
    if T > 4 {
        let mut sums = [Fr::zero(); 4];
        for (index, lane) in state.iter().enumerate() {
            sums[index % 4] = sums[index % 4].add(lane);
        }
        for (index, lane) in state.iter_mut().enumerate() {
            *lane = lane.add(&sums[index % 4]);
        }
    }
}

#[inline]
fn multiply_m4(x: &mut [Fr]) {
    let left = x[0].add(&x[1]);
    let right = x[2].add(&x[3]);
    let second = x[1].double().add(&right);
    let fourth = x[3].double().add(&left);
    x[3] = right.double().double().add(&fourth);
    x[1] = left.double().double().add(&second);
    x[0] = fourth.add(&x[1]);
    x[2] = second.add(&x[3]);
}

/// Reads a constant of the parameter files at compile time.
pub(super) const fn fr(hexadecimal: &str) -> Fr {
    let digits = hexadecimal.as_bytes();
    assert!(digits.len() == 64, "a constant has 64 hexadecimal digits");
    let mut limbs = [0u64; 4];
    let mut index = 0;
    while index < 64 {
        let digit = match digits[index] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("a constant is lower-case hexadecimal"),
        };
        let limb = 3 - index / 16;
        limbs[limb] = (limbs[limb] << 4) | digit as u64;
        index += 1;
    }
    Fr::from_raw(limbs)
}

/// The inverse of a permutation, which shows what whoever runs it backwards can reach.
#[cfg(test)]
pub(super) mod backwards {
    use super::{FULL_ROUNDS_PER_END, Fr, Parameters};

    /// Undoes [`Parameters::permute`] of width four.
    pub(crate) fn invert(parameters: &Parameters<4>, state: &mut [Fr; 4]) {
        let Parameters { first_full, partial, last_full, diagonal } = parameters;
        for round in (0..FULL_ROUNDS_PER_END).rev() {
            undo_full_round(state, &last_full[round]);
        }
        for constant in partial.iter().rev() {
            undo_internal(state, diagonal);
            state[0] = fifth_root(state[0]) - constant;
        }
        for round in (0..FULL_ROUNDS_PER_END).rev() {
            undo_full_round(state, &first_full[round]);
        }
        undo_m4(state);
    }

    fn undo_full_round(state: &mut [Fr; 4], constants: &[Fr; 4]) {
        undo_m4(state);
        for (lane, constant) in state.iter_mut().zip(constants) {
            *lane = fifth_root(*lane) - constant;
        }
    }

    /// Every output lane is the sum of the inputs plus its own input times the diagonal.
    fn undo_internal(state: &mut [Fr; 4], diagonal: &[Fr; 4]) {
        let inverses = diagonal.map(|entry| entry.invert().unwrap());
        let quotients: Fr = state.iter().zip(&inverses).map(|(lane, of)| lane * of).sum();
        let sum = quotients * (Fr::one() + inverses.iter().sum::<Fr>()).invert().unwrap();
        for (lane, inverse) in state.iter_mut().zip(inverses) {
            *lane = (*lane - sum) * inverse;
        }
    }

    fn undo_m4(state: &mut [Fr; 4]) {
        const EIGHTFOLD: [[i8; 4]; 4] =
            [[-1, 3, -6, 7], [1, -1, 4, -5], [-6, 7, -1, 3], [4, -5, 1, -1]];
        let entry = |of: i8| {
            let size = Fr::from(u64::from(of.unsigned_abs()));
            if of < 0 { -size } else { size }
        };
        let eighth = Fr::from(8).invert().unwrap();
        *state = EIGHTFOLD.map(|row| {
            row.into_iter().zip(*state).map(|(of, lane)| entry(of) * lane).sum::<Fr>() * eighth
        });
    }

    /// The exponent is the inverse of five modulo the order of the multiplicative group.
    fn fifth_root(x: Fr) -> Fr {
        let root = x.pow(&[
            0x3333_3332_cccc_cccd,
            0x217f_0e67_9998_f199,
            0xe14a_5669_9d73_f002,
            0x2e5f_0fba_dd72_321c,
        ]);
        assert_eq!(root.square().square() * root, x);
        root
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::{T4, T8};
    use super::*;

    fn reference_product<const T: usize>(state: &[Fr; T]) -> [Fr; T] {
        external_matrix::<T>().map(|row| {
            row.iter().zip(state).map(|(factor, lane)| Fr::from(*factor) * lane).sum::<Fr>()
        })
    }

    #[test]
    fn the_fast_linear_layer_is_the_published_matrix() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut narrow: [Fr; 4] = std::array::from_fn(|_| Fr::random(&mut rng));
        let expected = reference_product(&narrow);
        multiply_external(&mut narrow);
        assert_eq!(narrow, expected);
        let mut wide: [Fr; 8] = std::array::from_fn(|_| Fr::random(&mut rng));
        let expected = reference_product(&wide);
        multiply_external(&mut wide);
        assert_eq!(wide, expected);
    }

    #[test]
    fn the_permutation_of_0_1_2_3_is_the_published_one() {
        let mut state: [Fr; 4] = std::array::from_fn(|lane| Fr::from(lane as u64));
        T4.permute(&mut state);
        let known = fr("28ff6c4edf9768c08ae26290487e93449cc8bc155fc2fad92a344adceb3ada6d");
        assert_eq!(state[0], known);
    }

    #[test]
    fn both_widths_agree_with_an_independent_implementation() {
        use zkhash::fields::bls12::FpBLS12;
        use zkhash::fields::utils::from_hex;
        use zkhash::poseidon2::poseidon2::Poseidon2;
        use zkhash::poseidon2::poseidon2_instance_bls12::{
            POSEIDON2_BLS_4_PARAMS, POSEIDON2_BLS_8_PARAMS,
        };

        let foreign = |x: &Fr| -> FpBLS12 {
            from_hex(&format!("0x{}", hex::encode(crate::hash::fr_to_be_bytes(*x))))
        };
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for _ in 0..50 {
            let mut narrow: [Fr; 4] = std::array::from_fn(|_| Fr::random(&mut rng));
            let expected = Poseidon2::new(&POSEIDON2_BLS_4_PARAMS)
                .permutation(&narrow.each_ref().map(foreign));
            T4.permute(&mut narrow);
            assert_eq!(narrow.each_ref().map(foreign).to_vec(), expected);

            let mut wide: [Fr; 8] = std::array::from_fn(|_| Fr::random(&mut rng));
            let expected =
                Poseidon2::new(&POSEIDON2_BLS_8_PARAMS).permutation(&wide.each_ref().map(foreign));
            T8.permute(&mut wide);
            assert_eq!(wide.each_ref().map(foreign).to_vec(), expected);
        }
    }
}
