//! The deployment file: where everything is. Nodes, wallets and the exit program read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use zklink::commitment::StateTree;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{ChainId, Owner, ShapeId, TokenId};
use zklink::state::{DeploymentId, State};
use zklink::token::{Address, Chain, L1Token, Network, Token};
use zklink::tx::keccak;

use super::{Plan, ShapePlan};

/// The version of the form below.
const VERSION: u32 = 2;
/// No sound file is longer.
const MAX_BYTES: u64 = 1 << 20;

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The version of the file.
    pub version: u32,
    /// Binds signatures and messages.
    pub deployment_id: DeploymentId,
    /// The root of the state before the first block.
    #[serde(with = "hex::serde")]
    pub genesis_root: [u8; 32],
    /// Of what that state is made.
    pub genesis: Genesis,
    /// The chain that checks proofs.
    pub hub: ChainId,
    /// Who commits blocks.
    #[serde(with = "hex::serde")]
    pub validator: Address,
    /// How many attesters must sign a message.
    pub threshold: u64,
    /// The attesters.
    pub attesters: Vec<HexAddress>,
    /// The chains.
    pub chains: Vec<DeployedChain>,
    /// The shapes.
    pub shapes: Vec<DeployedShape>,
}

/// Who owns the accounts of the state before the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The owner of account 0, which receives the fees.
    pub fee_owner: Owner,
    /// The owner of account 1, which will insure perpetuals.
    pub insurance_owner: Owner,
}

impl Genesis {
    /// The state before the first block.
    pub fn state(&self, deployment: DeploymentId) -> State {
        State::genesis(deployment, self.fee_owner, self.insurance_owner)
    }

    /// Its root.
    pub fn root(&self, deployment: DeploymentId) -> [u8; 32] {
        fr_to_be_bytes(StateTree::of(&self.state(deployment)).root())
    }
}

/// An address in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HexAddress(#[serde(with = "hex::serde")] pub Address);

/// What a chain is in a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It checks proofs and releases payouts everywhere.
    Hub,
    /// It holds tokens.
    Spoke,
}

/// A chain of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedChain {
    /// Its number in the protocol.
    pub id: ChainId,
    /// Its EIP-155 chain id.
    pub evm_chain_id: u64,
    /// Its role.
    pub role: Role,
    /// The rollup's contract: vault and queue.
    #[serde(with = "hex::serde")]
    pub rollup: Address,
    /// The contract that records keys.
    #[serde(with = "hex::serde")]
    pub key_recorder: Address,
    /// The light oracle; on the hub's chain it is that of the hub's contract.
    #[serde(with = "hex::serde")]
    pub oracle: Address,
    /// What the hub's chain has besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<DeployedHub>,
    /// The block of the first contract: no event is older.
    pub first_block: u64,
    /// Its tokens.
    pub tokens: Vec<DeployedToken>,
}

/// What the hub's chain has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedHub {
    /// Checks proofs and releases payouts.
    #[serde(with = "hex::serde")]
    pub contract: Address,
    /// The way between it and the rollup of its chain.
    #[serde(with = "hex::serde")]
    pub local_route: Address,
}

/// A token of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedToken {
    /// The unified token.
    pub id: TokenId,
    /// What people call it.
    pub symbol: String,
    /// Where it is; zero for the native coin.
    #[serde(with = "hex::serde")]
    pub address: Address,
    /// Its decimals there.
    pub decimals: u8,
    /// The least that one deposit may bring, in its units.
    #[serde(default = "one")]
    pub least_deposit: u64,
}

fn one() -> u64 {
    1
}

/// A shape of blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployedShape {
    /// Its number.
    pub id: ShapeId,
    /// The greatest length of the on-chain vector.
    pub onchain_words: u32,
    /// The greatest length of the data vector.
    pub data_words: u32,
    /// The contract that checks its proofs.
    #[serde(with = "hex::serde")]
    pub verifier: Address,
    /// Keccak-256 of the verifying key.
    #[serde(with = "hex::serde")]
    pub key_hash: [u8; 32],
}

