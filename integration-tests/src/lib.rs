//! Stories that drive the whole system.
//!
//! [`System`] wires a node in the seeded, single-threaded, virtual-time World, over a simulated disk, store and chains:
//! by the wiring of the node itself. What is simulated, and what that leaves out, stands in the README of this crate.

pub mod simulated;

pub mod network;
pub mod requests;

pub mod auditor;
pub mod system;

pub mod crowd;
pub mod story;

pub use system::{Config, System};
