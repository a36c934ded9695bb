//! One story on embedded chains with real proofs: a deposit on one chain leaves on another.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, U256};
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{ChainId, Owner, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::shape::{NANO, shape};
use zklink::state::{DeploymentId, State};
use zklink::tx::{ChangePubKeyTx, KeyAuth, Tx};
use zklink_actors::chain::account::EthKey;
use zklink_actors::chain::client::ChainClient;
use zklink_actors::chain::endpoint::{Endpoint, EndpointLimits};
use zklink_actors::chain::finality::Finality;
use zklink_actors::chain::sender::{SendPolicy, Sender};
use zklink_actors::deploy::{
    ChainPlan, Deployment, Plan, ShapePlan, TokenPlan, TokenSource, deploy,
};
use zklink_actors::node::{ChainSetup, Node, Setup};
use zklink_actors::wallet::Wallet;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;
use zklink_client::wallet::{Payment, Payout};
use zklink_client::{Client, Wallet as L2Wallet};
use zklink_devnet::{DevChain, DevChainConfig, DevChainHandle};

const USDC: TokenId = TokenId(17);
const DEPLOYMENT: DeploymentId = DeploymentId([0xe2; 31]);
const ONE: u128 = 10u128.pow(18);

fn policy() -> SendPolicy {
    SendPolicy { poll_ms: 50, polls_before_raise: 600, ..SendPolicy::default() }
}

struct World {
    _chains: Vec<DevChainHandle>,
    clients: BTreeMap<ChainId, (u64, Arc<dyn ChainClient>)>,
    funder: EthKey,
    deployment: Deployment,
    genesis: State,
    keys: Arc<ShapeKeys>,
    attesters: Vec<EthKey>,
}

impl World {
    fn sender(&self, chain: u8, key: &EthKey) -> Sender {
        let (id, client) = &self.clients[&ChainId(chain)];
        Sender::new(Arc::clone(client), key.clone(), *id, policy())
    }

    fn wallet(&self, chain: u8, key: &EthKey) -> Wallet {
        let rollup = self.deployment.chain(ChainId(chain)).unwrap().rollup;
        Wallet::new(self.sender(chain, key), rollup)
    }

    fn token(&self, chain: u8) -> [u8; 20] {
        let chain = self.deployment.chain(ChainId(chain)).unwrap();
        chain.tokens.iter().find(|token| token.id == USDC).unwrap().address
    }

    async fn new() -> World {
        let funder = EthKey::from_seed("end to end");
        let (mut chains, mut clients) = (Vec::new(), BTreeMap::new());
        for id in 1..=2u8 {
            let evm_chain_id = 91_000 + u64::from(id);
            let config = DevChainConfig {
                block_time: Duration::from_millis(500),
                finality_lag_blocks: 2,
                funded: vec![(Address::from(funder.address()), U256::from(10_000 * ONE))],
                ..DevChainConfig::new(evm_chain_id)
            };
            let chain = DevChain::start(config).await.unwrap();
            let limits = EndpointLimits::default();
            let client = Endpoint::connect(&chain.http_url(), evm_chain_id, limits).await.unwrap();
            let client: Arc<dyn ChainClient> = Arc::new(client);
            clients.insert(ChainId(id), (evm_chain_id, client));
            chains.push(chain);
        }
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys");
        let nano = shape(NANO).unwrap();
        let keys = Arc::new(ShapeKeys::open(&folder, &[nano], |_, _| {}).unwrap());
        let owner = Owner::from_evm(funder.address());
        let genesis = State::genesis(DEPLOYMENT, owner, Owner::from_evm([0xfd; 20]));
        let attesters: Vec<EthKey> =
            (0..3).map(|n| EthKey::from_seed(&format!("attester {n}"))).collect();
        let plan = plan(&clients, &funder, &genesis, &keys, &attesters);
        let senders = clients
            .iter()
            .map(|(id, (evm, client))| {
                (*id, Sender::new(Arc::clone(client), funder.clone(), *evm, policy()))
            })
            .collect();
        let deployment = deploy(&plan, &senders, &mut |step| println!("{step:?}")).await.unwrap();
        World { _chains: chains, clients, funder, deployment, genesis, keys, attesters }
    }

    fn setup(&self, data: &std::path::Path) -> Setup {
        let chains = self.clients.iter().map(|(id, (_, client))| {
            let setup = ChainSetup {
                client: Arc::clone(client),
                sender_key: self.funder.clone(),
                finality: Finality::FINALIZED,
                max_log_range: 1000,
                poll_ms: 100,
                send: policy(),
            };
            (*id, setup)
        });
        Setup {
            data: data.to_owned(),
            deployment: self.deployment.clone(),
            genesis: self.genesis.clone(),
            keys: Arc::clone(&self.keys),
            chains: chains.collect(),
            attesters: self.attesters.clone(),
            rpc: "127.0.0.1:0".parse().unwrap(),
            limits: Default::default(),
            block_max_age_ms: 500,
            provers: 1,
            faucet: None,
        }
    }
}

fn plan(
    clients: &BTreeMap<ChainId, (u64, Arc<dyn ChainClient>)>,
    funder: &EthKey,
    genesis: &State,
    keys: &ShapeKeys,
    attesters: &[EthKey],
) -> Plan {
    let chains = clients.iter().map(|(id, (evm_chain_id, _))| {
        let decimals = if id.0 == 1 { 6 } else { 18 };
        let source = TokenSource::Development;
        let token = TokenPlan { symbol: "USDC".into(), decimals, source };
        let tokens = BTreeMap::from([(USDC, token)]);
        (*id, ChainPlan { evm_chain_id: *evm_chain_id, tokens })
    });
    let key = keys.get(NANO).unwrap();
    Plan {
        deployment: DEPLOYMENT,
        genesis_root: fr_to_be_bytes(StateTree::of(genesis).root()),
        hub: ChainId(1),
        chains: chains.collect(),
        shapes: vec![ShapePlan::of(key.shape, verifying_key_to_evm(key.key.verifying_key()))],
        dev_proving_keys: true,
        validator: funder.address(),
        attesters: attesters.iter().map(EthKey::address).collect(),
        threshold: 2,
        dev_addresses: Vec::new(),
    }
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..900 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not happen in 90 s");
}

/// Mints and deposits for a fresh user; returns the user's key.
async fn deposit(world: &World, chain: u8, name: &str, amount: u128) -> EthKey {
    let user = EthKey::from_seed(name);
    let funder = world.sender(chain, &world.funder);
    let gift = zklink_actors::chain::client::Call {
        to: Some(user.address()),
        value: ONE,
        ..Default::default()
    };
    funder.send(gift).await.unwrap();
    let wallet = world.wallet(chain, &user);
    let token = world.token(chain);
    wallet.mint(token, user.address(), amount).await.unwrap();
    wallet.approve(token, amount).await.unwrap();
    wallet.deposit_erc20(USDC, amount, wallet.owner(), SubAccountId(0)).await.unwrap();
    user
}

async fn set_key(world: &World, rpc: &Client, user: &EthKey, seed: &str) -> SecretKey {
    let key = SecretKey::from_seed(seed.as_bytes());
    let owner = Owner::from_evm(user.address());
    let account = until("the deposit", async || rpc_account(rpc, owner).await).await;
    let mut tx = ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id: account,
        sub_account_id: SubAccountId(0),
        new_pub_key: key.public(),
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce: zklink::id::Nonce(0),
        eth_auth_data: KeyAuth::Onchain,
    };
    let network = world.deployment.network();
    world.wallet(1, user).authorise(&mut tx, network.chain(ChainId(1)).unwrap());
    let signed = Tx::ChangePubKey(tx).sign(&key, DEPLOYMENT, &network).unwrap();
    let hash = rpc.send(&signed).await.unwrap();
    rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();
    key
}

