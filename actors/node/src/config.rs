//! Configuration: TOML files, with `ZKLINK_…` variables above them, read strictly.
//!
//! An unknown key is refused, with the known one that it resembles: a misspelt limit must not become a default. Paths
//! are relative to the folder of the file. Secrets are never in the file: it names files that hold them, which
//! nobody but their owner may read.

mod connect;
mod preset;
mod secret;
mod suggest;
mod terms;
mod workers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zklink::id::{ChainId, Owner, TokenId};
use zklink::shape::{Shape, shapes};
use zklink::token::Address;
use zklink_chain::account::EthKey;
use zklink_chain::client::hex0x;
use zklink_chain::deploy::Deployment;
use zklink_chain::endpoint::{EndpointError, EndpointLimits};
use zklink_chain::finality::Finality;
use zklink_chain::sender::SendPolicy;

use crate::builder::PaceLimits;
use crate::gateway::{Limits, Origins};
use crate::node::{Bounds, Disk};
use crate::roots::Policy;

pub use connect::connect;
pub use secret::{read_key, read_secret};
pub(crate) use suggest::nearest;
pub use terms::FeesConfig;
pub use workers::{AttesterConfig, ProverConfig, ReplicaConfig, WorkerConfig, WorkersConfig};

/// No sound configuration is longer.
const MAX_BYTES: u64 = 1 << 20;
/// Variables that begin with this stand above the file; `__` separates the parts of a key.
const PREFIX: &str = "ZKLINK_";

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is far too long.
    #[error("{0} is longer than a mebibyte: is it the right file?")]
    TooLong(PathBuf),
    /// Others may read a secret, or change the configuration.
    #[error("{path} {what}: chmod {mode:o} {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// What others may do.
        what: &'static str,
        /// The mode that it should have.
        mode: u32,
    },
    /// The values do not fit.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The values of the file fit, and those of the environment do not.
    #[error("the {PREFIX}… variables of the environment, which stand above {path}: {what}")]
    Environment {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// An endpoint cannot be used.
    #[error("chain {chain}: {source}")]
    Endpoint {
        /// The chain.
        chain: ChainId,
        /// What is wrong.
        source: EndpointError,
    },
}

/// The configuration of a node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Folder of journal and archive.
    pub data: PathBuf,
    /// The deployment file.
    pub deployment: PathBuf,
    /// Folder of the proving keys; the command line's or the user's cache without it.
    pub keys: Option<PathBuf>,
    /// File with the validator's private key.
    pub validator_key_file: PathBuf,
    /// Files with the private keys of the attesters that this node runs.
    #[serde(default)]
    pub attester_key_files: Vec<PathBuf>,
    /// Provers in this process.
    #[serde(default = "one")]
    pub provers: usize,
    /// A block with operations is sealed when the first of them is this old, milliseconds.
    #[serde(default = "block_max_age_ms")]
    pub block_max_age_ms: u64,
    /// Sealed blocks that the hub has not proven; at this number the node takes nothing more.
    #[serde(default = "unproven_blocks_max")]
    pub unproven_blocks_max: u64,
    /// The least fees, by the numbers of the tokens: of every token, or of none for a network without fees.
    #[serde(default)]
    pub fees: BTreeMap<String, FeesConfig>,
    /// Records of the journal between two snapshots of the state: so many at most, and those since, are
    /// replayed at a start.
    #[serde(default = "snapshot_records")]
    pub snapshot_records: u64,
    /// Below so much free room on the disk of the data folder the node takes nothing more, MiB.
    #[serde(default = "disk_least_mib")]
    pub disk_least_mib: u64,
    /// How long what stands still may do so before it is an alarm.
    #[serde(default)]
    pub alarms: Bounds,
    /// The RPC.
    #[serde(default)]
    pub rpc: RpcConfig,
    /// Provers and attesters that run as processes of their own; without it nobody can connect.
    pub workers: Option<WorkersConfig>,
    /// The chains by their numbers in the protocol.
    pub chains: BTreeMap<String, ChainConfig>,
}

/// The RPC of a node. What is left out has the default of [`Limits`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RpcConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// TCP connections at a time.
    pub connections_max: u32,
    /// Those of one IP address. Raise it behind a reverse proxy.
    pub connections_per_address_max: u32,
    /// Calls a second of one connection in the long run; zero for no limit.
    pub calls_per_second: u32,
    /// Calls of one connection at once after a pause.
    pub burst: u32,
    /// Web pages that may call from a browser: `["https://app.example"]`, or `["*"]` for all.
    pub allowed_origins: Origins,
}

