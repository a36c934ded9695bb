//! Provers, attesters and replicas as processes of their own: how they reach a node.
//!
//! One trait, from which server and client are made, over a WebSocket on a listener of its own. Whoever connects
//! shows a token, and the node knows by it who speaks and what they may say. The messages are those of the ports in
//! one
//! process; [`Remote`] stands behind such ports, so that the drivers of provers and attesters do not know the
//! difference.
//!
//! Reading order: `token`, `rpc` (what is said), `workers` (who may say it), `server`, `remote`.

mod rpc;
mod token;
mod workers;

mod remote;
mod server;

pub use remote::{BadNode, Link, Remote};
pub use server::{Listener, Ports};
pub use token::{BadToken, Token};
pub use workers::{BadWorker, Role, Workers};

/// Provers that may work under one token at the same time.
pub const PLACES_MAX: u8 = 16;
/// Calls of one worker that are answered at the same time.
const IN_FLIGHT: usize = 32;
/// The largest request: a proof and an attestation have about a kilobyte each.
const REQUEST_BYTES_MAX: u32 = 64 << 10;
/// The largest response: a witness of 64 MiB as hex, and what is around it.
const RESPONSE_BYTES_MAX: u32 = (2 * 64 + 1) << 20;
/// The code of an error: the worker is not let in, or not to this method.
const FORBIDDEN: i32 = -32_001;
/// How often each side looks whether the other one is there.
const PING: std::time::Duration = std::time::Duration::from_secs(20);
/// A side that says nothing for so long is cut off. A large witness must pass a slow line meanwhile.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(120);

#[cfg(test)]
mod tests;
