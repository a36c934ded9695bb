//! Puts a deployment on its chains, and describes it in a file.
//!
//! The contracts come from the committed artifacts. Order: the verifiers; on each chain the hub's contract (hub only),
//! the rollup, its routes, the key recorder, its tokens; then the registrations, and at the end the setups are closed
//! for ever. What was deployed is read back before the deployment is believed.

mod artifact;
mod check;
mod estimate;
mod file;
mod guard;
mod plan;
mod progress;

pub use check::{Mismatch, verify};
pub use estimate::{Cost, Estimate, dry_run};
pub use file::{
    DeployedChain, DeployedHub, DeployedShape, DeployedToken, Deployment, FileError, Genesis,
    HexAddress, Role,
};
pub use guard::{PUBLIC_CHAINS, Unsafe};
pub use plan::{ChainPlan, Plan, ShapePlan, TokenPlan, TokenSource};
pub use progress::{Made, Progress};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_primitives::{FixedBytes, Uint};
use alloy_sol_types::SolCall;
use zklink::id::ChainId;
use zklink::token::Address;

use crate::client::Call;
use crate::contracts::{Endpoint, Hub, ReadError, Rollup, to_abi, transaction};
use crate::patient::{Patience, Patient};
use crate::sender::{SendError, Sender};
use artifact::{Artifact, ArtifactError};
use plan::{Creation, check_plan, local_route_identity, oracle_identity};

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

/// Why a deployment stopped. What was deployed before stays on the chains: [`resume`] goes on from there.
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
    /// A token of the plan is another one on its chain, or none.
    #[error("chain {chain}: {symbol} at 0x{}: {fault}", hex::encode(address))]
    Token {
        /// Where.
        chain: ChainId,
        /// What the plan calls it.
        symbol: String,
        /// Where the plan says it is.
        address: Address,
        /// What is wrong with it.
        fault: TokenFault,
    },
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
    /// The last check did not come to an end.
    #[error(
        "everything was sent, and what the chains tell of it still differs: {0}. If an endpoint is behind, start again \
         when it is not: nothing is deployed twice"
    )]
    Unconfirmed(Box<DeployError>),
    /// What was begun is not of this plan.
    #[error(
        "chain {chain}, {what}: what was begun before is of another plan, or not on this chain; move the record of it \
         away to begin anew"
    )]
    NotOfThisPlan {
        /// Where.
        chain: ChainId,
        /// The step.
        what: String,
    },
    /// The record of what is deployed cannot be kept.
    #[error(transparent)]
    Record(#[from] FileError),
}

/// Why a token of a plan cannot be the token at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// There is nothing.
    #[error("there is no contract: correct the address, or the chain")]
    NoContract,
    /// It counts in other units.
    #[error(
        "it has {own} decimals and the configuration says {said}: correct decimals, or the address"
    )]
    Decimals {
        /// What the plan says.
        said: u8,
        /// What the token says.
        own: u8,
    },
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
    let begin = Progress::begin(plan.deployment);
    let mut record = |step, _: &Progress| {
        done(step);
        Ok(())
    };
    resume(plan, senders, begin, Patience::default(), &mut record).await
}

/// Deploys what is not deployed yet. A question that is not answered is asked again for as long as `patience` allows;
/// `record` hears of every step, and of all that is deployed with it.
///
/// # Errors
/// [`DeployError`].
pub async fn resume(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
    progress: Progress,
    patience: Patience,
    record: &mut Record<'_>,
) -> Result<Deployment, DeployError> {
    check_plan(plan, senders)?;
    if progress.deployment_id != plan.deployment {
        return Err(DeployError::Plan("what was begun has another deployment id"));
    }
    let patient = |(chain, sender): (&ChainId, &Sender)| {
        let client = Patient::new(Arc::clone(sender.client()), patience);
        (*chain, sender.through(Arc::new(client)))
    };
    let senders: BTreeMap<ChainId, Sender> = senders.iter().map(patient).collect();
    check::precompiles(plan.hub, &**sender(&senders, plan.hub)?.client()).await?;
    check::tokens(plan, &senders).await?;
    check::made(&progress, &senders, patience).await?;
    // What was sent last before the stop may be mined, and not recorded.
    let unsure = progress.steps.iter().map(|made| made.chain).collect();
    let mut site = Site { plan, senders: &senders, progress, unsure, record };
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
        if let Some(hub) = chain.hub {
            site.connect_hub(chain, hub, &deployment).await?;
        }
        site.connect(chain, &deployment).await?;
    }
    // Servers that are behind do not have the last blocks yet.
    let passing =
        |error: &DeployError| matches!(error, DeployError::Mismatch(_) | DeployError::Read(_));
    let read_back = patience.wait(passing, || verify(&deployment, &senders)).await;
    read_back.map_err(|error| DeployError::Unconfirmed(Box::new(error)))?;
    Ok(deployment)
}

