//! The chains of a local network: embedded, of anvil, or given by their addresses. What comes out is the same for all
//! three: an address that answers, and a key that can pay. Nothing behind this file knows which it was.

mod anvil;
#[cfg(feature = "devnet")]
mod embedded;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use zklink::id::ChainId;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::endpoint::{Endpoint, EndpointLimits};
use zklink_chain::sender::{SendPolicy, Sender};
use zklink_node::config;

use crate::cli::L1Kind;

/// The numbers of the three chains in the protocol. The first is the hub.
pub(crate) const CHAINS: [ChainId; 3] = [ChainId(1), ChainId(2), ChainId(3)];

/// A chain that answers.
pub(crate) struct L1 {
    /// Its EIP-155 id.
    pub(crate) evm_chain_id: u64,
    /// Where it answers.
    pub(crate) url: String,
    /// Where it answers over a WebSocket, if that is known.
    pub(crate) ws: Option<String>,
    /// Reads and sends.
    pub(crate) client: Arc<dyn ChainClient>,
}

/// Three chains, and who keeps them up.
pub(crate) struct Chains {
    /// The chains.
    pub(crate) by_id: BTreeMap<ChainId, L1>,
    /// Pays for everything.
    pub(crate) funder: EthKey,
    /// How often a chain is asked, milliseconds.
    pub(crate) poll_ms: u64,
    hosts: Hosts,
}

/// What must live as long as the chains.
enum Hosts {
    #[cfg(feature = "devnet")]
    Embedded(embedded::Host),
    Anvil(Vec<anvil::Anvil>),
    Elsewhere,
}

impl Chains {
    /// Starts chains, or connects to those that run.
    ///
    /// # Errors
    /// A chain does not start or does not answer, or the key that pays is missing.
    pub(crate) async fn start(
        kind: &L1Kind,
        key_file: Option<&Path>,
        block_time: Duration,
    ) -> Result<Chains> {
        match kind {
            L1Kind::Embedded => start_embedded(block_time).await,
            L1Kind::Anvil => {
                let hosts = anvil::start_three(CHAINS.len()).await?;
                let urls = hosts.iter().map(|host| (host.url(), Some(host.ws()))).collect();
                let funder = anvil::funder();
                Chains::connect(urls, funder, 250, Hosts::Anvil(hosts)).await
            }
            L1Kind::Urls(urls) => {
                let path = key_file.context(
                    "chains that are given by their addresses need --key-file with a private key that has coins on \
                     all of them",
                )?;
                let funder = config::read_key(path)?;
                let urls = urls.iter().map(|url| (url.clone(), None)).collect();
                Chains::connect(urls, funder, 500, Hosts::Elsewhere).await
            }
        }
    }

    async fn connect(
        urls: Vec<(String, Option<String>)>,
        funder: EthKey,
        poll_ms: u64,
        hosts: Hosts,
    ) -> Result<Chains> {
        let mut by_id: BTreeMap<ChainId, L1> = BTreeMap::new();
        for (id, (url, ws)) in CHAINS.into_iter().zip(urls) {
            let endpoint = Endpoint::new(&url, EndpointLimits::default())?;
            let evm_chain_id = endpoint.chain_id().await?;
            if let Some((other, _)) = by_id.iter().find(|(_, l1)| l1.evm_chain_id == evm_chain_id) {
                bail!(
                    "chains {other} and {id} both have the EIP-155 id {evm_chain_id}: signatures could be replayed \
                     between them, give three different chains"
                );
            }
            by_id.insert(id, L1 { evm_chain_id, url, ws, client: Arc::new(endpoint) });
        }
        ensure!(by_id.len() == CHAINS.len(), "three chains are needed");
        Ok(Chains { by_id, funder, poll_ms, hosts })
    }

    /// One of [`CHAINS`].
    pub(crate) fn chain(&self, id: ChainId) -> &L1 {
        &self.by_id[&id]
    }

    /// How transactions are sent to these chains.
    pub(crate) fn policy(&self) -> SendPolicy {
        // Looks for a receipt for a minute before it raises the fee, however often it looks.
        let polls_before_raise = u32::try_from(60_000 / self.poll_ms.max(1)).unwrap_or(60);
        SendPolicy { poll_ms: self.poll_ms / 2, polls_before_raise, ..SendPolicy::default() }
    }

    /// A sender of one key on one chain.
    pub(crate) fn sender(&self, chain: ChainId, key: &EthKey) -> Sender {
        let l1 = self.chain(chain);
        Sender::new(Arc::clone(&l1.client), key.clone(), l1.evm_chain_id, self.policy())
    }

    /// Stops what was started for the chains.
    pub(crate) async fn stop(self) {
        match self.hosts {
            #[cfg(feature = "devnet")]
            Hosts::Embedded(host) => host.stop().await,
            Hosts::Anvil(hosts) => {
                for host in hosts {
                    host.stop().await;
                }
            }
            Hosts::Elsewhere => {}
        }
    }
}

#[cfg(feature = "devnet")]
async fn start_embedded(block_time: Duration) -> Result<Chains> {
    let funder = crate::people::key_of("funder");
    let (host, urls) = embedded::Host::start(CHAINS.len(), block_time, funder.address()).await?;
    Chains::connect(urls, funder, 100, Hosts::Embedded(host)).await
}

#[cfg(not(feature = "devnet"))]
async fn start_embedded(_: Duration) -> Result<Chains> {
    bail!(
        "this program was built without its embedded chains: build it with --features devnet, or use \
         demo --l1 anvil or --l1 URL,URL,URL"
    )
}
