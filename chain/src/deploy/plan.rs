//! What shall be deployed, and what that means in contracts and calls.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address as AlloyAddress, Bytes, FixedBytes, U256};
use alloy_sol_types::SolValue;
use zklink::id::{ChainId, ShapeId, TokenId};
use zklink::shape::Shape;
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink::tx::keccak;

use super::artifact::{self, Artifact};
use super::{DeployError, Deployment, Genesis, guard, sender};
use crate::contracts::{EndpointParams, to_abi};
use crate::sender::Sender;

/// What shall be deployed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Binds every signature and message to this deployment; not zero.
    pub deployment: DeploymentId,
    /// Of what the state before the first block is made.
    pub genesis: Genesis,
    /// The chain that checks proofs.
    pub hub: ChainId,
    /// All chains, the hub among them.
    pub chains: BTreeMap<ChainId, ChainPlan>,
    /// The shapes of blocks.
    pub shapes: Vec<ShapePlan>,
    /// Whether the proving keys were made for development: whoever made them can forge proofs.
    pub dev_proving_keys: bool,
    /// Who commits blocks.
    pub validator: Address,
    /// Who signs messages between chains.
    pub attesters: Vec<Address>,
    /// How many of them must sign.
    pub threshold: u64,
    /// Further addresses whose keys are public knowledge, such as those of the demonstration.
    pub dev_addresses: Vec<Address>,
}

/// A chain of a plan.
#[derive(Clone, Debug)]
pub struct ChainPlan {
    /// The EIP-155 chain id.
    pub evm_chain_id: u64,
    /// The unified tokens that it has.
    pub tokens: BTreeMap<TokenId, TokenPlan>,
}

/// A token of a chain of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlan {
    /// What people call it.
    pub symbol: String,
    /// Its decimals on this chain.
    pub decimals: u8,
    /// The least that one deposit may bring, in its units.
    pub least_deposit: u64,
    /// Where it is.
    pub source: TokenSource,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// It is the chain's native coin.
    Native,
    /// At this address.
    Existing(Address),
    /// Nowhere yet: a development token is deployed, which anybody may mint.
    Development,
}

/// A shape of a plan.
#[derive(Clone, Debug)]
pub struct ShapePlan {
    /// Its number.
    pub id: ShapeId,
    /// The greatest length of the on-chain vector.
    pub onchain_words: u32,
    /// The greatest length of the data vector.
    pub data_words: u32,
    /// The verifying key in the encoding that the verifier contract takes.
    pub verifying_key: Vec<u8>,
    /// A verifier with this key that stands on the hub's chain already, to be used instead of a new
    /// one.
    pub existing_verifier: Option<Address>,
}

impl ShapePlan {
    /// A shape with its verifying key.
    pub fn of(shape: &Shape, verifying_key: Vec<u8>) -> Self {
        let length = |words: usize| u32::try_from(words).expect("a shape has thousands of words");
        let (onchain_words, data_words) =
            (length(shape.onchain_words()), length(shape.data_words()));
        Self { id: shape.id, onchain_words, data_words, verifying_key, existing_verifier: None }
    }
}

