//! Embedded development chains.

use std::time::Duration;

use alloy_primitives::{Address, U256};
use anyhow::{Context, Result};
use zklink_devnet::{DevChain, DevChainConfig, DevChainHandle};

/// EIP-155 id of the first chain; the others follow it.
const FIRST_ID: u64 = 270_001;
/// What the funder has on each chain at the start: a million coins, in wei.
const FUNDS: u128 = 1_000_000 * 10u128.pow(18);

/// Chains in this process.
pub(super) struct Host(Vec<DevChainHandle>);

impl Host {
    /// Starts chains on free ports; returns their addresses, of HTTP and WebSocket.
    pub(super) async fn start(
        count: usize,
        block_time: Duration,
        funder: zklink::token::Address,
    ) -> Result<(Host, Vec<(String, Option<String>)>)> {
        let mut chains = Vec::new();
        for id in (FIRST_ID..).take(count) {
            let config = DevChainConfig {
                block_time,
                funded: vec![(Address::from(funder), U256::from(FUNDS))],
                ..DevChainConfig::new(id)
            };
            let chain = DevChain::start(config).await;
            chains.push(chain.with_context(|| format!("the embedded chain {id}"))?);
        }
        let urls = chains.iter().map(|chain| (chain.http_url(), Some(chain.ws_url()))).collect();
        Ok((Host(chains), urls))
    }

    /// Stops the chains.
    pub(super) async fn stop(self) {
        for chain in self.0 {
            chain.stop().await;
        }
    }
}
