//! Connected chains, without actors: what anybody needs who reads one, writes to one or deploys to several.
//!
//! Reading order: `blob` and `client` (what is asked of a chain), `endpoint` and `pair` (who answers), `contracts`
//! (what the contracts understand), `finality` and `scan` (how the final part of a chain is read). `account`,
//! `transaction` and `sender` write to a chain; `deploy` and `wallet` use all of it.

pub mod blob;
pub mod client;

pub mod endpoint;
mod health;
pub mod pair;
pub mod patient;

pub mod contracts;

pub mod finality;
pub mod scan;

pub mod account;
pub mod transaction;

pub mod sender;

pub mod deploy;
pub mod wallet;

#[cfg(any(test, feature = "testing"))]
#[expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "helpers of tests, named after what they give"
)]
pub mod testing;

#[cfg(test)]
mod tests;
