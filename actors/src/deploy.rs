//! Puts a deployment on its chains, and describes it in a file.
//!
//! The contracts come from the committed artifacts. Order on each chain: the verifiers (hub only),
//! the light oracle, the rollup, its tokens, then the bindings, and at the end the setup is closed
//! for ever. What was deployed is read back before the deployment is believed.

mod artifact;
mod check;
mod file;
mod guard;
mod plan;

pub use check::{Mismatch, verify};
pub use file::{DeployedChain, DeployedShape, DeployedToken, Deployment, FileError, Role};
pub use guard::{PUBLIC_CHAINS, Unsafe};
pub use plan::{ChainPlan, Plan, ShapePlan, TokenPlan, TokenSource};

use std::collections::BTreeMap;

use alloy_sol_types::SolCall;
use zklink::id::ChainId;
use zklink::token::Address;

use crate::chain::client::{Call, Receipt};
use crate::chain::contracts::{Hub, LightOracle, ReadError, Rollup, to_abi, transaction};
use crate::chain::sender::{SendError, Sender};
use artifact::{Artifact, ArtifactError};
use plan::check_plan;

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
