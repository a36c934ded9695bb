//! What the zkLink rollup *is*: its state, its operations, their public data, and the rules.
//!
//! Everything here is pure: no I/O, clock, randomness, threads or floats. Sequencer, validator, witness builder and
//! recovery all run the same [`op::Op::apply`].
//!
//! Reading order: identifiers and amounts, the packed layout, the hash and the keys, the state and its
//! tree, the operations, the signed transactions, and the block that holds them.

pub mod id;

pub mod amount;

#[cfg(target_arch = "x86_64")]
mod ifma;

pub mod hash;

pub mod binary;

pub mod key;

pub mod layout;

pub mod reject;

pub mod token;

pub mod state;

pub mod tree;

pub mod commitment;

pub mod op;

pub mod tx;

pub mod fees;

pub mod shape;

pub mod block;

pub mod audit;

#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
