//! Puts a deployment on its chains, and describes it in a file.
//!
//! The contracts come from the committed artifacts. Order on each chain: the verifiers (hub only),
//! the light oracle, the rollup, its tokens, then the bindings, and at the end the setup is closed
//! for ever. What was deployed is read back before the deployment is believed.

mod artifact;
mod check;
mod file;
mod guard;

pub use check::{Mismatch, verify};
pub use file::{DeployedChain, DeployedShape, DeployedToken, Deployment, FileError, Role};
pub use guard::{PUBLIC_CHAINS, Unsafe};

use std::collections::BTreeMap;

use alloy_primitives::{Bytes, FixedBytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use zklink::id::{ChainId, ShapeId, TokenId};
use zklink::shape::Shape;
use zklink::state::DeploymentId;
use zklink::token::Address;

use crate::chain::client::{Call, Receipt};
use crate::chain::contracts::{
    Hub, LightOracle, ReadError, Rollup, RollupParams, to_abi, transaction,
};
use crate::chain::sender::{SendError, Sender};
use artifact::{Artifact, ArtifactError};

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

/// A transaction of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub chain: ChainId,
    /// What it does.
    pub what: String,
    /// The gas: used, or in a dry run estimated. Nothing for calls of contracts that are not there
    /// yet.
    pub gas: Option<u64>,
}

/// Why a deployment stopped. What was deployed before stays on the chains, unused.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The plan contradicts itself.
    #[error("the plan cannot be deployed: {0}")]
    Plan(&'static str),
    /// The plan endangers real money.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// The chain lacks the precompiles of EIP-2537.
    #[error(
        "chain {0} has no BLS12-381 precompiles (EIP-2537), which the hub needs: choose another hub"
    )]
    NoPrecompiles(ChainId),
    /// An artifact is broken.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A transaction failed.
    #[error("chain {chain}, {what}: {error}")]
    Send {
        /// Where.
        chain: ChainId,
        /// What it should do.
        what: String,
        /// What happened.
        error: SendError,
    },
    /// A contract could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What stands on the chain is not what was planned.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

/// Deploys a plan. `senders` holds one for each chain, with the deployer's key; `done` hears of
/// every step.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
    done: &mut (dyn FnMut(Step) + Send),
) -> Result<Deployment, DeployError> {
    check_plan(plan, senders)?;
    check::precompiles(plan.hub, &**sender(senders, plan.hub)?.client()).await?;
    let mut site = Site { plan, senders, done };
    let mut deployment = Deployment::begin(plan);
    for shape in &plan.shapes {
        let verifier = match shape.existing_verifier {
            Some(verifier) => verifier,
            None => site.verifier(shape).await?,
        };
        deployment.add_shape(shape, verifier);
    }
    for chain in plan.chains.keys() {
        let deployed = site.chain(*chain).await?;
        deployment.chains.push(deployed);
    }
    for chain in &deployment.chains {
        site.connect(chain, &deployment).await?;
    }
    verify(&deployment, senders).await?;
    Ok(deployment)
}

