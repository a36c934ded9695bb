//! Circuits and the Groth16 prover of the zkLink protocol.
//!
//! `gadget` knows no rollup words, `groth16` knows no circuit. Between them: `witness` arranges what execution
//! touched, `working_set` holds it as variables, `op` constrains the operations, `statement` knows the public inputs,
//! and `block` puts them together.

pub mod gadget;

pub mod witness;

pub mod memory;

pub mod working_set;

pub mod statement;

pub mod op;

pub mod fees;

pub mod slot;

pub mod block;

pub mod groth16;

pub mod proving;

pub mod check;

pub mod count;