/// How a chain is reached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// One address, or two that must agree. `file:PATH` reads the address from a file, for those that hold a secret.
    pub rpc: Vec<String>,
    /// Whether one of two endpoints may be unreachable and the other be believed alone.
    #[serde(default)]
    pub tolerate_outage: bool,
    /// A preset of `config/chains`, which gives what is left out below.
    pub preset: Option<PathBuf>,
    /// When a block is final.
    pub finality: Option<Finality>,
    /// The most blocks in one question for events.
    pub max_log_range: Option<u64>,
    /// How often the chain is asked, milliseconds.
    #[serde(default = "poll_ms")]
    pub poll_ms: u64,
    /// How transactions are sent.
    #[serde(default)]
    pub send: SendPolicy,
    /// Bounds on the endpoints.
    #[serde(default)]
    pub limits: EndpointLimits,
    /// For a deployment: the EIP-155 id.
    pub evm_chain_id: Option<u64>,
    /// For a deployment: the tokens by their numbers.
    #[serde(default)]
    pub tokens: BTreeMap<String, TokenConfig>,
}

/// A token of a deployment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// What people call it.
    pub symbol: String,
    /// Its decimals on this chain.
    pub decimals: u8,
    /// The least that one deposit may bring, in its units: spares the rollup deposits that cost more than they bring.
    #[serde(default = "least_deposit")]
    pub least_deposit: u64,
    /// Where it is: an address, `native` for the chain's coin, or `development` for a new token that all may mint.
    pub address: String,
}

/// The configuration of a deployment.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployConfig {
    /// Where the deployment file is written.
    pub output: PathBuf,
    /// Folder of the proving keys; the command line's or the user's cache without it.
    pub keys: Option<PathBuf>,
    /// File with the private key that deploys and pays.
    pub deployer_key_file: PathBuf,
    /// The hub's number.
    pub hub: u8,
    /// The names of the shapes.
    pub shapes: Vec<String>,
    /// Who commits blocks.
    pub validator: Owner,
    /// Who signs messages between chains.
    pub attesters: Vec<Owner>,
    /// How many of them must sign.
    pub threshold: u64,
    /// The owner of the fee account at genesis.
    pub fee_owner: Owner,
    /// The owner of the insurance account at genesis.
    pub insurance_owner: Owner,
    /// The chains by their numbers in the protocol.
    pub chains: BTreeMap<String, ChainConfig>,
}

fn one() -> usize {
    1
}

fn least_deposit() -> u64 {
    1
}

fn block_max_age_ms() -> u64 {
    60_000
}

fn unproven_blocks_max() -> u64 {
    PaceLimits::default().unproven_max
}

fn snapshot_records() -> u64 {
    Policy::RECORDS
}

fn disk_least_mib() -> u64 {
    Disk::LEAST_MIB
}

fn poll_ms() -> u64 {
    4_000
}

impl Default for RpcConfig {
    fn default() -> RpcConfig {
        let limits = Limits::default();
        RpcConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 3030)),
            connections_max: limits.connections_max,
            connections_per_address_max: limits.connections_per_address_max,
            calls_per_second: limits.calls_per_second,
            burst: limits.burst,
            allowed_origins: limits.origins,
        }
    }
}

impl RpcConfig {
    /// The limits of the gateway.
    pub fn limits(&self) -> Limits {
        Limits {
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            calls_per_second: self.calls_per_second,
            burst: self.burst,
            origins: self.allowed_origins.clone(),
            ..Limits::default()
        }
    }
}

/// A configuration with the folder that its paths are relative to.
#[derive(Debug)]
pub struct Loaded<C> {
    /// What it says.
    pub config: C,
    path: PathBuf,
}

impl<C: DeserializeOwned> Loaded<C> {
    /// Reads a file and the variables of the environment.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Loaded<C>, ConfigError> {
        let text = secret::read_bounded(path, MAX_BYTES)?;
        secret::only_owner_writes(path)?;
        let environment = Figment::from(Env::prefixed(PREFIX).split("__"));
        Loaded::merged(path, Figment::from(Toml::string(&text)), environment)
    }

    #[cfg(test)]
    fn parse(path: &Path, file: Figment) -> Result<Loaded<C>, ConfigError> {
        Loaded::merged(path, file, Figment::new())
    }

    fn merged(path: &Path, file: Figment, environment: Figment) -> Result<Loaded<C>, ConfigError> {
        let path = path.to_owned();
        match file.clone().merge(environment).extract() {
            Ok(config) => Ok(Loaded { config, path }),
            Err(error) => {
                let what = suggest::explain(&error);
                // Who reads a file that is right looks for the fault there in vain.
                let sound = file.extract::<C>().is_ok();
                Err(if sound {
                    let variable = format!("{PREFIX}{}", suggest::key(&error, "__").to_uppercase());
                    ConfigError::Environment { path, what: format!("{variable}: {what}") }
                } else {
                    ConfigError::Content { path, what }
                })
            }
        }
    }
}

