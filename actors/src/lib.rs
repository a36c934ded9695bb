//! The zkLink node: actors, RPC, chains and storage around the protocol.
//!
//! Reading order: the mechanism (`port`, `turn`, `machine`, `shell`, `world`), then what runs on it.

pub mod port;
pub mod timestamp;
pub mod turn;

pub mod machine;
pub mod shell;
pub mod world;

pub mod clock;
pub mod supervisor;

pub mod journal;

pub mod archive;

pub mod feed;

#[cfg(test)]
mod probe;

pub mod builder;
pub mod snapshot;

pub mod gateway;
pub mod merge_ledger;

pub mod chain;
pub mod deploy;
pub mod wallet;

pub mod attester;
pub mod config;
pub mod events;
pub mod node;
pub mod pool_history;
pub mod prover;
pub mod settlement;
pub mod witness_maker;