/// A deployment file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("the deployment file {path}: {error}")]
    Io {
        /// The path.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is not of this form.
    #[error("the deployment file does not parse: {0}")]
    Parse(String),
    /// It is of another version.
    #[error("the deployment file has version {0}, this program reads {VERSION}")]
    Version(u32),
    /// It contradicts itself.
    #[error("the deployment file contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Deployment {
    /// The version of this form.
    pub const VERSION: u32 = VERSION;

    /// A deployment without contracts.
    pub(super) fn begin(plan: &Plan) -> Self {
        Self {
            version: Self::VERSION,
            deployment_id: plan.deployment,
            genesis_root: plan.genesis.root(plan.deployment),
            genesis: plan.genesis,
            hub: plan.hub,
            validator: plan.validator,
            threshold: plan.threshold,
            attesters: plan.attesters.iter().copied().map(HexAddress).collect(),
            chains: Vec::new(),
            shapes: Vec::new(),
        }
    }

    pub(super) fn add_shape(&mut self, plan: &ShapePlan, verifier: Address) {
        self.shapes.push(DeployedShape {
            id: plan.id,
            onchain_words: plan.onchain_words,
            data_words: plan.data_words,
            verifier,
            key_hash: keccak(&[&plan.verifying_key]),
        });
    }

    /// The chain with this number.
    pub fn chain(&self, id: ChainId) -> Option<&DeployedChain> {
        self.chains.iter().find(|chain| chain.id == id)
    }

    /// Contracts of a chain, but for its rollup and its tokens: nobody may be paid there.
    fn reserved(&self, chain: &DeployedChain) -> BTreeSet<Owner> {
        let mut contracts = vec![chain.key_recorder, chain.oracle];
        if let Some(hub) = chain.hub {
            contracts.extend([hub.contract, hub.local_route]);
            contracts.extend(self.shapes.iter().map(|shape| shape.verifier));
        }
        contracts.into_iter().map(Owner::from_evm).collect()
    }

    /// The hub's chain, and what it has besides.
    ///
    /// # Panics
    /// When the deployment was neither read nor checked: then it may have none.
    pub fn hub_contracts(&self) -> (&DeployedChain, DeployedHub) {
        let chain = self.chain(self.hub);
        let hub = chain.and_then(|chain| Some((chain, chain.hub?)));
        hub.expect("a deployment that was checked has a hub")
    }

    /// Chains and tokens, as the protocol needs them.
    pub fn network(&self) -> Network {
        let mut network = Network::default();
        for chain in &self.chains {
            let of_chain = Chain {
                evm_chain_id: chain.evm_chain_id,
                contract: chain.rollup,
                reserved: self.reserved(chain),
            };
            network.chains.insert(chain.id, of_chain);
            for token in &chain.tokens {
                let unified = network.tokens.entry(token.id).or_insert_with(|| Token {
                    symbol: token.symbol.clone(),
                    chains: BTreeMap::new(),
                });
                let l1 = L1Token { address: token.address, decimals: token.decimals };
                unified.chains.insert(chain.id, l1);
            }
        }
        network
    }

    /// Reads the TOML form.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let deployment: Deployment =
            toml::from_str(text).map_err(|error| FileError::Parse(error.to_string()))?;
        if deployment.version != Self::VERSION {
            return Err(FileError::Version(deployment.version));
        }
        deployment.check()?;
        Ok(deployment)
    }

    fn check(&self) -> Result<(), FileError> {
        let contradiction = |what| Err(FileError::Contradiction(what));
        let mut seen = BTreeSet::new();
        for chain in &self.chains {
            if !chain.id.is_valid() || !seen.insert(chain.id) {
                return contradiction("a chain number is out of range or there twice");
            }
            if (chain.id == self.hub) != (chain.role == Role::Hub) {
                return contradiction("the hub's role and number differ");
            }
            if (chain.id == self.hub) != chain.hub.is_some() {
                return contradiction("the hub's chain alone has the hub's contracts");
            }
            let mut tokens = BTreeSet::new();
            for token in &chain.tokens {
                if token.id.0 == 0 || token.decimals > 18 || !tokens.insert(token.id) {
                    return contradiction("a token is out of range or there twice");
                }
            }
        }
        if !seen.contains(&self.hub) {
            return contradiction("the hub is missing");
        }
        if self.genesis.root(self.deployment_id) != self.genesis_root {
            return contradiction("the genesis root is not that of the genesis owners");
        }
        Ok(())
    }

    /// The TOML form.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, strings and lists can be written as TOML")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse(&read_whole(path)?)
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        write_whole(path, &self.to_toml())
    }
}

/// The text of a file that is not too long.
pub(super) fn read_whole(path: &Path) -> Result<String, FileError> {
    let failed = |error| FileError::Io { path: path.display().to_string(), error };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(FileError::Parse("it is longer than a mebibyte".to_owned()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Writes a file, whole or not at all.
pub(super) fn write_whole(path: &Path, text: &str) -> Result<(), FileError> {
    let failed = |error| FileError::Io { path: path.display().to_string(), error };
    let beside = path.with_extension("tmp");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}
