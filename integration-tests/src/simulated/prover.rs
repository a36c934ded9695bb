//! Provers of all characters, who make simulated proofs in virtual time.

use std::time::Duration;

use zklink::hash::fr_to_be_bytes;
use zklink::shape::shape;
use zklink_circuit::witness::Witness;
use zklink_prover::feed::Job;
use zklink_prover::prover::{Proof, Proving, Watching};

use super::simulated_proof;

/// How a prover behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Right proofs, after so many virtual milliseconds.
    Honest(u64),
    /// Wrong bytes instead of proofs.
    Garbage,
    /// Right proofs of other jobs.
    Confused,
    /// Takes a job and is never heard of again.
    Dies,
    /// Takes jobs and is too late with each, by so many virtual milliseconds of work.
    Slow(u64),
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedProving(pub Character);

impl Proving for SimulatedProving {
    fn prove(&self, job: Job, _: Watching) -> Proof {
        let SimulatedProving(character) = *self;
        Box::pin(async move {
            let ms = match character {
                Character::Honest(ms) | Character::Slow(ms) => ms,
                Character::Garbage | Character::Confused => 20,
                Character::Dies => return std::future::pending().await,
            };
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let mut inputs = statement(&job)?;
            match character {
                Character::Garbage => return Ok(vec![0x5a; 192]),
                Character::Confused => inputs[0][31] ^= 1,
                Character::Honest(_) | Character::Slow(_) | Character::Dies => {}
            }
            Ok(simulated_proof(&inputs))
        })
    }
}

/// Whether a simulated proof proves the statement of its job.
///
/// # Errors
/// What is wrong with it.
pub fn check_simulated_proof(job: &Job, proof: &[u8]) -> Result<(), String> {
    if proof == simulated_proof(&statement(job)?) {
        Ok(())
    } else {
        Err("a wrong simulated proof".into())
    }
}

/// The public inputs of a job.
fn statement(job: &Job) -> Result<[[u8; 32]; 4], String> {
    let shape = shape(job.shape).ok_or("an unknown shape")?;
    let witness = Witness::decode(&job.witness, shape).map_err(|error| error.to_string())?;
    Ok(witness.inputs.map(fr_to_be_bytes))
}
