//! A network on one machine: chains, contracts, and a node with a prover. Shared by the demonstration and by the
//! development network. The contracts and the node are those of every other network.

pub(crate) mod books;
mod faucet;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use faucet::FunderFaucet;
use tempfile::TempDir;
use tokio::task::JoinSet;
use zklink::id::{ChainId, TokenId};
use zklink::shape::{NANO, SMALL, Shape, shapes};
use zklink::state::{DeploymentId, State};
use zklink::token::Address;
use zklink_chain::client::{At, Call};
use zklink_chain::deploy::{
    ChainPlan, DeployedToken, Deployment, Genesis, Plan, ShapePlan, TokenPlan, TokenSource, deploy,
};
use zklink_chain::finality::Finality;
use zklink_chain::wallet::Wallet;
use zklink_circuit::groth16::evm::verifying_key_to_evm;
use zklink_circuit::proving::ShapeKeys;
use zklink_client::Client;
use zklink_node::builder::Terms;
use zklink_node::gateway::{Limits, Origins};
use zklink_node::node::{Bounds, ChainSetup, Disk, Node, Setup};
use zklink_node::roots::Policy;
use zklink_transport::Workers;

use crate::chains::{CHAINS, Chains};
use crate::people::{ATTESTERS, USERS, key_of, owner_of, public_addresses};
use crate::show::{Show, decimal, group, hex0x};

/// A token with 6 decimals on chain 1 and 18 on chain 2.
pub(crate) const USDC: TokenId = TokenId(17);
/// The native coin of every chain.
pub(crate) const COIN: TokenId = TokenId(32);
/// One whole token, in 18 decimals.
pub(crate) const ONE: u128 = 10u128.pow(18);
/// How many attesters must agree.
const THRESHOLD: u64 = 2;
/// Percent of the funder's coins that the accounts of a chain may get together, so that enough is left for gas.
const SPEND_PERCENT: u128 = 50;

/// Where workers of this machine connect.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What one can choose.
pub(crate) struct Options {
    /// Where folders of data are made; a temporary folder without it.
    pub(crate) data: Option<PathBuf>,
    /// Where the RPC listens.
    pub(crate) rpc: SocketAddr,
    /// The shapes of the deployment, with their keys.
    pub(crate) keys: Arc<ShapeKeys>,
    /// A block with operations is sealed when the first of them is this old, milliseconds.
    pub(crate) block_max_age_ms: u64,
    /// Whether the RPC gives test tokens.
    pub(crate) faucet: bool,
    /// Coins of each user on each chain, in wei.
    pub(crate) coins: u128,
    /// Prover and attesters that run as processes of their own; in this process without them.
    pub(crate) outside: Option<Workers>,
}

/// A network that runs.
pub(crate) struct LocalNetwork {
    /// The chains.
    pub(crate) chains: Chains,
    /// The contracts.
    pub(crate) deployment: Deployment,
    /// The proving keys.
    pub(crate) keys: Arc<ShapeKeys>,
    /// The node.
    pub(crate) node: Node,
    /// A connection to its RPC.
    pub(crate) client: Client,
    /// The folder of journal and archive.
    pub(crate) data: PathBuf,
    temporary: Option<TempDir>,
}

/// The shape that is asked for, and the small ones below it: a block takes the cheapest that holds it. Keys of large
/// shapes are made for nobody who did not ask for them.
pub(crate) fn shapes_up_to(largest: &'static Shape) -> Vec<&'static Shape> {
    let small = |shape: &Shape| [NANO, SMALL].contains(&shape.id);
    let wanted =
        |shape: &&Shape| *shape == largest || (small(shape) && shape.weight() < largest.weight());
    shapes().iter().filter(wanted).collect()
}

impl LocalNetwork {
    /// Funds the accounts, deploys the contracts and starts the node.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(crate) async fn start(chains: Chains, options: Options, show: &Show) -> Result<Self> {
        show.title("Accounts get coins for gas");
        fund(&chains, options.coins, show).await?;
        show.title("Contracts");
        let (deployment, genesis) = put_contracts(&chains, &options.keys, show).await?;
        let temporary = if options.data.is_none() {
            Some(TempDir::with_prefix("zklink-").context("making a temporary folder")?)
        } else {
            None
        };
        let parent = options.data.clone().or(temporary.as_ref().map(|dir| dir.path().to_owned()));
        let name = format!("deployment-{}", hex::encode(&deployment.deployment_id.0[..8]));
        let data = parent.unwrap_or_default().join(name);
        std::fs::create_dir_all(&data).with_context(|| format!("making {}", data.display()))?;
        deployment.write(&data.join("deployment.toml"))?;
        let faucet = options.faucet.then(|| FunderFaucet::new(&chains, &deployment));
        let outside = options.outside.is_some();
        let node = Node::start(Setup {
            data: data.clone(),
            deployment: deployment.clone(),
            genesis,
            keys: Arc::clone(&options.keys),
            chains: CHAINS.into_iter().map(|id| (id, setup_of(&chains, id))).collect(),
            attesters: if outside { Vec::new() } else { ATTESTERS.map(key_of).to_vec() },
            rpc: options.rpc,
            // Everybody knows the keys here, and whoever builds a web page wants to call.
            limits: Limits { origins: Origins::Everybody, ..Limits::default() },
            block_max_age_ms: options.block_max_age_ms,
            // Nobody should have to pay on a network whose tokens anybody may mint.
            terms: Terms::default(),
            snapshot_records: Policy::RECORDS,
            disk_least_mib: Disk::LEAST_MIB,
            alarms: Bounds::default(),
            provers: usize::from(!outside),
            workers: options.outside.map(|workers| (ANY_PORT, workers)),
            faucet: faucet.map(|faucet| Arc::new(faucet) as _),
        })
        .await?;
        let client = Client::connect(&format!("http://{}", node.rpc())).await?;
        Ok(Self { chains, deployment, keys: options.keys, node, client, data, temporary })
    }

    /// A user's wallet on a chain.
    pub(crate) fn wallet(&self, name: &str, chain: ChainId) -> Wallet {
        let of_chain = self.deployment.chain(chain);
        let contracts = of_chain.expect("a chain of the deployment").into();
        Wallet::new(self.chains.sender(chain, &key_of(name)), contracts)
    }

    /// A token as a chain has it.
    pub(crate) fn token(&self, chain: ChainId, token: TokenId) -> Option<&DeployedToken> {
        self.deployment.chain(chain)?.tokens.iter().find(|found| found.id == token)
    }

    /// Stops the node, then the chains, and removes what was temporary.
    pub(crate) async fn stop(self, reason: &str) {
        self.node.stop(reason).await;
        self.chains.stop().await;
        drop(self.temporary);
    }
}

