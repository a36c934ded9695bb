//! A development chain as its clients see it: through the `web3` crate, which the node uses, and
//! where that is too polite, through raw requests.

// All of this crate is tests, not only its test functions: a panic is how they fail.
#![allow(clippy::unwrap_used)]

mod anvil;
mod blocks;
mod calls;
mod client;
mod code;
mod hostile;
mod logs;
mod pool;
mod reorg;
mod streams;
