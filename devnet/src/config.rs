//! What a chain is started with, and the bounds on what comes from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use alloy_primitives::{Address, U256};

use crate::error::StartError;

/// When blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mining {
    /// At once when a transaction can be included, and otherwise an empty block each
    /// `block_time`, so that finality goes on.
    Auto,
    /// One block each `block_time`, whether or not transactions wait.
    Interval,
    /// Only when asked to (`evm_mine`, `anvil_mine`, [`crate::DevChainHandle::mine`]).
    Manual,
}

/// Bounds on what clients may ask for. Everything beyond them is answered with an error.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest JSON-RPC request, bytes.
    pub request_bytes: u32,
    /// Largest JSON-RPC response, bytes.
    pub response_bytes: u32,
    /// Most calls in one batch.
    pub batch_calls: u32,
    /// Most connections at a time.
    pub connections: u32,
    /// Most subscriptions on one connection.
    pub subscriptions: u32,
    /// Largest encoded transaction, bytes (geth: 128 KiB).
    pub transaction_bytes: usize,
    /// Most transactions that may wait.
    pub pool_transactions: usize,
    /// Most transactions of one sender that may wait.
    pub pool_transactions_per_sender: usize,
    /// Most blocks that one `eth_getLogs` may scan.
    pub log_blocks: u64,
    /// Most logs that one `eth_getLogs` may return.
    pub log_results: usize,
    /// Most blocks that one call may mine.
    pub mine_blocks: u64,
    /// Snapshots that are kept. Another one pushes out the oldest.
    pub snapshots: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 4 << 20,
            response_bytes: 32 << 20,
            batch_calls: 256,
            connections: 256,
            subscriptions: 64,
            transaction_bytes: 128 << 10,
            pool_transactions: 4096,
            pool_transactions_per_sender: 256,
            log_blocks: 10_000,
            log_results: 10_000,
            mine_blocks: 10_000,
            snapshots: 16,
        }
    }
}

/// What a chain is started with. `DevChainConfig::new(chain_id)` has defaults for all the rest.
#[derive(Clone, Debug)]
pub struct DevChainConfig {
    /// The chain id that transactions must be signed for.
    pub chain_id: u64,
    /// Where to serve. Port 0 lets the system choose; the handle tells which one it was.
    pub bind: SocketAddr,
    /// When blocks are made.
    pub mining: Mining,
    /// Time between blocks (see [`Mining`]). Not less than a millisecond.
    pub block_time: Duration,
    /// `finalized` is `latest` less this many blocks. With 0 no block can ever be taken back.
    pub finality_lag_blocks: u64,
    /// `safe` is `latest` less this many blocks, and never behind `finalized`.
    pub safe_lag_blocks: u64,
    /// Balances in the genesis block, wei.
    pub funded: Vec<(Address, U256)>,
    /// Gas limit of every block, and the bound on the gas of a call.
    pub gas_limit: u64,
    /// Base fee per gas of the genesis block, wei. It then moves as EIP-1559 says.
    pub base_fee: u64,
    /// What a client is told to offer as priority fee, wei per gas.
    pub priority_fee: u64,
    /// Who receives the priority fees.
    pub coinbase: Address,
    /// Timestamp of the genesis block, seconds since the Unix epoch. None: the time of the start.
    pub genesis_time: Option<u64>,
    /// Blocks whose state can still be read or rolled back to. Not less than the finality lag.
    pub state_history_blocks: u64,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
}

impl DevChainConfig {
    /// Defaults for a chain of this id on a free port of the loopback interface.
    pub fn new(chain_id: u64) -> Self {
        Self {
            chain_id,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mining: Mining::Auto,
            block_time: Duration::from_secs(1),
            finality_lag_blocks: 4,
            safe_lag_blocks: 2,
            funded: Vec::new(),
            gas_limit: 30_000_000,
            base_fee: 1_000_000_000,
            priority_fee: 1_000_000_000,
            coinbase: Address::repeat_byte(0xc0),
            genesis_time: None,
            state_history_blocks: 1024,
            limits: Limits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let refuse = |reason: &str| Err(StartError::Config(reason.to_string()));
        if self.chain_id == 0 {
            return refuse("chain_id must not be 0");
        }
        if self.block_time < Duration::from_millis(1) {
            return refuse("block_time must be at least a millisecond");
        }
        if self.gas_limit < 1_000_000 || self.gas_limit > 1_000_000_000 {
            return refuse("gas_limit must be between 1,000,000 and 1,000,000,000");
        }
        if self.base_fee < 7 {
            // EIP-1559 moves the fee by an eighth: below 8 it can fall but not rise again.
            return refuse("base_fee must be at least 7 wei");
        }
        if self.state_history_blocks < self.finality_lag_blocks.saturating_add(1) {
            return refuse("state_history_blocks must be larger than finality_lag_blocks");
        }
        if self.genesis_time.is_some_and(|time| time > crate::clock::TIME_MAX) {
            return refuse("genesis_time is beyond the largest timestamp");
        }
        Ok(())
    }
}