impl<C> Loaded<C> {
    /// A path of the configuration: relative to the folder of its file.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// An error that names the file.
    pub fn wrong(&self, what: impl Into<String>) -> ConfigError {
        ConfigError::Content { path: self.path.clone(), what: what.into() }
    }

    /// The deployment file that the configuration names.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn deployment(&self, path: &Path) -> Result<Deployment, ConfigError> {
        let read = Deployment::read(&self.path(path));
        read.map_err(|error| {
            self.wrong(format!(
                "deployment {}: {error}; zklink deploy writes this file: bring a copy of it, or correct the path",
                path.display()
            ))
        })
    }

    /// A private key of somebody whom the deployment names by one of these addresses.
    ///
    /// # Errors
    /// It cannot be read, or belongs to somebody else.
    pub fn key_of(&self, who: &str, path: &Path, known: &[Address]) -> Result<EthKey, ConfigError> {
        let key = read_key(&self.path(path))?;
        if known.contains(&key.address()) {
            return Ok(key);
        }
        let known: Vec<String> = known.iter().map(|address| hex0x(address)).collect();
        Err(self.wrong(format!(
            "{} is the key of {}, and the {who} of the deployment file is {}: correct the path, or the deployment file",
            path.display(),
            hex0x(&key.address()),
            known.join(" or ")
        )))
    }

    /// The chains by their numbers.
    ///
    /// # Errors
    /// A key is not a number from 1 to 63.
    pub fn chains<'a>(
        &self,
        chains: &'a BTreeMap<String, ChainConfig>,
    ) -> Result<BTreeMap<ChainId, &'a ChainConfig>, ConfigError> {
        let numbered = chains.iter().map(|(key, chain)| {
            let id = key.parse().map(ChainId).ok().filter(|id| id.is_valid());
            let id = id.ok_or_else(|| {
                self.wrong(format!("[chains.{key}]: chains have numbers from 1 to 63"))
            })?;
            Ok((id, chain))
        });
        numbered.collect()
    }

    /// The tokens of a chain by their numbers.
    ///
    /// # Errors
    /// A key is not a number from 1.
    pub fn tokens<'a>(
        &self,
        chain: &'a ChainConfig,
    ) -> Result<BTreeMap<TokenId, &'a TokenConfig>, ConfigError> {
        let numbered = chain.tokens.iter().map(|(key, token)| {
            let id = key.parse().map(TokenId).ok().filter(|id| id.0 > 0);
            let id = id.ok_or_else(|| {
                self.wrong(format!("tokens.{key}: tokens have numbers from 1 to 65535"))
            })?;
            Ok((id, token))
        });
        numbered.collect()
    }

    /// The shapes with these names.
    ///
    /// # Errors
    /// There is no shape of a name.
    pub fn shapes(&self, names: &[String]) -> Result<Vec<&'static Shape>, ConfigError> {
        let known: Vec<&str> = shapes().iter().map(|shape| shape.name).collect();
        let found = names.iter().map(|name| {
            shapes().iter().find(|shape| shape.name == name).ok_or_else(|| {
                self.wrong(format!("there is no shape {name:?}; there are {}", known.join(", ")))
            })
        });
        found.collect()
    }

    /// An EVM address that is given as an owner.
    ///
    /// # Errors
    /// The owner is no EVM address.
    pub fn address(&self, what: &str, owner: Owner) -> Result<[u8; 20], ConfigError> {
        owner.to_evm().ok_or_else(|| self.wrong(format!("{what} must be an EVM address")))
    }

    /// When a block of a chain is final, and the most blocks in one question: as configured, else as the preset says.
    ///
    /// # Errors
    /// Neither says it, or the preset cannot be read.
    pub fn reading(
        &self,
        id: ChainId,
        chain: &ChainConfig,
    ) -> Result<(Finality, u64), ConfigError> {
        let preset =
            chain.preset.as_ref().map(|path| preset::read(&self.path(path))).transpose()?;
        let finality = chain.finality.or(preset.as_ref().map(|preset| preset.finality));
        let range = chain.max_log_range.or(preset.as_ref().map(|preset| preset.max_log_range));
        let finality = finality.ok_or_else(|| {
            self.wrong(format!("[chains.{id}] needs finality, or a preset of config/chains"))
        })?;
        Ok((finality, range.unwrap_or(1_000).max(1)))
    }
}

#[cfg(test)]
mod tests;
