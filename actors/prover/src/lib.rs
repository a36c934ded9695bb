//! Proofs: the feed of jobs that a node keeps, and the provers that work for it.

pub mod feed;

pub mod prover;
