//! Checks before and after a deployment.

use std::collections::BTreeMap;

use bls12_381::G1Affine;
use zklink::id::ChainId;
use zklink::token::Address;

use super::file::{DeployedChain, Deployment, Role};
use super::{DeployError, sender};
use crate::chain::client::{At, Call, ChainClient, ClientError};
use crate::chain::contracts::{
    Groth16Verifier, Hub, LightOracle, ReadError, Rollup, narrow, read, to_abi,
};
use crate::chain::sender::Sender;

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
        rollup(deployment, chain, client).await?;
        oracle(deployment, chain, client).await?;
        if chain.role == Role::Hub {
            hub(deployment, chain, client).await?;
        }
    }
    Ok(())
}

fn expect(holds: bool, chain: &DeployedChain, what: impl Into<String>) -> Result<(), Mismatch> {
    if holds { Ok(()) } else { Err(Mismatch::Differs { chain: chain.id, what: what.into() }) }
}

fn deployment_word(deployment: &Deployment) -> [u8; 32] {
    let mut word = [0; 32];
    word[1..].copy_from_slice(&deployment.deployment_id.0);
    word
}

async fn rollup(
    deployment: &Deployment,
    chain: &DeployedChain,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let (to, at) = (chain.rollup, At::Latest);
    let id = read(client, to, &Rollup::chainCall {}, at).await?;
    expect(id == chain.id.0, chain, "the chain number")?;
    let hub = read(client, to, &Rollup::hubCall {}, at).await?;
    expect(hub == deployment.hub.0, chain, "the hub's number")?;
    let word = read(client, to, &Rollup::deploymentIdCall {}, at).await?;
    expect(word.0 == deployment_word(deployment), chain, "the deployment id of the rollup")?;
    let validator: Address = read(client, to, &Rollup::validatorCall {}, at).await?.into();
    expect(validator == deployment.validator, chain, "the validator")?;
    let finished = read(client, to, &Rollup::setupFinishedCall {}, at).await?;
    expect(finished, chain, "the end of the setup")?;
    for token in &chain.tokens {
        let found = read(client, to, &Rollup::tokenCall { id: token.id.0 }, at).await?;
        let same =
            found.listed && found.addr == to_abi(token.address) && found.decimals == token.decimals;
        expect(same, chain, format!("token {}", token.id))?;
    }
    for other in &deployment.chains {
        let partner = other.id != chain.id && (chain.role == Role::Hub || other.role == Role::Hub);
        let route = read(client, to, &Rollup::routeOfCall { chain: other.id.0 }, at).await?;
        let wanted = if partner { to_abi(chain.oracle) } else { Default::default() };
        expect(route == wanted, chain, format!("the route to chain {}", other.id))?;
    }
    Ok(())
}

async fn oracle(
    deployment: &Deployment,
    chain: &DeployedChain,
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let (to, at) = (chain.oracle, At::Latest);
    let bound: Address = read(client, to, &LightOracle::rollupCall {}, at).await?.into();
    expect(bound == chain.rollup, chain, "the rollup of the oracle")?;
    let word = read(client, to, &LightOracle::deploymentIdCall {}, at).await?;
    expect(word.0 == deployment_word(deployment), chain, "the deployment id of the oracle")?;
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
    client: &dyn ChainClient,
) -> Result<(), Mismatch> {
    let at = At::Latest;
    let root = read(client, chain.rollup, &Hub::rootOfCall { number: 0 }, at).await?;
    expect(root.0 == deployment.genesis_root, chain, "the genesis root")?;
    for shape in &deployment.shapes {
        let call = Hub::shapeInfoCall { shape: shape.id.0 };
        let found = read(client, chain.rollup, &call, at).await?;
        let same = found.onchainWords == shape.onchain_words
            && found.dataWords == shape.data_words
            && found.verifier == to_abi(shape.verifier);
        expect(same, chain, format!("shape {}", shape.id))?;
        let key = read(client, shape.verifier, &Groth16Verifier::keyHashCall {}, at).await?;
        expect(key.0 == shape.key_hash, chain, format!("the verifying key of shape {}", shape.id))?;
    }
    Ok(())
}
