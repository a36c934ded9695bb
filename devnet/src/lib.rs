//! An embedded EVM development chain: revm behind the usual JSON-RPC. For development only.
//!
//! [`DevChain::start`] runs one chain inside the calling process and serves it over HTTP and
//! WebSocket on one port; several chains with different ids live side by side. It speaks the part
//! of the Ethereum JSON-RPC that a rollup node needs, and the developer methods of anvil in
//! anvil's parameter forms, so that one test suite runs on both.
//!
//! What is real: execution (revm, Prague, with the BLS12-381 precompiles), transaction decoding
//! and signatures, nonces, fees after EIP-1559, receipts, blooms, transaction and receipt roots,
//! block hashes over the RLP of the header, finality that lags, and reorganisations with removed
//! logs. What is not: there is no consensus and no networking; the state root is a running digest
//! of the changes instead of a Merkle-Patricia root; the history contracts of EIP-2935 and
//! EIP-4788 are not called; blob (EIP-4844) and set-code (EIP-7702) transactions are refused.
//!
//! Map:
//! - `config`: what a chain is started with, and the bounds on what comes from outside.
//! - `clock`: the only place that reads the time of the machine.
//! - `state`: accounts and storage, with an undo record per block.
//! - `execution`: the environment of revm; transactions, calls and gas estimates.
//! - `pool`: transactions that wait, nonce gaps included.
//! - `block`: what is kept of a block, and its header.
//! - `chain`: blocks over state: mining, tags, rollback, snapshots.
//! - `filter`: log queries.
//! - `node`: the chain behind a lock, its miner, its server and the handle.
//! - `rpc`: the JSON-RPC methods.

mod block;
mod chain;
mod clock;
mod config;
mod error;
mod execution;
mod filter;
mod node;
mod pool;
mod rpc;
mod state;

pub use config::{DevChainConfig, Limits, Mining};
pub use error::{ChainError, StartError};
pub use node::{DevChain, DevChainHandle};
