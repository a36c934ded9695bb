//! Contracts on chains, and what a node and its users need of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use alloy_primitives::{Address, U256};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::shape::{NANO, shape};
use zklink::state::{DeploymentId, State};
use zklink::tx::{ChangePubKeyTx, KeyAuth, Tx};
use zklink_chain::account::EthKey;
use zklink_chain::client::{Call, ChainClient};
use zklink_chain::deploy::{
    ChainPlan, Deployment, Genesis, Plan, ShapePlan, TokenPlan, TokenSource, deploy,
};
use zklink_chain::endpoint::{Endpoint, EndpointLimits};
use zklink_chain::finality::Finality;
use zklink_chain::sender::{SendPolicy, Sender};
use zklink_chain::wallet::Wallet;
use zklink_circuit::groth16::KeyFileError;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::{KeysError, ShapeKey, ShapeKeys};
use zklink_client::{Client, ZkLinkClient};
use zklink_devnet::{DevChain, DevChainConfig, DevChainHandle};
use zklink_node::builder::{PaceLimits, Terms};
use zklink_node::gateway::Limits;
use zklink_node::node::{Bounds, ChainSetup, Setup};

pub const USDC: TokenId = TokenId(17);
pub const DEPLOYMENT: DeploymentId = DeploymentId([0xe2; 31]);
pub const ONE: u128 = 10u128.pow(18);

/// Where each chain answers: its EIP-155 id and its address.
pub type Urls = BTreeMap<ChainId, (u64, String)>;

/// Deploys, and gives users their first coins.
pub fn funder() -> EthKey {
    EthKey::from_seed("end to end")
}

/// Sends the node's transactions. It is not the funder: two senders with one key get into each
/// other's way.
pub fn validator() -> EthKey {
    EthKey::from_seed("validator")
}

pub fn policy() -> SendPolicy {
    SendPolicy { poll_ms: 50, polls_before_raise: 600, ..SendPolicy::default() }
}

/// Embedded chains, numbered from 1.
pub async fn embedded(
    count: u8,
    block_time: Duration,
    finality_lag_blocks: u64,
) -> (BTreeMap<ChainId, DevChainHandle>, Urls) {
    let (mut chains, mut urls) = (BTreeMap::new(), Urls::new());
    for id in 1..=count {
        let evm_chain_id = 91_000 + u64::from(id);
        let coins = |key: EthKey| (Address::from(key.address()), U256::from(10_000 * ONE));
        let config = DevChainConfig {
            block_time,
            finality_lag_blocks,
            safe_lag_blocks: finality_lag_blocks.min(2),
            funded: vec![coins(funder()), coins(validator())],
            ..DevChainConfig::new(evm_chain_id)
        };
        let chain = DevChain::start(config).await.unwrap();
        urls.insert(ChainId(id), (evm_chain_id, chain.http_url()));
        chains.insert(ChainId(id), chain);
    }
    (chains, urls)
}

/// See the module.
pub struct World {
    pub clients: BTreeMap<ChainId, (u64, Arc<dyn ChainClient>)>,
    pub deployment: Deployment,
    pub genesis: State,
    pub keys: Arc<ShapeKeys>,
}

async fn connect(urls: &Urls) -> BTreeMap<ChainId, (u64, Arc<dyn ChainClient>)> {
    let mut clients = BTreeMap::new();
    for (id, (evm_chain_id, url)) in urls {
        let limits = EndpointLimits::default();
        let client = Endpoint::connect(url, *evm_chain_id, limits).await.unwrap();
        let client: Arc<dyn ChainClient> = Arc::new(client);
        clients.insert(*id, (*evm_chain_id, client));
    }
    clients
}

/// Keys are made once and kept below `target`; after a change of the circuit they are made anew.
fn keys() -> Arc<ShapeKeys> {
    static KEYS: LazyLock<Arc<ShapeKeys>> = LazyLock::new(|| open_keys(&[NANO]));
    Arc::clone(&KEYS)
}

