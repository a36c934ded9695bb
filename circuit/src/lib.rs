//! Circuits and the Groth16 prover of the zkLink protocol.

pub mod groth16;
