//! What shall be deployed, and what that means in contracts and calls.

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, FixedBytes, U256};
use alloy_sol_types::SolValue;
use zklink::id::{ChainId, ShapeId, TokenId};
use zklink::shape::Shape;
use zklink::state::DeploymentId;
use zklink::token::Address;

use super::artifact::{self, Artifact};
use super::{DeployError, guard, sender};
use crate::chain::contracts::{RollupParams, to_abi};
use crate::chain::sender::Sender;

/// What shall be deployed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Binds every signature and message to this deployment; not zero.
    pub deployment: DeploymentId,
    /// The root of the state before the first block.
    pub genesis_root: [u8; 32],
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
    /// The length of the on-chain vector.
    pub onchain_words: u32,
    /// The length of the data vector.
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
    fn oracle_arguments(&self, chain: ChainId) -> Vec<u8> {
        let attesters: Vec<_> = self.attesters.iter().copied().map(to_abi).collect();
        let (chain, threshold) = (U256::from(chain.0), U256::from(self.threshold));
        (chain, self.deployment_word(), attesters, threshold).abi_encode_params()
    }

    fn rollup_arguments(&self, chain: ChainId, deployer: Address) -> Vec<u8> {
        let params = RollupParams {
            chain: chain.0,
            hub: self.hub.0,
            deploymentId: self.deployment_word(),
            governor: to_abi(deployer),
            validator: to_abi(self.validator),
        };
        if chain == self.hub {
            (params, FixedBytes(self.genesis_root)).abi_encode_params()
        } else {
            (params,).abi_encode_params()
        }
    }

    pub(super) fn verifier_creation(&self, shape: &ShapePlan) -> Creation {
        let arguments = (Bytes::from(shape.verifying_key.clone()),).abi_encode_params();
        (self.hub, format!("verifier of shape {}", shape.id), artifact::VERIFIER, arguments)
    }

    fn deployment_word(&self) -> FixedBytes<32> {
        let mut word = [0; 32];
        word[1..].copy_from_slice(&self.deployment.0);
        FixedBytes(word)
    }

    fn rollup_artifact(&self, chain: ChainId) -> Artifact {
        if chain == self.hub { artifact::HUB } else { artifact::ROLLUP }
    }

    fn token_arguments(token: &TokenPlan) -> Vec<u8> {
        let decimals = U256::from(token.decimals);
        (token.symbol.clone(), token.symbol.clone(), decimals).abi_encode_params()
    }

    /// The contracts of one chain besides the verifiers.
    pub(super) fn creations(&self, chain: ChainId, deployer: Address) -> Vec<Creation> {
        let mut creations = vec![
            (chain, "light oracle".to_owned(), artifact::ORACLE, self.oracle_arguments(chain)),
            (
                chain,
                "rollup".to_owned(),
                self.rollup_artifact(chain),
                self.rollup_arguments(chain, deployer),
            ),
        ];
        let tokens = self.chains.get(&chain).map(|of_plan| of_plan.tokens.values());
        for token in tokens.into_iter().flatten() {
            if token.source == TokenSource::Development {
                let what = format!("token {}", token.symbol);
                creations.push((chain, what, artifact::TOKEN, Self::token_arguments(token)));
            }
        }
        creations
    }

    /// The calls of one chain in words, as [`Site::connect`] makes them.
    pub(super) fn setup_calls(&self, chain: ChainId) -> Vec<String> {
        let mut calls = vec!["bind the oracle".to_owned()];
        if let Some(of_plan) = self.chains.get(&chain) {
            calls.extend(of_plan.tokens.values().map(|token| format!("add {}", token.symbol)));
        }
        calls.extend(self.partners(chain).iter().map(|other| format!("add chain {other}")));
        if chain == self.hub {
            calls.extend(self.shapes.iter().map(|shape| format!("register shape {}", shape.id)));
        }
        calls.push("finish the setup".to_owned());
        calls
    }

    /// The chains that a chain talks to: the hub to all, a spoke to the hub.
    pub(super) fn partners(&self, chain: ChainId) -> Vec<ChainId> {
        let others = self.chains.keys().copied().filter(|other| *other != chain);
        others.filter(|other| chain == self.hub || *other == self.hub).collect()
    }
}
