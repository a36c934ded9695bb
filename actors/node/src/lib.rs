//! The zkLink node: what is told, executed, kept and settled, and by whom.
//!
//! Reading order: `watcher` (what is final on a chain), `merge_ledger` (one token of many chains), `builder` (what is
//! executed), `snapshot` and `witness_maker` (what is made of sealed blocks), `gateway` (who asks), `node` (all of it
//! put together).

pub mod builder;
pub mod roots;
pub mod snapshot;

pub mod merge_ledger;

pub mod watcher;

pub mod gateway;

pub mod events;
pub mod pool_history;
pub mod witness_maker;

pub mod config;
pub mod node;
