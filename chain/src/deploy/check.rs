//! Checks before and after a deployment.

use std::collections::BTreeMap;

use alloy_primitives::Uint;
use bls12_381::G1Affine;
use zklink::id::ChainId;
use zklink::token::Address;

use super::file::{DeployedChain, DeployedHub, Deployment};
use super::plan::{Plan, TokenSource, deployment_word, local_route_identity, oracle_identity};
use super::{DeployError, Progress, TokenFault, sender};
use crate::client::{At, Call, ChainClient, ClientError};
use crate::contracts::{
    Endpoint, Erc20, Groth16Verifier, Hub, KeyRecorder, LightOracle, ReadError, Rollup, Route,
    narrow, read, to_abi,
};
use crate::patient::Patience;
use crate::sender::Sender;

/// What stands on a chain is not what the deployment says.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// A contract says something else.
    #[error("chain {chain}: {what} is not what the deployment says")]
    Differs {
        /// The chain.
        chain: ChainId,
        /// What differs.
        what: String,
    },
    /// A contract could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The precompile that adds points of G1 (EIP-2537).
const G1_ADD: u8 = 0x0b;

/// A point in the encoding of EIP-2537: 64 bytes a coordinate, of which the first 16 are zero.
fn encode(point: &G1Affine) -> Vec<u8> {
    let raw = point.to_uncompressed();
    raw.chunks(48).flat_map(|coordinate| [&[0; 16], coordinate].concat()).collect()
}

/// Asks the chain to add the generator to itself. A chain without the precompile answers nothing,
/// with success.
pub(super) async fn precompiles(
    chain: ChainId,
    client: &dyn ChainClient,
) -> Result<(), DeployError> {
    let generator = bls12_381::G1Projective::generator();
    let one = encode(&G1Affine::from(generator));
    let two = encode(&G1Affine::from(generator.double()));
    let mut to = [0; 20];
    to[19] = G1_ADD;
    let call = Call { to: Some(to), data: [one.clone(), one].concat(), ..Call::default() };
    match client.call(call, At::Latest).await {
        Ok(answer) if answer == two => Ok(()),
        Ok(_) | Err(ClientError::Refused { .. }) => Err(DeployError::NoPrecompiles(chain)),
        Err(error) => Err(ReadError::Client(error).into()),
    }
}

