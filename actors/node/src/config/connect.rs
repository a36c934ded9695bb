//! Endpoints of a configuration become one client.

use std::path::Path;
use std::sync::Arc;

use zklink::id::ChainId;
use zklink_chain::client::{ChainClient, ClientError};
use zklink_chain::endpoint::VerifiedEndpoint;
use zklink_chain::pair::Paired;

use super::{ChainConfig, ConfigError, Loaded, preset, read_secret};

/// Marks an address that stands in a file.
const FILE: &str = "file:";

/// Connects to the endpoints of a chain; each must serve the chain with this EIP-155 id.
///
/// An endpoint that does not answer now is warned of and does no harm to the start: a node that could go on
/// without it must also be able to start without it. It is asked again with every question, and its chain is
/// verified with its first answer. This holds also when no endpoint of the chain answers: deposits and
/// settlement of that chain then wait, and everything else runs.
///
/// # Errors
/// [`ConfigError`]; also when an endpoint says that it serves another chain.
pub async fn connect<C>(
    loaded: &Loaded<C>,
    chain: ChainId,
    config: &ChainConfig,
    evm_chain_id: u64,
) -> Result<Arc<dyn ChainClient>, ConfigError> {
    if !matches!(config.rpc.len(), 1 | 2) {
        return Err(loaded.wrong(format!("[chains.{chain}] rpc: give one address or two")));
    }
    if let Some(path) = &config.preset {
        let of = preset::read(&loaded.path(path))?.evm_chain_id;
        if of != evm_chain_id {
            let what = format!(
                "[chains.{chain}] preset: {} is of the chain with the EIP-155 id {of}, this one has {evm_chain_id}",
                path.display()
            );
            return Err(loaded.wrong(what));
        }
    }
    let mut clients: Vec<Arc<VerifiedEndpoint>> = Vec::new();
    let mut addresses: Vec<String> = Vec::new();
    for address in &config.rpc {
        let address = match address.strip_prefix(FILE) {
            Some(path) => read_secret(&loaded.path(Path::new(path)))?,
            None => address.clone(),
        };
        if addresses.contains(&address) {
            let what = format!(
                "[chains.{chain}] rpc: two endpoints must be two, one that is asked twice always agrees"
            );
            return Err(loaded.wrong(what));
        }
        addresses.push(address.clone());
        let endpoint = VerifiedEndpoint::new(&address, evm_chain_id, config.limits.clone());
        let endpoint = endpoint.map_err(|source| ConfigError::Endpoint { chain, source })?;
        clients.push(Arc::new(endpoint));
    }
    probe(chain, &clients).await?;
    let mut clients = clients.into_iter();
    match (clients.next(), clients.next()) {
        (Some(first), Some(second)) => {
            Ok(Arc::new(Paired::new(first, second, config.tolerate_outage)))
        }
        (only, _) => Ok(only.expect("the number of addresses was checked")),
    }
}

/// Asks all endpoints of a chain, at the same time, which chain they serve.
async fn probe(chain: ChainId, clients: &[Arc<VerifiedEndpoint>]) -> Result<(), ConfigError> {
    let asked: Vec<_> = clients
        .iter()
        .map(|client| {
            let client = Arc::clone(client);
            tokio::spawn(async move { client.chain_id().await })
        })
        .collect();
    let mut silent = 0;
    for answer in asked {
        let answer = answer.await.expect("asking an endpoint does not panic");
        match answer {
            Ok(_) => {}
            Err(wrong @ ClientError::WrongChain { .. }) => {
                return Err(ConfigError::Endpoint { chain, source: wrong.into() });
            }
            Err(error) => {
                silent += 1;
                tracing::warn!(%chain, %error, "an endpoint is out of order");
            }
        }
    }
    if silent == clients.len() {
        tracing::error!(
            %chain,
            "no endpoint of the chain answers: its deposits and settlement wait until one does; check the rpc \
             addresses in the configuration"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
