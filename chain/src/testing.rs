//! Development chains with a deployment on them, for the tests of this crate.

mod proxy;
pub mod sim;

pub use proxy::{Asked, Reply, lying_proxy, scripted_proxy};

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::U256;
use alloy_sol_types::SolCall;
use bls12_381::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use zklink::id::{ChainId, Owner, ShapeId, TokenId};
use zklink::state::DeploymentId;
use zklink::token::Address;
use zklink_devnet::{DevChain, DevChainConfig, DevChainHandle, Mining};

use super::account::EthKey;
use super::client::{Call, ChainClient};
use super::contracts::Groth16Verifier;
use super::endpoint::{Endpoint, EndpointLimits};
use super::sender::{SendPolicy, Sender};
use crate::deploy::{
    ChainPlan, Deployment, Genesis, Plan, ShapePlan, TokenPlan, TokenSource, deploy,
};
use crate::wallet::Wallet;

/// The hub of every test deployment.
pub const HUB: ChainId = ChainId(1);
/// Its spoke.
pub const SPOKE: ChainId = ChainId(2);
/// The native coin.
pub const COIN: TokenId = TokenId(1);
/// A development token of six decimals on the hub and eighteen on the spoke.
pub const USD: TokenId = TokenId(2);

/// The owners at genesis.
pub const GENESIS: Genesis = Genesis {
    fee_owner: Owner { home: ChainId(0), address: [1; 32] },
    insurance_owner: Owner { home: ChainId(0), address: [2; 32] },
};

/// The key of a role.
pub fn key(role: &str) -> EthKey {
    EthKey::from_seed(role)
}

/// A verifying key that the verifier contract accepts; nobody can prove anything under it.
pub fn some_verifying_key() -> Vec<u8> {
    let g1 = |n: u64| G1Affine::from(G1Projective::generator() * Scalar::from(n));
    let g2 = |n: u64| G2Affine::from(G2Projective::generator() * Scalar::from(n));
    let padded = |bytes: &[u8]| -> Vec<u8> {
        bytes.chunks(48).flat_map(|part| [&[0; 16], part].concat()).collect()
    };
    let mut key = padded(&g1(3).to_uncompressed());
    for n in [5, 7, 11] {
        let raw = g2(n).to_uncompressed();
        // The curve library writes c1 before c0, EIP-2537 wants c0 before c1.
        let swapped = [&raw[48..96], &raw[..48], &raw[144..], &raw[96..144]].concat();
        key.extend(padded(&swapped));
    }
    for n in 13..18 {
        key.extend(padded(&g1(n).to_uncompressed()));
    }
    key
}

/// Code that answers the hash of the key and the address of its store when it is asked for them, and 1 to every other
/// question.
fn credulous_verifier(key: &[u8], store: Address) -> Vec<u8> {
    let mut code = hex::decode("60003560e01c").unwrap();
    for (selector, target) in [
        (Groth16Verifier::keyHashCall::SELECTOR, 36),
        (Groth16Verifier::keyStoreCall::SELECTOR, 78),
    ] {
        // DUP1 PUSH4 selector EQ PUSH1 target JUMPI
        code.extend([&[0x80, 0x63], &selector[..], &[0x14, 0x60, target, 0x57]].concat());
    }
    // At 26: return 1.
    code.extend(hex::decode("600160005260206000f3").unwrap());
    let answer = hex::decode("60005260206000f3").unwrap();
    code.extend([&[0x5b, 0x7f], &zklink::tx::keccak(&[key])[..], &answer].concat());
    code.extend([&[0x5b, 0x73], &store[..], &answer].concat());
    code
}

/// Creates a contract with this code.
fn creating(code: &[u8]) -> Vec<u8> {
    // Copies what follows these twelve bytes into memory and returns it.
    let length = u16::try_from(code.len()).unwrap().to_be_bytes();
    let copy = [0x80, 0x60, 12, 0x60, 0, 0x39, 0x60, 0, 0xf3];
    [&[0x61], &length[..], &copy, code].concat()
}

/// How the tests send: fast polling.
pub fn quick() -> SendPolicy {
    SendPolicy { poll_ms: 5, polls_before_raise: 200, ..SendPolicy::default() }
}

/// A development chain with the roles funded.
pub async fn dev_chain(evm_chain_id: u64, finality_lag_blocks: u64) -> DevChainHandle {
    let rich = U256::from(10).pow(U256::from(24));
    let roles = ["deployer", "validator", "alice", "bob"];
    let funded =
        roles.iter().map(|role| (alloy_primitives::Address::from(key(role).address()), rich));
    let config = DevChainConfig {
        finality_lag_blocks,
        safe_lag_blocks: finality_lag_blocks.min(1),
        mining: Mining::Auto,
        // Empty blocks come when a test asks for them.
        block_time: std::time::Duration::from_secs(3600),
        funded: funded.collect(),
        ..DevChainConfig::new(evm_chain_id)
    };
    DevChain::start(config).await.unwrap()
}