fn setup_of(chains: &Chains, id: ChainId) -> ChainSetup {
    ChainSetup {
        client: Arc::clone(&chains.chain(id).client),
        sender_key: key_of("validator"),
        // Never the tip, on development chains neither: what is shown here is how it goes everywhere.
        finality: Finality::FINALIZED,
        max_log_range: 1_000,
        poll_ms: chains.poll_ms,
        send: chains.policy(),
    }
}

/// Sends coins to the validator and to the users, on all chains at once.
async fn fund(chains: &Chains, coins: u128, show: &Show) -> Result<()> {
    let names: Vec<&str> = std::iter::once("validator").chain(USERS).collect();
    let count = u128::try_from(names.len()).unwrap_or(u128::MAX);
    let mut senders = JoinSet::new();
    for id in CHAINS {
        let l1 = chains.chain(id);
        let has = l1.client.balance(chains.funder.address(), At::Latest).await?;
        let needed = coins.saturating_mul(count).saturating_mul(100) / SPEND_PERCENT;
        if has < needed {
            anyhow::bail!(
                "{} has {} coins on chain {} and needs {}: send it some",
                hex0x(chains.funder.address()),
                decimal(has, 18),
                l1.evm_chain_id,
                decimal(needed, 18)
            );
        }
        let sender = chains.sender(id, &chains.funder);
        let receivers: Vec<Address> = names.iter().map(|name| key_of(name).address()).collect();
        senders.spawn(async move {
            for receiver in receivers {
                let call = Call { to: Some(receiver), value: coins, ..Call::default() };
                sender.send(call).await?;
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    let work =
        show.spinner(&format!("{} coins to each of {}", decimal(coins, 18), names.join(", ")));
    while let Some(sent) = senders.join_next().await {
        sent.context("sending coins panicked")??;
    }
    drop(work);
    Ok(())
}

/// Deploys; returns the deployment and the state before its first block.
async fn put_contracts(
    chains: &Chains,
    keys: &ShapeKeys,
    show: &Show,
) -> Result<(Deployment, State)> {
    // A fresh number for each start: signatures for one network are worth nothing on the next.
    let deployment = DeploymentId(rand::random());
    let genesis = Genesis { fee_owner: owner_of("fees"), insurance_owner: owner_of("insurance") };
    let plan = plan(chains, keys, deployment, genesis);
    let senders: BTreeMap<_, _> =
        CHAINS.into_iter().map(|id| (id, chains.sender(id, &chains.funder))).collect();
    let mut gas = BTreeMap::<ChainId, u64>::new();
    let deployed = deploy(&plan, &senders, &mut |step| {
        let used = step.gas.unwrap_or_default();
        let total = gas.entry(step.chain).or_default();
        *total = total.saturating_add(used);
        let used = group(&used.to_string());
        show.line(format!("  chain {}  {:<28} {used:>10} gas", step.chain, step.what));
    })
    .await?;
    for (chain, used) in gas {
        show.line(format!(
            "  chain {chain}  {:<28} {:>10} gas",
            "in all",
            group(&used.to_string())
        ));
    }
    Ok((deployed, genesis.state(deployment)))
}

fn plan(chains: &Chains, keys: &ShapeKeys, deployment: DeploymentId, genesis: Genesis) -> Plan {
    let token = |symbol: &str, decimals, source| TokenPlan {
        symbol: symbol.to_owned(),
        decimals,
        least_deposit: 1,
        source,
    };
    let usdc = |decimals| (USDC, token("USDC", decimals, TokenSource::Development));
    let of_chain = |id: ChainId| {
        let mut tokens = BTreeMap::from([(COIN, token("COIN", 18, TokenSource::Native))]);
        // The same token has different decimals on different chains, as it does in the world.
        match id.0 {
            1 => tokens.extend([usdc(6)]),
            2 => tokens.extend([usdc(18)]),
            _ => {}
        }
        (id, ChainPlan { evm_chain_id: chains.chain(id).evm_chain_id, tokens })
    };
    Plan {
        deployment,
        genesis,
        hub: CHAINS[0],
        chains: CHAINS.into_iter().map(of_chain).collect(),
        shapes: keys
            .iter()
            .map(|key| ShapePlan::of(key.shape, verifying_key_to_evm(key.key.verifying_key())))
            .collect(),
        dev_proving_keys: true,
        validator: key_of("validator").address(),
        attesters: ATTESTERS.map(|name| key_of(name).address()).to_vec(),
        threshold: THRESHOLD,
        dev_addresses: public_addresses(),
    }
}