async fn rpc_account(rpc: &Client, owner: Owner) -> Option<zklink::id::AccountId> {
    use zklink_client::ZkLinkClient;
    rpc.account(owner.into()).await.ok().map(|account| account.id)
}

async fn story() {
    let world = World::new().await;
    let data = tempfile::tempdir().unwrap();
    let mut node = Node::start(world.setup(data.path())).await.unwrap();
    let rpc = Client::connect(&format!("http://{}", node.rpc())).await.unwrap();

    let alice = deposit(&world, 1, "alice", 100_000_000).await;
    let bob = deposit(&world, 2, "bob", 50 * ONE).await;
    let alice_key = set_key(&world, &rpc, &alice, "alice l2").await;
    let alice_owner = Owner::from_evm(alice.address());
    let wallet = L2Wallet::connect(&rpc, alice_owner, alice_key).await.unwrap();
    let payment = Payment {
        from: SubAccountId(0),
        to: Owner::from_evm([0x77; 20]),
        to_sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(7 * ONE),
        fee: Fee::closest(Amount(ONE / 100)),
    };
    let hash = rpc.send(&wallet.transfer(&rpc, payment).await.unwrap()).await.unwrap();
    rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();

    // Bob's deposit must be on L2 before chain 2 can pay.
    until("bob's deposit", async || rpc_account(&rpc, Owner::from_evm(bob.address())).await).await;
    let payout = Payout {
        chain: ChainId(2),
        from: SubAccountId(0),
        to: alice_owner,
        token: USDC,
        amount: Amount(20 * ONE),
        fee: Fee::ZERO,
    };
    let hash = rpc.send(&wallet.withdraw(&rpc, payout).await.unwrap()).await.unwrap();
    rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();
    let greedy = Payout { amount: Amount(40 * ONE), ..payout };
    let refused = rpc.send(&wallet.withdraw(&rpc, greedy).await.unwrap()).await.unwrap_err();
    assert_eq!(refused.code(), Some(208), "{refused}");

    let (eve, token) = (world.wallet(2, &alice), world.token(2));
    until("the payout", async || {
        let paid = eve.balance(token, alice.address()).await.unwrap();
        (paid == 20 * ONE).then_some(())
    })
    .await;
    tokio::select! {
        reason = node.finished() => panic!("the node stopped: {reason}"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    node.stop("the story is over").await;

    // The same data folder gives the same state again.
    let node = Node::start(world.setup(data.path())).await.unwrap();
    let root = StateTree::of(&node.view().read().state).root();
    assert!(
        node.view().read().state.balance(zklink::id::AccountId(0), SubAccountId(0), USDC).0 > 0
    );
    println!("root after restart {root:?}");
    node.stop("done").await;
}

#[test]
fn a_deposit_on_one_chain_leaves_on_another() {
    drop(tracing_subscriber::fmt().with_env_filter("info").with_test_writer().try_init());
    zklink_actors::shell::run(story());
}