fn sender(senders: &BTreeMap<ChainId, Sender>, chain: ChainId) -> Result<&Sender, DeployError> {
    senders.get(&chain).ok_or(DeployError::Plan("a chain of the plan has no connection"))
}

fn creation(artifact: Artifact, arguments: &[u8]) -> Result<Call, ArtifactError> {
    let mut data = artifact.bytecode()?;
    data.extend_from_slice(arguments);
    Ok(Call { data, ..Call::default() })
}

/// Hears of every step, and of all that is deployed with it.
pub type Record<'a> = dyn FnMut(Step, &Progress) -> Result<(), FileError> + Send + 'a;

/// A deployment under way.
struct Site<'a, 'r> {
    plan: &'a Plan,
    senders: &'a BTreeMap<ChainId, Sender>,
    progress: Progress,
    /// Chains on which the next step may be done already.
    unsure: BTreeSet<ChainId>,
    record: &'a mut Record<'r>,
}

impl Site<'_, '_> {
    /// Does a step, or finds that it is done.
    async fn send(
        &mut self,
        chain: ChainId,
        what: String,
        call: Call,
    ) -> Result<Made, DeployError> {
        let digest = progress::digest(&call);
        if let Some(made) = self.progress.made(chain, &what) {
            if made.digest != digest {
                return Err(DeployError::NotOfThisPlan { chain, what });
            }
            return Ok(made.clone());
        }
        let mut unsure = self.unsure.remove(&chain);
        let sender = sender(self.senders, chain)?;
        let mut sent = sender.send(call.clone()).await;
        if let Err(SendError::Overtaken(_)) = sent {
            // By a transaction of ours that was sent before a stop, and was on its way.
            unsure = true;
            sent = sender.send(call.clone()).await;
        }
        let mut made = Made { chain, what: what.clone(), digest, created: None, block: 0 };
        let mut gas = None;
        match sent {
            Ok(receipt) => {
                made.created = receipt.created.map(HexAddress);
                made.block = receipt.block;
                gas = Some(receipt.gas_used);
            }
            // Every setting is made once, and refused from then on. Whether it is the right one is read at the end.
            Err(SendError::Reverted { reason, tx_hash: None }) if unsure && call.to.is_some() => {
                tracing::warn!(%chain, what, reason, "taken for done before the stop");
            }
            Err(error) => return Err(DeployError::Send { chain, what, error }),
        }
        self.progress.steps.push(made.clone());
        (self.record)(Step { chain, what, gas }, &self.progress)?;
        Ok(made)
    }

    /// Creates a contract; gives its address and its block.
    async fn create(
        &mut self,
        (chain, what, artifact, arguments): Creation,
    ) -> Result<(Address, u64), DeployError> {
        let made = self.send(chain, what, creation(artifact, &arguments)?).await?;
        let address = made.created().ok_or(DeployError::Plan("a creation made no contract"))?;
        Ok((address, made.block))
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
        Ok(self.create(self.plan.verifier_creation(shape)).await?.0)
    }