pub fn endpoint(url: &str) -> Arc<dyn ChainClient> {
    Arc::new(Endpoint::new(url, EndpointLimits::default()).unwrap())
}

/// Two chains with a deployment.
pub struct Testnet {
    pub chains: BTreeMap<ChainId, DevChainHandle>,
    pub clients: BTreeMap<ChainId, Arc<dyn ChainClient>>,
    pub deployment: Deployment,
}

/// The plan that the tests deploy.
pub fn plan(shape: &ShapePlan) -> Plan {
    let token = |symbol: &str, decimals, source| TokenPlan {
        symbol: symbol.to_owned(),
        decimals,
        least_deposit: 1,
        source,
    };
    let chain = |evm_chain_id, usd_decimals| ChainPlan {
        evm_chain_id,
        tokens: BTreeMap::from([
            (COIN, token("COIN", 18, TokenSource::Native)),
            (USD, token("USD", usd_decimals, TokenSource::Development)),
        ]),
    };
    Plan {
        deployment: DeploymentId([7; 31]),
        genesis: GENESIS,
        hub: HUB,
        chains: BTreeMap::from([(HUB, chain(9001, 6)), (SPOKE, chain(9002, 18))]),
        shapes: vec![shape.clone()],
        dev_proving_keys: true,
        validator: key("validator").address(),
        attesters: ["attester 1", "attester 2", "attester 3"].map(|n| key(n).address()).to_vec(),
        threshold: 2,
        dev_addresses: Vec::new(),
    }
}

/// A shape of the given lengths, with [`some_verifying_key`].
pub fn shape_plan(id: u16, onchain_words: u32, data_words: u32) -> ShapePlan {
    let verifying_key = some_verifying_key();
    ShapePlan { id: ShapeId(id), onchain_words, data_words, verifying_key, existing_verifier: None }
}

impl Testnet {
    pub async fn start(finality_lag: u64, shape: &ShapePlan) -> Testnet {
        Self::start_with(finality_lag, shape, false).await
    }

    /// With a verifier that accepts everything, if `credulous`: settlement can then be walked to
    /// its end without a prover.
    pub async fn start_with(finality_lag: u64, shape: &ShapePlan, credulous: bool) -> Testnet {
        let mut plan = plan(shape);
        let mut chains = BTreeMap::new();
        let mut clients = BTreeMap::new();
        let mut senders = BTreeMap::new();
        for (id, chain) in &plan.chains {
            let handle = dev_chain(chain.evm_chain_id, finality_lag).await;
            let client = endpoint(&handle.http_url());
            let of_chain = chain.evm_chain_id;
            senders.insert(*id, Sender::new(client.clone(), key("deployer"), of_chain, quick()));
            clients.insert(*id, client);
            chains.insert(*id, handle);
        }
        if credulous {
            let key = &plan.shapes[0].verifying_key;
            let data = creating(&[&[0], key.as_slice()].concat());
            let store = senders[&HUB].send(Call { data, ..Call::default() }).await.unwrap();
            let data = creating(&credulous_verifier(key, store.created.unwrap()));
            let created = senders[&HUB].send(Call { data, ..Call::default() }).await.unwrap();
            plan.shapes[0].existing_verifier = created.created;
        }
        let deployment = deploy(&plan, &senders, &mut |_| {}).await.unwrap();
        Testnet { chains, clients, deployment }
    }

    pub fn sender(&self, chain: ChainId, role: &str) -> Sender {
        let evm_chain_id = self.deployment.chain(chain).unwrap().evm_chain_id;
        Sender::new(self.clients[&chain].clone(), key(role), evm_chain_id, quick())
    }

    pub fn rollup(&self, chain: ChainId) -> Address {
        self.deployment.chain(chain).unwrap().rollup
    }

    pub fn token(&self, chain: ChainId, id: TokenId) -> Address {
        let tokens = &self.deployment.chain(chain).unwrap().tokens;
        tokens.iter().find(|token| token.id == id).unwrap().address
    }

    pub fn wallet(&self, chain: ChainId, role: &str) -> Wallet {
        Wallet::new(self.sender(chain, role), self.deployment.chain(chain).unwrap().into())
    }

    pub fn mine(&self, chain: ChainId, blocks: u64) {
        self.chains[&chain].mine(blocks).unwrap();
    }
}
