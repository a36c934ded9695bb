//! The RPC of a zkLink node: one trait, from which the server and the typed client are made.
//!
//! Method names and shapes are those that zkLink publishes: names in camelCase without a
//! namespace, parameters by position or by name, amounts as decimal strings in units of 10^-18,
//! hashes and addresses as 0x-hex, ids as numbers, maps keyed by ids, times in microseconds since
//! the Unix epoch.
//!
//! [`Client`] is what programs use; [`Wallet`] builds and signs transactions for it.

pub mod client;
pub mod error;
pub mod hex_bytes;
pub mod parameters;
pub mod rpc;
pub mod types;
pub mod wallet;

pub use client::{Client, ClientError};
pub use error::{ErrorData, code, error};
pub use hex_bytes::{Hash, HexBytes};
pub use rpc::{ZkLinkClient, ZkLinkServer};
pub use types::*;
pub use wallet::Wallet;