    /// The contracts of one chain.
    async fn chain(&mut self, chain: ChainId) -> Result<DeployedChain, DeployError> {
        let (plan, is_hub) = (self.plan, chain == self.plan.hub);
        let of_plan = &plan.chains[&chain];
        let deployer = sender(self.senders, chain)?.address();
        let hub = if is_hub { Some(self.create(plan.hub_creation(deployer)).await?) } else { None };
        let (rollup, rollup_block) = self.create(plan.rollup_creation(chain, deployer)).await?;
        let mut deployed_hub = None;
        if let Some((contract, _)) = hub {
            let (local_route, _) = self.create(plan.local_route_creation(contract, rollup)).await?;
            deployed_hub = Some(DeployedHub { contract, local_route });
        }
        let endpoint = hub.map_or(rollup, |(hub, _)| hub);
        let (oracle, _) = self.create(plan.oracle_creation(chain, endpoint)).await?;
        let (key_recorder, _) = self.create(plan.recorder_creation(chain, rollup)).await?;
        let mut dev_tokens = Vec::new();
        for creation in plan.token_creations(chain) {
            dev_tokens.push(self.create(creation).await?.0);
        }
        Ok(DeployedChain {
            id: chain,
            evm_chain_id: of_plan.evm_chain_id,
            role: if is_hub { Role::Hub } else { Role::Spoke },
            rollup,
            key_recorder,
            oracle,
            hub: deployed_hub,
            first_block: hub.map_or(rollup_block, |(_, block)| block),
            tokens: deployed_tokens(of_plan, dev_tokens),
        })
    }

    /// The calls to the hub's contract.
    async fn connect_hub(
        &mut self,
        chain: &DeployedChain,
        hub: DeployedHub,
        deployment: &Deployment,
    ) -> Result<(), DeployError> {
        let (id, to) = (chain.id, hub.contract);
        for other in &deployment.chains {
            let (route, identity) = if other.id == id {
                (hub.local_route, local_route_identity(deployment, to, chain.rollup))
            } else {
                (chain.oracle, oracle_identity(deployment, id, to))
            };
            let call = Endpoint::addChainCall { chain: other.id.0, route: to_abi(route), identity };
            self.call(id, format!("hub: add chain {}", other.id), to, &call).await?;
        }
        for shape in &deployment.shapes {
            let call = Hub::registerShapeCall {
                shape: shape.id.0,
                onchainWords: shape.onchain_words,
                dataWords: shape.data_words,
                verifier: to_abi(shape.verifier),
                keyHash: FixedBytes(shape.key_hash),
            };
            self.call(id, format!("register shape {}", shape.id), to, &call).await?;
        }
        self.call(id, "hub: finish the setup".to_owned(), to, &Endpoint::finishSetupCall {}).await
    }

    /// The calls to the rollup of one chain.
    async fn connect(
        &mut self,
        chain: &DeployedChain,
        deployment: &Deployment,
    ) -> Result<(), DeployError> {
        let (id, to) = (chain.id, chain.rollup);
        let recorder = Rollup::setKeyRecorderCall { recorder: to_abi(chain.key_recorder) };
        self.call(id, "set the key recorder".to_owned(), to, &recorder).await?;
        for token in &chain.tokens {
            let call = Rollup::addTokenCall {
                id: token.id.0,
                token: to_abi(token.address),
                decimals: token.decimals,
                least: Uint::from(token.least_deposit),
            };
            self.call(id, format!("add {}", token.symbol), to, &call).await?;
        }
        let (route, identity) = match chain.hub {
            Some(hub) => (hub.local_route, local_route_identity(deployment, hub.contract, to)),
            None => (chain.oracle, oracle_identity(deployment, id, to)),
        };
        let hub = deployment.hub;
        let call = Endpoint::addChainCall { chain: hub.0, route: to_abi(route), identity };
        self.call(id, format!("add chain {hub}"), to, &call).await?;
        self.call(id, "finish the setup".to_owned(), to, &Endpoint::finishSetupCall {}).await
    }
}

/// The tokens of a chain. `created` are the development tokens, in the order of their ids.
fn deployed_tokens(of_plan: &ChainPlan, created: Vec<Address>) -> Vec<DeployedToken> {
    let mut created = created.into_iter();
    let tokens = of_plan.tokens.iter().map(|(id, token)| DeployedToken {
        id: *id,
        symbol: token.symbol.clone(),
        decimals: token.decimals,
        least_deposit: token.least_deposit,
        address: match token.source {
            TokenSource::Native => [0; 20],
            TokenSource::Existing(address) => address,
            // One was created for each of them, in this order.
            TokenSource::Development => created.next().unwrap_or_default(),
        },
    });
    tokens.collect()
}

#[cfg(test)]
mod tests;
