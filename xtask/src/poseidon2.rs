//! Derives every number of the two Poseidon2 permutations again and holds them against `src/hash`.
//!
//! The rules are those of the authors' parameter generator (HorizenLabs/poseidon2,
//! `poseidon2_rust_params.sage`); `docs/crypto.md` states them. Nothing is read from the tables that are checked
//! but their widths.

mod grain;
mod matrix;
mod polynomial;
mod rounds;

use grain::Grain;
use zklink::hash::poseidon2::{
    FULL_ROUNDS_PER_END, Parameters, external_matrix, multiply_external,
};
use zklink::hash::{Fr, T4, T8};

/// Compares both widths and prints what was compared. Returns how many differences there are.
pub(crate) fn check() -> usize {
    let reports =
        [report(&T4, "src/hash/poseidon2_t4.rs"), report(&T8, "src/hash/poseidon2_t8.rs")];
    let mut differences = 0;
    for Report { checked, wrong } in reports {
        for line in checked {
            println!("{line}");
        }
        for line in &wrong {
            println!("DIFFERENT: {line}");
        }
        differences += wrong.len();
    }
    println!("{differences} differences");
    differences
}

/// What was compared, and what was not equal.
#[derive(Default)]
struct Report {
    checked: Vec<String>,
    wrong: Vec<String>,
}

impl Report {
    fn hold(&mut self, what: String, equal: bool) {
        self.checked.push(what.clone());
        if !equal {
            self.wrong.push(what);
        }
    }
}

fn report<const T: usize>(shipped: &Parameters<T>, file: &str) -> Report {
    let mut report = Report::default();
    let (full, partial) = rounds::derive(T);
    report.hold(
        format!("{file}: width {T}, {full} full and {partial} partial rounds"),
        full == 2 * FULL_ROUNDS_PER_END && partial == shipped.partial.len(),
    );
    let mut grain = Grain::new(T, full, partial);
    let first_full = grain.rows();
    let middle: Vec<Fr> = (0..partial).map(|_| grain.below_the_modulus()).collect();
    let last_full = grain.rows();
    let refused = grain.refused();
    report.hold(
        format!(
            "{file}: {} round constants ({refused} draws not below the modulus)",
            full * T + partial
        ),
        first_full == shipped.first_full
            && middle == shipped.partial
            && last_full == shipped.last_full,
    );
    let (diagonal, candidate) = internal_diagonal::<T>(&mut grain);
    let powers = 4 * T;
    report.hold(
        format!(
            "{file}: internal matrix, candidate {candidate}; no power up to {powers} has an invariant subspace"
        ),
        diagonal == shipped.diagonal && has_no_invariant_subspaces(&diagonal, powers),
    );
    report.hold(
        format!(
            "{file}: external matrix, from an MDS matrix of 4 x 4, as published and as computed"
        ),
        external_is_published::<T>(),
    );
    report
}

/// The diagonal that is added to the all-one matrix, and the number of the candidate, from one.
///
/// Candidates are drawn from the stream behind the round constants until one passes the criterion of the generator.
/// What is drawn is the diagonal of the whole matrix, one more than what is added to the ones.
fn internal_diagonal<const T: usize>(grain: &mut Grain) -> ([Fr; T], usize) {
    for candidate in 1.. {
        let diagonal = [(); T].map(|()| grain.modulo() - Fr::one());
        if has_no_invariant_subspaces(&diagonal, 2 * T) {
            return (diagonal, candidate);
        }
    }
    unreachable!("one candidate in about T passes")
}

/// Whether the matrix and its powers up to `most` have irreducible characteristic polynomials.
///
/// Then no power has an invariant subspace but zero and all, so there is no subspace trail through partial
/// rounds that repeats: with `most = 4 T` that includes what Algorithms 1 to 3 of the generator look for.
fn has_no_invariant_subspaces<const T: usize>(diagonal: &[Fr; T], most: usize) -> bool {
    let internal = matrix::internal(diagonal);
    let mut power = internal;
    (1..=most).all(|exponent| {
        if exponent > 1 {
            power = matrix::product(&power, &internal);
        }
        matrix::characteristic_polynomial(&power).is_some_and(|of| polynomial::is_irreducible(&of))
    })
}

/// The 4 x 4 matrix of the Poseidon2 paper.
const PUBLISHED: [[u64; 4]; 4] = [[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]];

/// Whether the external matrix is the published block matrix, invertible and made of an MDS matrix, and what the
/// permutation computes with additions is the product with it.
fn external_is_published<const T: usize>() -> bool {
    let mut expected = [[Fr::zero(); T]; T];
    for (row, column) in (0..T).flat_map(|row| (0..T).map(move |column| (row, column))) {
        let weight = if T > 4 && row / 4 == column / 4 { 2 } else { 1 };
        expected[row][column] = Fr::from(weight * PUBLISHED[row % 4][column % 4]);
    }
    let declared = external_matrix::<T>().map(|row| row.map(Fr::from)) == expected;
    let computed = (0..T).all(|column| {
        let mut unit = [Fr::zero(); T];
        unit[column] = Fr::one();
        multiply_external(&mut unit);
        (0..T).all(|row| unit[row] == expected[row][column])
    });
    declared
        && computed
        && matrix::is_invertible(&expected)
        && matrix::is_mds(&PUBLISHED.map(|row| row.map(Fr::from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_parameters_are_the_derived_ones() {
        for report in [report(&T4, "four"), report(&T8, "eight")] {
            assert_eq!(report.checked.len(), 4);
            assert_eq!(report.wrong, Vec::<String>::new());
        }
    }

    #[test]
    fn a_changed_constant_or_diagonal_is_found() {
        let changed = |change: &dyn Fn(&mut Parameters<4>)| {
            let mut parameters = Parameters { ..T4 };
            change(&mut parameters);
            report(&parameters, "four").wrong
        };
        assert_eq!(changed(&|_| ()), Vec::<String>::new());
        assert!(changed(&|of| of.first_full[3][1] += Fr::one())[0].contains("88 round constants"));
        assert!(changed(&|of| of.last_full[0][0] += Fr::one())[0].contains("88 round constants"));
        assert!(changed(&|of| of.diagonal[2] += Fr::one())[0].contains("internal matrix"));
        let short = changed(&|of| of.partial = &of.partial[1..]);
        assert!(short[0].contains("56 partial rounds") && short[1].contains("88 round constants"));
    }

    #[test]
    fn a_matrix_with_an_invariant_subspace_is_refused() {
        // Two equal entries: the difference of their unit vectors is an eigenvector.
        let mut diagonal = T4.diagonal;
        assert!(has_no_invariant_subspaces(&diagonal, 1));
        diagonal[3] = diagonal[2];
        assert!(!has_no_invariant_subspaces(&diagonal, 1));
    }
}
