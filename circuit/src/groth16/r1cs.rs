//! A circuit recorded once as three sparse matrices.
//!
//! bellman runs a circuit's `enforce` closures again for every proof. The matrices do not depend
//! on the witness, so we run the closures once and keep the result.

use std::collections::BTreeMap;

use bellman::{Circuit, ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use bls12_381::Scalar;
use ff::{Field, PrimeField};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::outline::{Counts, Listener, Outline};

/// Most constraints (public inputs included) that a system may have; 2^26 rows are already a key
/// of tens of gigabytes.
pub(crate) const MAX_ROWS: usize = 1 << 26;

/// Index of the coefficient 1 in [`R1cs::coefficients`].
const ONE: u32 = 0;
/// Index of the coefficient -1 in [`R1cs::coefficients`].
const MINUS_ONE: u32 = 1;

/// Why a circuit could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum R1csError {
    /// The circuit's own `synthesize` failed.
    #[error(
        "the circuit does not synthesise without a witness: {0}; make every `enforce` \
             independent of assignments"
    )]
    Synthesis(#[from] SynthesisError),
    /// More rows or terms than the format holds.
    #[error("the circuit has more than {MAX_ROWS} constraints or 2^32 terms; split the block")]
    TooLarge,
    /// A constraint uses a variable of some other constraint system.
    #[error("constraint {row} uses a variable that this system never allocated")]
    UnknownVariable {
        /// The constraint, counted from 0.
        row: usize,
    },
}

/// One term of a linear combination: column and index into the table of coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    column: u32,
    coefficient: u32,
}

/// A sparse matrix by rows; each row is sorted by column, without repetitions or zeros.
#[derive(Clone, Debug)]
pub struct Matrix {
    row_ends: Vec<u32>,
    terms: Vec<Term>,
}

impl Matrix {
    fn row(&self, row: usize) -> &[Term] {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] as usize };
        &self.terms[start..self.row_ends[row] as usize]
    }

    /// Number of nonzero coefficients.
    pub fn nonzeros(&self) -> usize {
        self.terms.len()
    }
}

/// A rank-1 constraint system `A z ∘ B z = C z` with `z = (1, inputs…, auxiliary…)`.
///
/// As in bellman, a row `z_i · 0 = 0` follows for every public input `i` (the constant 1 too), so
/// that the polynomials of the inputs are linearly independent.
#[derive(Clone, Debug)]
pub struct R1cs {
    inputs: usize,
    aux: usize,
    coefficients: Vec<Scalar>,
    a: Matrix,
    b: Matrix,
    c: Matrix,
    digest: [u8; 32],
}

impl R1cs {
    /// Records `circuit`. Assignment closures are not called, so the circuit needs no witness.
    ///
    /// # Errors
    /// [`R1csError`] if the circuit fails, is too large, or mixes in foreign variables.
    pub fn of<C: Circuit<Scalar>>(circuit: C) -> Result<Self, R1csError> {
        let mut outline = Outline::of(circuit, Recorder::new())?;
        for input in 0..outline.counts.inputs {
            let variable = Variable::new_unchecked(Index::Input(input));
            outline.enforce(|| "", |lc| lc + variable, |lc| lc, |lc| lc);
        }
        outline.listener.finish(outline.counts)
    }

    /// Public inputs, the constant 1 included.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Auxiliary (private) variables.
    pub fn aux(&self) -> usize {
        self.aux
    }

    /// Columns of each matrix: inputs, then auxiliary variables.
    pub fn columns(&self) -> usize {
        self.inputs + self.aux
    }

    /// Rows of each matrix: the circuit's constraints and one row for every input.
    pub fn rows(&self) -> usize {
        self.a.row_ends.len()
    }

    /// Binary logarithm of the evaluation domain: the least power of two not below the rows.
    pub fn log_domain(&self) -> u32 {
        self.rows().next_power_of_two().trailing_zeros()
    }

    /// The matrix of the left factor.
    pub fn a(&self) -> &Matrix {
        &self.a
    }

    /// The matrix of the right factor.
    pub fn b(&self) -> &Matrix {
        &self.b
    }

    /// The matrix of the product.
    pub fn c(&self) -> &Matrix {
        &self.c
    }

    /// SHA-256 of the shape, the counts and every coefficient: two circuits with one digest have
    /// interchangeable keys.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Columns of `matrix` with at least one nonzero coefficient, ascending. Inputs always occur
    /// in A because of their own rows.
    pub fn dense_columns(&self, matrix: &Matrix) -> Vec<u32> {
        let mut used = vec![false; self.columns()];
        for term in &matrix.terms {
            used[term.column as usize] = true;
        }
        (0u32..).zip(used).filter(|(_, used)| *used).map(|(column, _)| column).collect()
    }

    /// The product of `matrix` with the assignment `z`, by rows.
    pub fn times(&self, matrix: &Matrix, z: &[Scalar]) -> Vec<Scalar> {
        (0..self.rows()).into_par_iter().map(|row| self.dot(matrix.row(row), z)).collect()
    }

    /// The product of a row vector with `matrix`, by columns: `sum_r weights[r] M[r][column]`.
    pub fn transposed_times(&self, matrix: &Matrix, weights: &[Scalar]) -> Vec<Scalar> {
        let mut sums = vec![Scalar::ZERO; self.columns()];
        for (row, weight) in weights.iter().enumerate().take(self.rows()) {
            for term in matrix.row(row) {
                self.accumulate(&mut sums[term.column as usize], term.coefficient, weight);
            }
        }
        sums
    }

    fn dot(&self, terms: &[Term], z: &[Scalar]) -> Scalar {
        let mut sum = Scalar::ZERO;
        for term in terms {
            self.accumulate(&mut sum, term.coefficient, &z[term.column as usize]);
        }
        sum
    }

