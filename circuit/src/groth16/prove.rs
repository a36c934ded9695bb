//! The prover.
//!
//! Notation of the Groth16 paper with bellman's signs: for a witness z and random r, s
//!
//! - `A = α + A(z) + r δ`
//! - `B = β + B(z) + s δ`
//! - `C = H + L(z) + s A + r (β + B₁(z))`, where B₁ is B in G1.
//!
//! The last line is bellman's sum with `s A` collected: `s α + s A(z) + r s δ`.

use bellman::groth16::{Proof, verify_proof};
use bellman::{Circuit, SynthesisError};
use bls12_381::{Bls12, Scalar};
use rand_core::OsRng;
use rayon::prelude::*;

use super::key::ProvingKey;
use super::keygen::nonzero;
use super::msm::multi_exp;
use super::point::{G1, G2, Group};
use super::r1cs::R1cs;
use super::witness::Witness;

/// What the prover is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Running the circuit for its assignments.
    Witness,
    /// Evaluating the matrices and checking each constraint.
    Constraints,
    /// Fourier transforms.
    Quotient,
    /// The multi-exponentiation of A.
    PointA,
    /// The multi-exponentiation of B.
    PointB,
    /// The multi-exponentiations of C.
    PointC,
    /// Verifying the finished proof.
    Verification,
}

/// Whether a proof hides its witness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blinding {
    /// `r = 0`, `s` random. The term `r B₁(z)` vanishes and with it one multi-exponentiation in
    /// G1. Soundness is untouched, because r and s are the prover's free choice anyway; what is
    /// lost is zero knowledge, of which a rollup with public data has no use.
    #[default]
    Public,
    /// Both random: the proof says nothing about the witness.
    Hiding,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The circuit could not compute its witness.
    #[error("the circuit has no complete witness: {0}")]
    Synthesis(#[from] SynthesisError),
    /// Key and constraint system differ.
    #[error("the key is for constraint system {key}, not {system}; load the key of this system")]
    WrongSystem {
        /// Digest in the key.
        key: String,
        /// Digest of the system.
        system: String,
    },
    /// The circuit with a witness has another shape than when it was recorded.
    #[error(
        "the circuit made {inputs} inputs and {aux} variables, the recorded system has \
             {expected_inputs} and {expected_aux}; its shape must not depend on the witness"
    )]
    Shape {
        /// Inputs of this run, the constant 1 included.
        inputs: usize,
        /// Auxiliary variables of this run.
        aux: usize,
        /// Inputs recorded.
        expected_inputs: usize,
        /// Auxiliary variables recorded.
        expected_aux: usize,
    },
    /// The statement is false.
    #[error(
        "the witness does not satisfy constraint {row} (counted from 0; `constraint_name` tells \
         which); nothing was proved"
    )]
    Unsatisfied {
        /// The first constraint that fails.
        row: usize,
    },
    /// The random source failed.
    #[error("the operating system gives no randomness; repair that and try again")]
    Randomness,
    /// The finished proof does not verify, so the key does not belong to the system.
    #[error(
        "the proof does not verify, so the key was made for other constraints or is damaged; \
             delete its file and let it be made again"
    )]
    Rejected,
}

/// Proves that the witness of `circuit` satisfies `system`, without hiding it.
///
/// `progress` hears of every stage as it begins, with the share of the work done before it. The
/// proof has been verified when it is returned.
///
/// # Errors
/// [`ProveError`]; a false statement is [`ProveError::Unsatisfied`], found before the costly part.
pub fn prove<C: Circuit<Scalar>>(
    key: &ProvingKey,
    system: &R1cs,
    circuit: C,
    progress: impl FnMut(Stage, f32),
) -> Result<Proof<Bls12>, ProveError> {
    prove_blinded(key, system, circuit, Blinding::Public, progress)
}