/// Refuses a plan that contradicts itself or endangers real money.
pub(super) fn check_plan(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<(), DeployError> {
    let refuse = |reason| Err(DeployError::Plan(reason));
    if !plan.chains.contains_key(&plan.hub) {
        return refuse("the hub is not among the chains");
    }
    if plan.chains.keys().any(|chain| !chain.is_valid()) {
        return refuse("chain numbers are 1 to 63");
    }
    if plan.deployment.0 == [0; 31] {
        return refuse("the deployment id is zero");
    }
    if plan.shapes.is_empty() {
        return refuse("there is no shape");
    }
    let count = u64::try_from(plan.attesters.len()).unwrap_or(u64::MAX);
    if plan.attesters.iter().collect::<BTreeSet<_>>().len() != plan.attesters.len() {
        return refuse("an attester is named twice");
    }
    if plan.threshold == 0 || plan.threshold > count {
        return refuse("the threshold must be between one and the number of attesters");
    }
    for (chain, of_plan) in &plan.chains {
        if sender(senders, *chain)?.chain_id() != of_plan.evm_chain_id {
            return refuse("a connection is to another chain than the plan says");
        }
        if of_plan.tokens.is_empty() {
            return refuse("a chain has no token");
        }
        if of_plan.tokens.iter().any(|(id, token)| id.0 == 0 || token.decimals > 18) {
            return refuse("token numbers begin at 1 and decimals end at 18");
        }
    }
    Ok(guard::check(plan, senders, guard::PUBLIC_CHAINS)?)
}

/// A contract to create: where, what it is, its code, its arguments.
pub(super) type Creation = (ChainId, String, Artifact, Vec<u8>);

impl Plan {
    fn params(&self, chain: ChainId, deployer: Address) -> EndpointParams {
        EndpointParams {
            chain: chain.0,
            hub: self.hub.0,
            deploymentId: self.deployment_word(),
            governor: to_abi(deployer),
            validator: to_abi(self.validator),
        }
    }

    /// The hub's contract.
    pub(super) fn hub_creation(&self, deployer: Address) -> Creation {
        let root = FixedBytes(self.genesis.root(self.deployment));
        let arguments = (self.params(self.hub, deployer), root).abi_encode_params();
        (self.hub, "hub".to_owned(), artifact::HUB, arguments)
    }

    /// The rollup of a chain.
    pub(super) fn rollup_creation(&self, chain: ChainId, deployer: Address) -> Creation {
        let arguments = (self.params(chain, deployer),).abi_encode_params();
        (chain, "rollup".to_owned(), artifact::ROLLUP, arguments)
    }

    /// The way between the hub and the rollup of its chain.
    pub(super) fn local_route_creation(&self, hub: Address, rollup: Address) -> Creation {
        let arguments = (to_abi(hub), to_abi(rollup)).abi_encode_params();
        (self.hub, "local route".to_owned(), artifact::LOCAL_ROUTE, arguments)
    }

    /// The light oracle of a chain, which serves the hub there or the rollup.
    pub(super) fn oracle_creation(&self, chain: ChainId, endpoint: Address) -> Creation {
        let threshold = U256::from(self.threshold);
        let arguments =
            (to_abi(endpoint), self.attesters_in_order(), threshold).abi_encode_params();
        (chain, "light oracle".to_owned(), artifact::ORACLE, arguments)
    }

    /// The contract that records keys on a chain.
    pub(super) fn recorder_creation(&self, chain: ChainId, rollup: Address) -> Creation {
        let arguments = (to_abi(rollup),).abi_encode_params();
        (chain, "key recorder".to_owned(), artifact::KEY_RECORDER, arguments)
    }

    /// The verifier of a shape.
    pub(super) fn verifier_creation(&self, shape: &ShapePlan) -> Creation {
        let arguments = (Bytes::from(shape.verifying_key.clone()),).abi_encode_params();
        (self.hub, format!("verifier of shape {}", shape.id), artifact::VERIFIER, arguments)
    }

    /// The development tokens of a chain, in the order of their ids.
    pub(super) fn token_creations(&self, chain: ChainId) -> Vec<Creation> {
        let tokens = self.chains.get(&chain).map(|of_plan| of_plan.tokens.values());
        let new = tokens.into_iter().flatten();
        let new = new.filter(|token| token.source == TokenSource::Development);
        let creation = |token: &TokenPlan| {
            let arguments = Self::token_arguments(token);
            (chain, format!("token {}", token.symbol), artifact::TOKEN, arguments)
        };
        new.map(creation).collect()
    }

    fn token_arguments(token: &TokenPlan) -> Vec<u8> {
        let decimals = U256::from(token.decimals);
        (token.symbol.clone(), token.symbol.clone(), decimals).abi_encode_params()
    }

    fn attesters_in_order(&self) -> Vec<AlloyAddress> {
        in_order(self.attesters.iter().copied())
    }

    pub(super) fn deployment_word(&self) -> FixedBytes<32> {
        deployment_word(self.deployment)
    }

    /// All contracts of one chain but verifiers, for a dry run: as none of them stands yet, the chain itself stands in
    /// for the addresses that some are given.
    pub(super) fn creations(&self, chain: ChainId, deployer: Address) -> Vec<Creation> {
        let mut creations = Vec::new();
        if chain == self.hub {
            creations.push(self.hub_creation(deployer));
        }
        creations.push(self.rollup_creation(chain, deployer));
        creations.extend(self.token_creations(chain));
        creations
    }

    /// The contracts that ask others in their constructor, and the calls of one chain: what a dry run cannot try.
    pub(super) fn later_steps(&self, chain: ChainId) -> Vec<Later> {
        let mut steps = Vec::new();
        let create = |what: &str| Later { what: what.to_owned(), creates: true };
        let call = |what: String| Later { what, creates: false };
        if chain == self.hub {
            steps.push(create("local route"));
        }
        steps.extend(["light oracle", "key recorder"].map(create));
        if chain == self.hub {
            steps.extend(self.chains.keys().map(|other| call(format!("hub: add chain {other}"))));
            let shapes = self.shapes.iter();
            steps.extend(shapes.map(|shape| call(format!("register shape {}", shape.id))));
            steps.push(call("hub: finish the setup".to_owned()));
        }
        steps.push(call("set the key recorder".to_owned()));
        if let Some(of_plan) = self.chains.get(&chain) {
            let tokens = of_plan.tokens.values();
            steps.extend(tokens.map(|token| call(format!("add {}", token.symbol))));
        }
        steps.push(call(format!("add chain {}", self.hub)));
        steps.push(call("finish the setup".to_owned()));
        steps
    }
}

/// A step that a dry run cannot try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Later {
    pub(super) what: String,
    /// Whether it creates a contract.
    pub(super) creates: bool,
}

