//! The mechanism of the node: plain machines that are told typed messages, and what runs and restarts them.
//!
//! Reading order: `port` and `turn` (how a machine is told and what it may know), `machine`, `supervised` (what happens
//! when it falls), `supervisor` (what follows from that), `platform` (what machines and their drivers run on), then the
//! two platforms that there are: `shell` and `host` on the threads of a process, `world` in one thread on virtual time.

pub mod timestamp;

pub mod port;
pub mod turn;

pub mod machine;
pub mod supervised;
pub mod supervisor;

pub mod clock;
pub mod driver;
pub mod platform;

pub mod shell;

pub mod host;

#[cfg(any(test, feature = "simulation"))]
#[expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "helpers of tests, named after what they give"
)]
pub mod probe;
#[cfg(any(test, feature = "simulation"))]
pub mod world;