/// Asks the tokens that exist what they are. The rollup of their chain would refuse them as well, after much was paid
/// for. A token may keep silent about its decimals, as there.
pub(super) async fn tokens(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<(), DeployError> {
    for (chain, of_plan) in &plan.chains {
        let client = &**sender(senders, *chain)?.client();
        for token in of_plan.tokens.values() {
            let TokenSource::Existing(address) = token.source else { continue };
            let wrong = |fault| DeployError::Token {
                chain: *chain,
                symbol: token.symbol.clone(),
                address,
                fault,
            };
            let code = client.code(address, At::Latest).await.map_err(ReadError::Client)?;
            if code.is_empty() {
                return Err(wrong(TokenFault::NoContract));
            }
            let said = token.decimals;
            match read(client, address, &Erc20::decimalsCall {}, At::Latest).await {
                Ok(own) if own == said => {}
                Ok(own) => return Err(wrong(TokenFault::Decimals { said, own })),
                Err(ReadError::NotOurs { .. } | ReadError::Client(ClientError::Refused { .. })) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Whether the contracts stand that were created before a stop.
pub(super) async fn made(
    progress: &Progress,
    senders: &BTreeMap<ChainId, Sender>,
    patience: Patience,
) -> Result<(), DeployError> {
    for made in &progress.steps {
        let Some(address) = made.created() else { continue };
        let client = sender(senders, made.chain)?.client();
        // A server that is behind does not have the contract yet.
        let passing = |error: &DeployError| matches!(error, DeployError::NotOfThisPlan { .. });
        let stands = || async move {
            let code = client.code(address, At::Latest).await.map_err(ReadError::Client)?;
            let (chain, what) = (made.chain, made.what.clone());
            if code.is_empty() { Err(DeployError::NotOfThisPlan { chain, what }) } else { Ok(()) }
        };
        patience.wait(passing, stands).await?;
    }
    Ok(())
}

/// Reads a deployment back from its chains.
///
/// # Errors
/// The first thing that differs, or that cannot be read.
pub async fn verify(
    deployment: &Deployment,
    senders: &BTreeMap<ChainId, Sender>,
) -> Result<(), DeployError> {
    for chain in &deployment.chains {
        let client = &**sender(senders, chain.id)?.client();
        endpoint(deployment, chain, chain.rollup, client).await?;
        rollup(deployment, chain, client).await?;
        oracle(deployment, chain, client).await?;
        recorder(chain, client).await?;
        if let Some(deployed) = chain.hub {
            endpoint(deployment, chain, deployed.contract, client).await?;
            hub(deployment, chain, deployed, client).await?;
        }
    }
    Ok(())
}

fn expect(holds: bool, chain: &DeployedChain, what: impl Into<String>) -> Result<(), Mismatch> {
    if holds { Ok(()) } else { Err(Mismatch::Differs { chain: chain.id, what: what.into() }) }
}

/// What hub and rollup have in common.
async fn endpoint(
    deployment: &Deployment,
    chain: &DeployedChain,
    to: Address,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let at = At::Latest;
    let id = read(client, to, &Endpoint::chainCall {}, at).await?;
    expect(id == chain.id.0, chain, "the chain number")?;
    let hub = read(client, to, &Endpoint::hubCall {}, at).await?;
    expect(hub == deployment.hub.0, chain, "the hub's number")?;
    let word = read(client, to, &Endpoint::deploymentIdCall {}, at).await?;
    let wanted = deployment_word(deployment.deployment_id);
    expect(word == wanted, chain, "the deployment id of a contract")?;
    let validator: Address = read(client, to, &Endpoint::validatorCall {}, at).await?.into();
    expect(validator == deployment.validator, chain, "the validator")?;
    let finished = read(client, to, &Endpoint::setupFinishedCall {}, at).await?;
    expect(finished, chain, "the end of the setup")
}

async fn rollup(
    deployment: &Deployment,
    chain: &DeployedChain,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let (to, at) = (chain.rollup, At::Latest);
    for token in &chain.tokens {
        let found = read(client, to, &Rollup::tokenCall { id: token.id.0 }, at).await?;
        let same = found.listed
            && found.addr == to_abi(token.address)
            && found.decimals == token.decimals
            && found.least == Uint::from(token.least_deposit);
        expect(same, chain, format!("token {}", token.id))?;
    }
    let recorder: Address = read(client, to, &Rollup::keyRecorderCall {}, at).await?.into();
    expect(recorder == chain.key_recorder, chain, "the key recorder")?;
    for other in &deployment.chains {
        let call = Endpoint::routeOfCall { chain: other.id.0 };
        let route: Address = read(client, to, &call, at).await?.into();
        let own = chain.hub.map_or(chain.oracle, |hub| hub.local_route);
        let wanted = if other.id == deployment.hub { own } else { [0; 20] };
        expect(route == wanted, chain, format!("the route to chain {}", other.id))?;
    }
    Ok(())
}

async fn recorder(chain: &DeployedChain, client: &dyn ChainClient) -> Result<(), Mismatch> {
    let (to, at) = (chain.key_recorder, At::Latest);
    let rollup: Address = read(client, to, &KeyRecorder::rollupCall {}, at).await?.into();
    expect(rollup == chain.rollup, chain, "the rollup of the key recorder")?;
    let id = read(client, to, &KeyRecorder::chainCall {}, at).await?;
    expect(id == chain.id.0, chain, "the chain of the key recorder")
}

async fn oracle(
    deployment: &Deployment,
    chain: &DeployedChain,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let (to, at) = (chain.oracle, At::Latest);
    let wanted = chain.hub.map_or(chain.rollup, |hub| hub.contract);
    let served: Address = read(client, to, &LightOracle::endpointCall {}, at).await?.into();
    expect(served == wanted, chain, "the contract that the oracle serves")?;
    let identity = read(client, to, &Route::identityCall {}, at).await?;
    let same = identity == oracle_identity(deployment, chain.id, wanted);
    expect(same, chain, "the identity of the oracle")?;
    let threshold = narrow(read(client, to, &LightOracle::thresholdCall {}, at).await?);
    expect(threshold == u128::from(deployment.threshold), chain, "the threshold")?;
    for attester in &deployment.attesters {
        let call = LightOracle::isAttesterCall { account: to_abi(attester.0) };
        let known = read(client, to, &call, at).await?;
        expect(known, chain, format!("attester 0x{}", hex::encode(attester.0)))?;
    }
    Ok(())
}

async fn hub(
    deployment: &Deployment,
    chain: &DeployedChain,
    hub: DeployedHub,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let (to, at) = (hub.contract, At::Latest);
    let root = read(client, to, &Hub::rootOfCall { number: 0 }, at).await?;
    expect(root.0 == deployment.genesis_root, chain, "the genesis root")?;
    let identity = read(client, hub.local_route, &Route::identityCall {}, at).await?;
    let same = identity == local_route_identity(deployment, to, chain.rollup);
    expect(same, chain, "the identity of the local route")?;
    for other in &deployment.chains {
        let call = Endpoint::routeOfCall { chain: other.id.0 };
        let route: Address = read(client, to, &call, at).await?.into();
        let wanted = if other.id == chain.id { hub.local_route } else { chain.oracle };
        expect(route == wanted, chain, format!("the hub's route to chain {}", other.id))?;
    }
    for shape in &deployment.shapes {
        let call = Hub::shapeInfoCall { shape: shape.id.0 };
        let found = read(client, to, &call, at).await?;
        let same = found.onchainWords == shape.onchain_words
            && found.dataWords == shape.data_words
            && found.verifier == to_abi(shape.verifier);
        expect(same, chain, format!("shape {}", shape.id))?;
        let key = read(client, shape.verifier, &Groth16Verifier::keyHashCall {}, at).await?;
        expect(key.0 == shape.key_hash, chain, format!("the verifying key of shape {}", shape.id))?;
    }
    Ok(())
}