impl Later {
    /// The most gas that it takes on a chain with Ethereum's prices; a test holds it against a deployment.
    pub(super) fn gas_max(&self) -> u64 {
        if self.creates { 2_000_000 } else { 200_000 }
    }
}

/// Addresses as the light oracle wants them.
fn in_order(addresses: impl IntoIterator<Item = Address>) -> Vec<AlloyAddress> {
    let sorted: BTreeSet<Address> = addresses.into_iter().collect();
    sorted.into_iter().map(to_abi).collect()
}

/// The deployment id as the contracts have it.
pub(super) fn deployment_word(deployment: DeploymentId) -> FixedBytes<32> {
    let mut word = [0; 32];
    word[1..].copy_from_slice(&deployment.0);
    FixedBytes(word)
}

/// What the light oracle of a chain answers to `identity()`.
pub(super) fn oracle_identity(
    deployment: &Deployment,
    chain: ChainId,
    endpoint: Address,
) -> FixedBytes<32> {
    let attesters = in_order(deployment.attesters.iter().map(|attester| attester.0));
    let tag = FixedBytes(keccak(&[b"zkLink LightOracle"]));
    let (chain, id) = (U256::from(chain.0), deployment_word(deployment.deployment_id));
    let threshold = U256::from(deployment.threshold);
    let encoded = (tag, chain, id, to_abi(endpoint), threshold, attesters).abi_encode_params();
    FixedBytes(keccak(&[&encoded]))
}

/// What the way between the hub and the rollup of its chain answers to `identity()`.
pub(super) fn local_route_identity(
    deployment: &Deployment,
    hub: Address,
    rollup: Address,
) -> FixedBytes<32> {
    let tag = FixedBytes(keccak(&[b"zkLink LocalRoute"]));
    let (chain, id) = (U256::from(deployment.hub.0), deployment_word(deployment.deployment_id));
    let encoded = (tag, chain, id, to_abi(hub), to_abi(rollup)).abi_encode_params();
    FixedBytes(keccak(&[&encoded]))
}
