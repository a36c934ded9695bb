//! Provers, attesters and replicas as processes of their own: how they reach a node.
//!
//! One trait, from which server and client are made, over a WebSocket on a listener of its own. Whoever connects
//! shows a token, and the node knows by it who speaks and what they may say; and the id of its deployment, so that
//! nobody works for a node of another one. The messages are those of the ports in one process; [`Remote`] stands
//! behind such ports, so that the drivers of provers and attesters do not know the difference.
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
pub use workers::{BadWorker, Presence, Role, Workers};

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
/// The status of a refused connection: the node does not know the token.
const UNKNOWN_TOKEN: u16 = 401;
/// The status of a refused connection: node and worker have different deployments.
const OTHER_DEPLOYMENT: u16 = 409;
/// The header with the id of the worker's deployment, hex.
const DEPLOYMENT: &str = "zklink-deployment";
/// The header with a number that each process takes at random, so that two with one token are noticed.
const PROCESS: &str = "zklink-process";
/// How often a worker says that it is there.
const HELLO: std::time::Duration = std::time::Duration::from_secs(10);
/// A worker that was not heard for so long is taken for away.
const AWAY: std::time::Duration = std::time::Duration::from_secs(60);
/// How often each side looks whether the other one is there.
const PING: std::time::Duration = std::time::Duration::from_secs(20);
/// A side that says nothing for so long is cut off. A large witness must pass a slow line meanwhile.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(120);

#[cfg(test)]
mod tests;