/// Says what a deployment would do and what the creation of its contracts would cost, and sends
/// nothing.
///
/// # Errors
/// [`DeployError`], as [`deploy`] would find before its first transaction.
pub async fn dry_run(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<Vec<Step>, DeployError> {
    check_plan(plan, senders)?;
    check::precompiles(plan.hub, &**sender(senders, plan.hub)?.client()).await?;
    let mut steps = Vec::new();
    let mut creations = Vec::new();
    for shape in plan.shapes.iter().filter(|shape| shape.existing_verifier.is_none()) {
        creations.push(plan.verifier_creation(shape));
    }
    for chain in plan.chains.keys() {
        let deployer = sender(senders, *chain)?.address();
        creations.extend(plan.creations(*chain, deployer));
    }
    for (chain, what, artifact, arguments) in creations {
        let sender = sender(senders, chain)?;
        let call = Call { from: sender.address(), ..creation(artifact, &arguments)? };
        let gas = sender.client().estimate_gas(call).await;
        let gas = gas.map_err(|error| DeployError::Send {
            chain,
            what: what.clone(),
            error: error.into(),
        })?;
        steps.push(Step { chain, what, gas: Some(gas) });
    }
    for chain in plan.chains.keys() {
        let calls = plan.setup_calls(*chain);
        steps.extend(calls.into_iter().map(|what| Step { chain: *chain, what, gas: None }));
    }
    Ok(steps)
}

fn sender(senders: &BTreeMap<ChainId, Sender>, chain: ChainId) -> Result<&Sender, DeployError> {
    senders.get(&chain).ok_or(DeployError::Plan("a chain of the plan has no connection"))
}

fn creation(artifact: Artifact, arguments: &[u8]) -> Result<Call, ArtifactError> {
    let mut data = artifact.bytecode()?;
    data.extend_from_slice(arguments);
    Ok(Call { data, ..Call::default() })
}

fn check_plan(plan: &Plan, senders: &BTreeMap<ChainId, Sender>) -> Result<(), DeployError> {
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
    Ok(guard::check(plan, senders, PUBLIC_CHAINS)?)
}

type Creation = (ChainId, String, Artifact, Vec<u8>);

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

    fn verifier_creation(&self, shape: &ShapePlan) -> Creation {
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
    fn creations(&self, chain: ChainId, deployer: Address) -> Vec<Creation> {
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
    fn setup_calls(&self, chain: ChainId) -> Vec<String> {
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
    fn partners(&self, chain: ChainId) -> Vec<ChainId> {
        let others = self.chains.keys().copied().filter(|other| *other != chain);
        others.filter(|other| chain == self.hub || *other == self.hub).collect()
    }
}

/// A deployment under way.
struct Site<'a> {
    plan: &'a Plan,
    senders: &'a BTreeMap<ChainId, Sender>,
    done: &'a mut (dyn FnMut(Step) + Send),
}

impl Site<'_> {
    async fn send(
        &mut self,
        chain: ChainId,
        what: String,
        call: Call,
    ) -> Result<Receipt, DeployError> {
        match sender(self.senders, chain)?.send(call).await {
            Ok(receipt) => {
                (self.done)(Step { chain, what, gas: Some(receipt.gas_used) });
                Ok(receipt)
            }
            Err(error) => Err(DeployError::Send { chain, what, error }),
        }
    }

    async fn create(
        &mut self,
        chain: ChainId,
        what: String,
        artifact: Artifact,
        arguments: Vec<u8>,
    ) -> Result<(Address, u64), DeployError> {
        let receipt = self.send(chain, what, creation(artifact, &arguments)?).await?;
        let created = receipt.created;
        let address = created.ok_or(DeployError::Plan("a creation made no contract"))?;
        Ok((address, receipt.block))
    }

    async fn call<C: SolCall>(
        &mut self,
        chain: ChainId,
        what: String,
        to: Address,
        call: &C,
    ) -> Result<(), DeployError> {
        self.send(chain, what, transaction(to, call)).await.map(drop)
    }

    async fn verifier(&mut self, shape: &ShapePlan) -> Result<Address, DeployError> {
        let (chain, what, artifact, arguments) = self.plan.verifier_creation(shape);
        Ok(self.create(chain, what, artifact, arguments).await?.0)
    }

    /// The contracts of one chain.
    async fn chain(&mut self, chain: ChainId) -> Result<DeployedChain, DeployError> {
        let of_plan = &self.plan.chains[&chain];
        let deployer = sender(self.senders, chain)?.address();
        let mut created = Vec::new();
        for (chain, what, artifact, arguments) in self.plan.creations(chain, deployer) {
            created.push(self.create(chain, what, artifact, arguments).await?);
        }
        let [(oracle, first_block), (rollup, _), dev_tokens @ ..] = &created[..] else {
            return Err(DeployError::Plan("a chain has an oracle and a rollup"));
        };
        let mut dev_tokens = dev_tokens.iter().map(|(address, _)| *address);
        let tokens = of_plan.tokens.iter().map(|(id, token)| DeployedToken {
            id: *id,
            symbol: token.symbol.clone(),
            decimals: token.decimals,
            address: match token.source {
                TokenSource::Native => [0; 20],
                TokenSource::Existing(address) => address,
                // One was created for each of them, in this order.
                TokenSource::Development => dev_tokens.next().unwrap_or_default(),
            },
        });
        Ok(DeployedChain {
            id: chain,
            evm_chain_id: of_plan.evm_chain_id,
            role: if chain == self.plan.hub { Role::Hub } else { Role::Spoke },
            rollup: *rollup,
            oracle: *oracle,
            first_block: *first_block,
            tokens: tokens.collect(),
        })
    }

    /// The calls of one chain; [`Plan::setup_calls`] tells them in words.
    async fn connect(
        &mut self,
        chain: &DeployedChain,
        deployment: &Deployment,
    ) -> Result<(), DeployError> {
        let (id, to) = (chain.id, chain.rollup);
        let bind = LightOracle::bindCall { rollup: to_abi(to) };
        self.call(id, "bind the oracle".to_owned(), chain.oracle, &bind).await?;
        for token in &chain.tokens {
            let (what, address) = (format!("add {}", token.symbol), to_abi(token.address));
            let decimals = token.decimals;
            let call = Rollup::addTokenCall { id: token.id.0, token: address, decimals };
            self.call(id, what, to, &call).await?;
        }
        for other in self.plan.partners(id) {
            let call = Rollup::addChainCall { chain: other.0, route: to_abi(chain.oracle) };
            self.call(id, format!("add chain {other}"), to, &call).await?;
        }
        if chain.role == Role::Hub {
            for shape in &deployment.shapes {
                let call = Hub::registerShapeCall {
                    shape: shape.id.0,
                    onchainWords: shape.onchain_words,
                    dataWords: shape.data_words,
                    verifier: to_abi(shape.verifier),
                };
                self.call(id, format!("register shape {}", shape.id), to, &call).await?;
            }
        }
        self.call(id, "finish the setup".to_owned(), to, &Rollup::finishSetupCall {}).await
    }
}

#[cfg(test)]
mod tests;