    /// Adds `coefficient * value`; most coefficients are 1 or -1 and need no multiplication.
    fn accumulate(&self, sum: &mut Scalar, coefficient: u32, value: &Scalar) {
        match coefficient {
            ONE => *sum += value,
            MINUS_ONE => *sum -= value,
            other => *sum += self.coefficients[other as usize] * value,
        }
    }

    fn compute_digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"zklink groth16 r1cs 1");
        for count in [self.inputs, self.aux, self.rows(), self.coefficients.len()] {
            hash.update((count as u64).to_le_bytes());
        }
        for coefficient in &self.coefficients {
            hash.update(coefficient.to_bytes());
        }
        let mut buffer = Vec::with_capacity(8 << 12);
        for matrix in [&self.a, &self.b, &self.c] {
            for ends in matrix.row_ends.chunks(1 << 13) {
                buffer.clear();
                ends.iter().for_each(|end| buffer.extend_from_slice(&end.to_le_bytes()));
                hash.update(&buffer);
            }
            for terms in matrix.terms.chunks(1 << 12) {
                buffer.clear();
                for term in terms {
                    buffer.extend_from_slice(&term.column.to_le_bytes());
                    buffer.extend_from_slice(&term.coefficient.to_le_bytes());
                }
                hash.update(&buffer);
            }
        }
        hash.finalize().into()
    }
}

/// The listener that writes matrices down.
///
/// Until all inputs are known a column is `2 i` for input `i` and `2 j + 1` for auxiliary `j`.
struct Recorder {
    coefficients: Vec<Scalar>,
    known: BTreeMap<[u8; 32], u32>,
    matrices: [Matrix; 3],
    scratch: Vec<(u32, Scalar)>,
    failure: Option<R1csError>,
}

impl Recorder {
    fn new() -> Self {
        let coefficients = vec![Scalar::ONE, -Scalar::ONE];
        let known = (0u32..).zip(&coefficients).map(|(at, c)| (c.to_bytes(), at)).collect();
        let empty = || Matrix { row_ends: Vec::new(), terms: Vec::new() };
        Self {
            coefficients,
            known,
            matrices: [empty(), empty(), empty()],
            scratch: Vec::new(),
            failure: None,
        }
    }

    fn intern(&mut self, coefficient: Scalar) -> u32 {
        if coefficient == Scalar::ONE {
            return ONE;
        }
        let coefficients = &mut self.coefficients;
        *self.known.entry(coefficient.to_repr()).or_insert_with(|| {
            coefficients.push(coefficient);
            // There are fewer coefficients than terms, and terms are bounded by 2^32.
            (coefficients.len() - 1) as u32
        })
    }

    /// Appends one row: terms of one variable are merged, zero coefficients dropped.
    fn push_row(&mut self, which: usize, side: &LinearCombination<Scalar>, counts: Counts) {
        let row = self.matrices[which].row_ends.len();
        let mut terms = std::mem::take(&mut self.scratch);
        terms.clear();
        for (variable, coefficient) in side.as_ref() {
            let (known, column) = match variable.get_unchecked() {
                Index::Input(input) => (input < counts.inputs, 2 * input),
                Index::Aux(aux) => (aux < counts.aux, 2 * aux + 1),
            };
            if !known {
                self.fail(R1csError::UnknownVariable { row });
                continue;
            }
            match u32::try_from(column) {
                Ok(column) => terms.push((column, *coefficient)),
                Err(_) => self.fail(R1csError::TooLarge),
            }
        }
        terms.sort_by_key(|(column, _)| *column);
        terms.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        for &(column, value) in terms.iter().filter(|(_, value)| !value.is_zero_vartime()) {
            let coefficient = self.intern(value);
            self.matrices[which].terms.push(Term { column, coefficient });
        }
        self.scratch = terms;
        match u32::try_from(self.matrices[which].terms.len()) {
            Ok(end) if row < MAX_ROWS => self.matrices[which].row_ends.push(end),
            _ => self.fail(R1csError::TooLarge),
        }
    }

    /// Keeps the first failure: bellman's `enforce` cannot return one.
    fn fail(&mut self, failure: R1csError) {
        self.failure.get_or_insert(failure);
    }

    fn finish(self, Counts { inputs, aux }: Counts) -> Result<R1cs, R1csError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // Interim columns were below 2^32 with two numberings interleaved, so final ones,
        // which are fewer than the sum of both counts, need this check of their own.
        if u32::try_from(inputs + aux).is_err() {
            return Err(R1csError::TooLarge);
        }
        let first_aux = inputs as u32;
        let place = |mut matrix: Matrix| {
            for term in &mut matrix.terms {
                let ordinal = term.column / 2;
                term.column = if term.column % 2 == 0 { ordinal } else { first_aux + ordinal };
            }
            let mut start = 0;
            for &end in &matrix.row_ends {
                matrix.terms[start..end as usize].sort_by_key(|term| term.column);
                start = end as usize;
            }
            matrix
        };
        let [a, b, c] = self.matrices.map(place);
        let mut system =
            R1cs { inputs, aux, coefficients: self.coefficients, a, b, c, digest: [0; 32] };
        system.digest = system.compute_digest();
        Ok(system)
    }
}

impl Listener for Recorder {
    fn constraint(
        &mut self,
        counts: Counts,
        _: impl FnOnce() -> String,
        sides: impl FnOnce() -> [LinearCombination<Scalar>; 3],
    ) {
        for (which, side) in sides().iter().enumerate() {
            self.push_row(which, side, counts);
        }
    }

    fn enter(&mut self, _: impl FnOnce() -> String) {}

    fn leave(&mut self) {}
}
