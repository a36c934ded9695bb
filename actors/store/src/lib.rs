//! What the node keeps. The journal is the truth: what entered the state machine, in order, on disk before it is
//! acknowledged. The archive is made of it, and is made again when it is lost.

pub mod journal;

pub mod record;

pub mod archive;

pub mod fold;

pub mod replica;

#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