fn open_keys(ids: &[ShapeId]) -> Arc<ShapeKeys> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys");
    let shapes: Vec<_> = ids.iter().map(|id| shape(*id).unwrap()).collect();
    loop {
        match ShapeKeys::open(&folder, &shapes, |_, _| {}) {
            Err(KeysError::Key { source: KeyFileError::Stale { path, .. }, .. }) => {
                std::fs::remove_file(path).unwrap();
            }
            opened => return Arc::new(opened.unwrap()),
        }
    }
}

fn genesis() -> Genesis {
    let fee_owner = Owner::from_evm(funder().address());
    Genesis { fee_owner, insurance_owner: Owner::from_evm([0xfd; 20]) }
}

fn attesters() -> Vec<EthKey> {
    (0..3).map(|n| EthKey::from_seed(&format!("attester {n}"))).collect()
}

fn sender(client: &Arc<dyn ChainClient>, evm_chain_id: u64, key: EthKey) -> Sender {
    Sender::new(Arc::clone(client), key, evm_chain_id, policy())
}

impl World {
    /// Deploys on chains on which [`funder`] and [`validator`] have coins.
    pub async fn deploy(urls: &Urls) -> World {
        World::deploy_keys(urls, keys()).await
    }

    /// As [`World::deploy`], with these shapes.
    pub async fn deploy_shapes(urls: &Urls, shapes: &[ShapeId]) -> World {
        World::deploy_keys(urls, open_keys(shapes)).await
    }

    async fn deploy_keys(urls: &Urls, keys: Arc<ShapeKeys>) -> World {
        let clients = connect(urls).await;
        let plan = plan(&clients, &keys);
        let senders = clients
            .iter()
            .map(|(id, (evm, client))| (*id, sender(client, *evm, funder())))
            .collect();
        let deployment = deploy(&plan, &senders, &mut |_| {}).await.unwrap();
        World { clients, deployment, genesis: genesis().state(DEPLOYMENT), keys }
    }

    /// The same world for another process.
    pub async fn of_deployment(urls: &Urls, deployment: Deployment) -> World {
        let genesis = deployment.genesis.state(deployment.deployment_id);
        World { clients: connect(urls).await, deployment, genesis, keys: keys() }
    }

