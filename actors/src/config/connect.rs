//! Endpoints of a configuration become one client.

use std::path::Path;
use std::sync::Arc;

use zklink::id::ChainId;

use super::{ChainConfig, ConfigError, Loaded, read_secret};
use crate::chain::client::ChainClient;
use crate::chain::endpoint::Endpoint;
use crate::chain::pair::Paired;

/// Marks an address that stands in a file.
const FILE: &str = "file:";

/// Connects to the endpoints of a chain; each must serve the chain with this EIP-155 id.
///
/// # Errors
/// [`ConfigError`].
pub async fn connect<C>(
    loaded: &Loaded<C>,
    chain: ChainId,
    config: &ChainConfig,
    evm_chain_id: u64,
) -> Result<Arc<dyn ChainClient>, ConfigError> {
    let mut clients: Vec<Arc<dyn ChainClient>> = Vec::new();
    for address in &config.rpc {
        let address = match address.strip_prefix(FILE) {
            Some(path) => read_secret(&loaded.path(Path::new(path)))?,
            None => address.clone(),
        };
        let endpoint = Endpoint::connect(&address, evm_chain_id, config.limits.clone()).await;
        let endpoint = endpoint.map_err(|source| ConfigError::Endpoint { chain, source })?;
        clients.push(Arc::new(endpoint));
    }
    let mut clients = clients.into_iter();
    match (clients.next(), clients.next(), clients.next()) {
        (Some(only), None, _) => Ok(only),
        (Some(first), Some(second), None) => {
            Ok(Arc::new(Paired::new(first, second, config.tolerate_outage)))
        }
        _ => Err(loaded.wrong(format!("[chains.{chain}] rpc: give one address or two"))),
    }
}
