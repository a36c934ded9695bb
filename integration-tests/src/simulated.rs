//! Chains that exist only in memory, with the rollup's contracts written once more in Rust.
//!
//! Everything here is called Simulated. What that leaves out stands in the README of this crate.

pub mod abi;
pub mod chain;
pub mod contracts;
pub mod endpoint;
pub mod hub;
pub mod prover;

pub use chain::{Fate, SimulatedChain, SimulatedChainHandle};
pub use contracts::{Registration, SimulatedContracts, TokenBook};
pub use endpoint::{EndpointFault, SimulatedEndpoint};
pub use hub::{SimulatedHub, Verifier, simulated_proof};
pub use prover::{Character, SimulatedProving, check_simulated_proof};