    /// A node in a data folder, on a free port.
    pub fn setup(&self, data: &Path, provers: usize) -> Setup {
        let pace = PaceLimits { unproven_max: PaceLimits::UNPROVEN_MOST, ..PaceLimits::default() };
        let chains = self.clients.iter().map(|(id, (_, client))| {
            let setup = ChainSetup {
                client: Arc::clone(client),
                sender_key: validator(),
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
            attesters: attesters(),
            rpc: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: Limits { calls_per_second: 0, ..Limits::default() },
            block_max_age_ms: 500,
            // A node without a prover is killed for minutes: its blocks must not hold it up.
            terms: Terms { pace, ..Terms::default() },
            // Few, so that a node that is killed often starts from snapshots.
            snapshot_records: 64,
            disk_least_mib: 1,
            workers: None,
            alarms: Bounds::default(),
            provers,
            faucet: None,
        }
    }

    pub fn client(&self, chain: ChainId) -> &dyn ChainClient {
        &*self.clients[&chain].1
    }

    pub fn rollup(&self, chain: ChainId) -> [u8; 20] {
        self.deployment.chain(chain).unwrap().rollup
    }

    /// The hub's contract.
    pub fn hub(&self) -> [u8; 20] {
        self.deployment.hub_contracts().1.contract
    }

    pub fn token(&self, chain: ChainId) -> [u8; 20] {
        let chain = self.deployment.chain(chain).unwrap();
        chain.tokens.iter().find(|token| token.id == USDC).unwrap().address
    }

    /// One unit of the token on a chain: the first chain has 6 decimals, the others 18.
    pub fn unit(&self, chain: ChainId) -> u128 {
        if chain == ChainId(1) { 10u128.pow(6) } else { ONE }
    }

    pub fn wallet(&self, chain: ChainId, key: &EthKey) -> Wallet {
        let (evm_chain_id, client) = &self.clients[&chain];
        let contracts = self.deployment.chain(chain).unwrap().into();
        Wallet::new(sender(client, *evm_chain_id, key.clone()), contracts)
    }

    /// A user with coins for gas, with whole tokens on a chain that the contract may take.
    pub async fn user(&self, chain: ChainId, name: &str, tokens: u128) -> (EthKey, Wallet) {
        let key = EthKey::from_seed(name);
        let (evm_chain_id, client) = &self.clients[&chain];
        let funder = sender(client, *evm_chain_id, funder());
        let gift = Call { to: Some(key.address()), value: ONE, ..Call::default() };
        funder.send(gift).await.unwrap();
        let (wallet, amount) = (self.wallet(chain, &key), tokens * self.unit(chain));
        wallet.mint(self.token(chain), key.address(), amount).await.unwrap();
        wallet.approve(self.token(chain), amount).await.unwrap();
        (key, wallet)
    }

    /// A user who deposits whole tokens for himself.
    pub async fn depositor(&self, chain: ChainId, name: &str, tokens: u128) -> EthKey {
        let (key, wallet) = self.user(chain, name, tokens).await;
        let amount = tokens * self.unit(chain);
        wallet.deposit_erc20(USDC, amount, wallet.owner(), SubAccountId(0)).await.unwrap();
        key
    }

    /// Gives the account of a user, once his deposit is credited, an L2 key.
    pub async fn set_key(&self, rpc: &Client, user: &EthKey, seed: &str) -> SecretKey {
        let key = SecretKey::from_seed(seed.as_bytes());
        let owner = Owner::from_evm(user.address());
        let account_id = until("the deposit", async || account(rpc, owner).await).await;
        let mut tx = ChangePubKeyTx {
            chain_id: ChainId(1),
            account_id,
            sub_account_id: SubAccountId(0),
            new_pub_key: key.public(),
            fee_token: USDC,
            fee: zklink::amount::Fee::ZERO,
            nonce: Nonce(0),
            key_version: KeyVersion(0),
            eth_auth_data: KeyAuth::Onchain,
        };
        let network = self.deployment.network();
        self.wallet(ChainId(1), user).authorise(&mut tx, network.chain(ChainId(1)).unwrap());
        let signed = Tx::ChangePubKey(tx).sign(&key, DEPLOYMENT, &network).unwrap();
        let hash = rpc.send(&signed).await.unwrap();
        rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();
        key
    }
}

/// The account of an owner, if there is one.
pub async fn account(rpc: &Client, owner: Owner) -> Option<AccountId> {
    rpc.account(owner.into()).await.ok().map(|account| account.id)
}

fn plan(clients: &BTreeMap<ChainId, (u64, Arc<dyn ChainClient>)>, keys: &ShapeKeys) -> Plan {
    let chains = clients.iter().map(|(id, (evm_chain_id, _))| {
        let decimals = if id.0 == 1 { 6 } else { 18 };
        let source = TokenSource::Development;
        let token = TokenPlan { symbol: "USDC".into(), decimals, least_deposit: 1, source };
        let tokens = BTreeMap::from([(USDC, token)]);
        (*id, ChainPlan { evm_chain_id: *evm_chain_id, tokens })
    });
    let shape =
        |key: &ShapeKey| ShapePlan::of(key.shape, verifying_key_to_evm(key.key.verifying_key()));
    Plan {
        deployment: DEPLOYMENT,
        genesis: genesis(),
        hub: ChainId(1),
        chains: chains.collect(),
        shapes: keys.iter().map(shape).collect(),
        dev_proving_keys: true,
        validator: validator().address(),
        attesters: attesters().iter().map(EthKey::address).collect(),
        threshold: 2,
        dev_addresses: Vec::new(),
    }
}

/// Looks every 50 ms, for at most 90 s.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..1_800 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen in 90 s");
}
