//! A Groth16 backend for ordinary `bellman::Circuit`s over BLS12-381.
//!
//! Circuits, parameters and proofs are bellman's types and bytes; bellman's prover and verifier
//! work with them. What is ours is the time it takes: the constraint system is recorded once
//! ([`R1cs`]), a proof runs the circuit for its assignments only, and group arithmetic is blst's.
//!
//! ```text
//! circuit (no witness) ── R1cs::of ──► R1cs ── generate ──► Parameters ──► ProvingKey
//! circuit (witness) ─────────────────── prove(key, system, circuit) ─────► Proof
//! ```

mod affine_sum;
mod digits;
pub mod evm;
mod fft;
mod fixed_base;
mod key;
mod keygen;
mod keys;
mod msm;
mod names;
mod outline;
mod point;
mod prove;
mod r1cs;
mod witness;

use bellman::VerificationError;
use bellman::groth16::{Proof, VerifyingKey, prepare_verifying_key, verify_proof};
use bls12_381::{Bls12, Scalar};

pub use key::{KeyError, ProvingKey};
pub use keygen::{KeygenError, generate};
pub use keys::{
    KeyFileError, KeyStore, Making, PointCheck, Provenance, StoredKey, read_verifying_key,
};
pub use names::constraint_name;
pub use prove::{Blinding, ProveError, Stage, prove, prove_blinded};
pub use r1cs::{Matrix, R1cs, R1csError};
pub use witness::Witness;

/// Verifies one proof with bellman's verifier; `inputs` without the constant 1.
///
/// # Errors
/// bellman's: the wrong number of inputs, or a proof that is not one of this statement.
pub fn verify(
    key: &VerifyingKey<Bls12>,
    inputs: &[Scalar],
    proof: &Proof<Bls12>,
) -> Result<(), VerificationError> {
    verify_proof(&prepare_verifying_key(key), proof, inputs)
}

#[cfg(test)]
mod tests;
