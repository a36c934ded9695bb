//! Connected chains: one watcher per chain, which tells the rollup what is final there.
//!
//! Reading order: `client` (what is asked of a chain), `endpoint` and `pair` (who answers),
//! `contracts` (what the contracts understand), `finality` and `scan` (how the final part of a
//! chain is read), `watcher` (what is made of it), `driver` (who does the I/O), `bookmark` (where a
//! restart goes on). `account`, `transaction` and `sender` write to a chain.

pub mod client;

pub mod endpoint;
pub mod pair;

pub mod contracts;

pub mod finality;
pub mod scan;

pub mod watcher;

pub mod driver;

pub mod bookmark;

pub mod account;
pub mod sender;
pub mod transaction;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