/// [`prove`] with the choice whether the witness stays secret.
///
/// # Errors
/// As [`prove`].
pub fn prove_blinded<C: Circuit<Scalar>>(
    key: &ProvingKey,
    system: &R1cs,
    circuit: C,
    blinding: Blinding,
    mut progress: impl FnMut(Stage, f32),
) -> Result<Proof<Bls12>, ProveError> {
    if key.digest() != system.digest() {
        let [key, system] = [key.digest(), system.digest()].map(hex::encode);
        return Err(ProveError::WrongSystem { key, system });
    }
    progress(Stage::Witness, 0.0);
    let z = columns_of(system, circuit)?;
    progress(Stage::Constraints, 0.02);
    let [a, b, c] = [system.a(), system.b(), system.c()].map(|matrix| system.times(matrix, &z));
    refuse_unsatisfied(&a, &b, &c)?;
    progress(Stage::Quotient, 0.05);
    let mut exponents = key.domain.quotient(a, b, c);
    // The quotient has degree n - 2; bellman's H query has n - 1 points.
    exponents.truncate(key.lengths.h);
    exponents.extend_from_slice(&z[system.inputs()..]);

    let random = || nonzero(&mut OsRng).map_err(|_| ProveError::Randomness);
    let s = random()?;
    let r = if blinding == Blinding::Hiding { Some(random()?) } else { None };
    let proof = assemble(key, &z, &exponents, s, r, &mut progress);

    progress(Stage::Verification, 0.99);
    // Inputs without the constant 1, which the verifier supplies itself.
    verify_proof(&key.prepared, &proof, &z[1..system.inputs()])
        .map_err(|_| ProveError::Rejected)?;
    Ok(proof)
}

fn columns_of<C: Circuit<Scalar>>(system: &R1cs, circuit: C) -> Result<Vec<Scalar>, ProveError> {
    let witness = Witness::of(circuit)?;
    let (inputs, aux) = (witness.inputs().len(), witness.aux().len());
    if (inputs, aux) != (system.inputs(), system.aux()) {
        return Err(ProveError::Shape {
            inputs,
            aux,
            expected_inputs: system.inputs(),
            expected_aux: system.aux(),
        });
    }
    Ok(witness.into_columns())
}

fn refuse_unsatisfied(a: &[Scalar], b: &[Scalar], c: &[Scalar]) -> Result<(), ProveError> {
    let failing = a.par_iter().zip(b).zip(c).position_first(|((a, b), c)| a * b != *c);
    match failing {
        Some(row) => Err(ProveError::Unsatisfied { row }),
        None => Ok(()),
    }
}

/// The group arithmetic, one multi-exponentiation after another: each uses all threads.
fn assemble(
    key: &ProvingKey,
    z: &[Scalar],
    c_exponents: &[Scalar],
    s: Scalar,
    r: Option<Scalar>,
    progress: &mut impl FnMut(Stage, f32),
) -> Proof<Bls12> {
    let chosen = |columns: &[u32]| columns.iter().map(|&at| z[at as usize]).collect::<Vec<_>>();
    let vk = &key.vk;
    let delta = G1::from_bellman(&vk.delta_g1);

    progress(Stage::PointA, 0.08);
    let mut a = multi_exp::<G1>(&key.queries.a, &chosen(&key.a_columns));
    G1::add_affine(&mut a, &G1::from_bellman(&vk.alpha_g1));
    if let Some(r) = r {
        G1::add(&mut a, &G1::times(&delta, &r));
    }
    let a = G1::to_affine(&[a])[0];

    progress(Stage::PointB, 0.22);
    let b_exponents = chosen(&key.b_columns);
    let mut b = multi_exp::<G2>(&key.queries.b_g2, &b_exponents);
    G2::add_affine(&mut b, &G2::from_bellman(&vk.beta_g2));
    G2::add(&mut b, &G2::times(&G2::from_bellman(&vk.delta_g2), &s));
    let b = G2::to_affine(&[b])[0];

    progress(Stage::PointC, 0.65);
    let mut c = multi_exp::<G1>(&key.queries.h_and_l, c_exponents);
    G1::add(&mut c, &G1::times(&a, &s));
    if let Some(r) = r {
        let mut b_g1 = multi_exp::<G1>(&key.queries.b_g1, &b_exponents);
        G1::add_affine(&mut b_g1, &G1::from_bellman(&vk.beta_g1));
        G1::add(&mut c, &G1::times(&G1::to_affine(&[b_g1])[0], &r));
    }
    let c = G1::to_affine(&[c])[0];
    Proof { a: G1::to_bellman(&a), b: G2::to_bellman(&b), c: G1::to_bellman(&c) }
}
