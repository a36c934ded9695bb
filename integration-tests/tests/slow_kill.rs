//! A node under load is killed again and again at random moments, and nothing that it acknowledged
//! is lost, moved or done twice.
//!
//! `ZKLINK_KILLS` is how often (100), `ZKLINK_KILL_SEED` makes the same choices again.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test, which measures time")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "common/dice.rs"]
mod dice;
#[path = "common/load.rs"]
mod load;
#[path = "common/process.rs"]
mod process;
#[path = "common/replay.rs"]
mod replay;
#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dice::Dice;
use load::{Acked, Sent, User, tx_hash};
use process::Launch;
use replay::{Replayed, replay_journal, restored};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::{ONE, USDC, World, account, until};
use zklink::hash::fr_to_be_bytes;
use zklink::id::{AccountId, ChainId, Owner, SubAccountId};
use zklink_chain::account::EthKey;
use zklink_client::{Client, Hash, ZkLinkClient};
use zklink_settlement::{HubView, read_hub_view, read_tip};

const USERS: u8 = 4;
/// The longest time from an answer of the node to its end, milliseconds.
const LIFE_MS: u64 = 160;

/// The node, once more: see [`process`].
#[test]
fn node() {
    process::serve_if_asked();
}

/// What the whole run holds together.
struct Run {
    launch: Launch,
    world: World,
    address: watch::Sender<Option<String>>,
    recoveries: Vec<Duration>,
}

impl Run {
    /// Starts a node and returns when it has answered.
    async fn recover(&mut self) -> process::NodeProcess {
        let start = Instant::now();
        let mut node = self.launch.start("node");
        let host = node.listening().await;
        let client = Client::connect(&format!("http://{host}")).await.unwrap();
        client.network().await.unwrap();
        self.recoveries.push(start.elapsed());
        self.address.send_replace(Some(host));
        node
    }

    async fn rpc(&self) -> Client {
        let host = self.address.borrow().clone().unwrap();
        Client::connect(&format!("http://{host}")).await.unwrap()
    }

    /// Kills so many nodes: most of them while they work, some while they start.
    async fn kill(&mut self, kills: u64, dice: &mut Dice) -> process::NodeProcess {
        let mut node = self.recover().await;
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS))).await;
            self.address.send_replace(None);
            node.kill().await;
            node = self.recover().await;
        }
        node
    }

    /// Kills nodes before they serve.
    async fn kill_early(&mut self, kills: u64, dice: &mut Dice) {
        let usual = self.recoveries.iter().max().map_or(1_000, |time| time.as_millis());
        for _ in 0..kills {
            let node = self.launch.start("node");
            let moment = dice.below(u64::try_from(usual).unwrap().max(1));
            tokio::time::sleep(Duration::from_millis(moment)).await;
            node.kill().await;
        }
    }
}

/// Deposits by one user on each chain in turn, until `stop`; returns how much in all, in 18
/// decimals.
async fn keep_depositing(
    wallets: Vec<(ChainId, zklink_chain::wallet::Wallet, u128)>,
    stop: watch::Receiver<bool>,
) -> BTreeMap<ChainId, u64> {
    let mut made = BTreeMap::new();
    while !*stop.borrow() {
        for (chain, wallet, unit) in &wallets {
            let (amount, owner) = (unit / 100, wallet.owner());
            wallet.deposit_erc20(USDC, amount, owner, SubAccountId(0)).await.unwrap();
            *made.entry(*chain).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    made
}

/// The users of the load, with accounts, tokens and keys.
async fn users(run: &Run, seed: u64) -> Vec<(EthKey, User)> {
    let rpc = run.rpc().await;
    let (mut users, network) = (Vec::new(), run.world.deployment.network());
    let mut keys = Vec::new();
    for n in 0..USERS {
        let chain = ChainId(1 + n % 2);
        keys.push(run.world.depositor(chain, &format!("user {n}"), 1_000).await);
    }
    let others: Vec<Owner> = keys.iter().map(|key| Owner::from_evm(key.address())).collect();
    for (n, key) in (0u8..).zip(keys) {
        let l2 = run.world.set_key(&rpc, &key, &format!("user {n} l2")).await;
        let account = account(&rpc, Owner::from_evm(key.address())).await.unwrap();
        let scheme = if n % 2 == 0 { "http" } else { "ws" };
        let (network, others) = (network.clone(), others.clone());
        let dice = Dice::new(seed + u64::from(n));
        users.push((key, User { account, key: l2, network, others, scheme, dice }));
    }
    users
}

struct Load {
    stop: watch::Sender<bool>,
    senders: Vec<(AccountId, JoinHandle<Sent>)>,
    deposits: JoinHandle<BTreeMap<ChainId, u64>>,
}

impl Load {
    async fn start(run: &Run, users: Vec<(EthKey, User)>) -> Load {
        let (stop, stopped) = watch::channel(false);
        let mut wallets = Vec::new();
        for chain in run.world.clients.keys() {
            let (_, wallet) = run.world.user(*chain, "depositor", 1_000_000).await;
            wallets.push((*chain, wallet, run.world.unit(*chain)));
        }
        let deposits = tokio::spawn(keep_depositing(wallets, stopped.clone()));
        let address = run.address.subscribe();
        let senders = users.into_iter().map(|(_, user)| {
            let account = user.account;
            (account, tokio::spawn(user.send(address.clone(), stopped.clone())))
        });
        Load { stop, senders: senders.collect(), deposits }
    }

    async fn end(self) -> (BTreeMap<AccountId, Sent>, BTreeMap<ChainId, u64>) {
        self.stop.send_replace(true);
        let mut sent = BTreeMap::new();
        for (account, sender) in self.senders {
            sent.insert(account, sender.await.unwrap());
        }
        (sent, self.deposits.await.unwrap())
    }
}

/// Waits until every deposit is credited and the open block is sealed and has its root; returns that.
async fn quiet(run: &Run, deposits: &BTreeMap<ChainId, u64>) -> Hash {
    let rpc = run.rpc().await;
    let owner = Owner::from_evm(EthKey::from_seed("depositor").address());
    let wanted = u128::from(deposits.values().sum::<u64>()) * ONE / 100;
    until("the last deposit", async || {
        let account = account(&rpc, owner).await?;
        let held = rpc.balances(account, None).await.unwrap();
        let held = held.get(&SubAccountId(0)).and_then(|held| held.get(&USDC));
        held.is_some_and(|held| held.0 == wanted).then_some(())
    })
    .await;
    until("the last block", async || {
        let open = rpc.pending_block(0, None, None, None).await.unwrap();
        open.is_empty().then_some(())
    })
    .await;
    until("its root", async || {
        let sealed = rpc.snapshot(AccountId(0).into(), None, None).await.unwrap().block_number;
        let rooted = rpc.latest_block().await.unwrap().last_block_number;
        (sealed == rooted).then_some(())
    })
    .await;
    rpc.network().await.unwrap().state_root
}

/// What the running node says of everything that it acknowledged.
async fn check_receipts(rpc: &Client, sent: &BTreeMap<AccountId, Sent>) {
    for (id, of_user) in sent {
        for Acked { hash, block, index } in &of_user.acked {
            let info = rpc.transaction(*hash, None).await.unwrap();
            assert_eq!((info.receipt.executed, info.receipt.success), (true, Some(true)), "{hash}");
            assert_eq!((info.receipt.block, info.receipt.index), (*block, *index), "{hash}");
        }
        let account = rpc.account((*id).into()).await.unwrap();
        let nonce = account.sub_account_nonces[&SubAccountId(0)];
        assert_eq!(nonce.0 as usize, of_user.acked.len(), "one nonce, one transaction");
    }
}

fn check_replay(replayed: &Replayed, sent: &BTreeMap<AccountId, Sent>) {
    let acked = sent.values().flat_map(|of_user| &of_user.acked);
    for acked in acked.clone() {
        let place = replayed.transactions.get(&tx_hash(acked));
        assert_eq!(place, Some(&(acked.block, acked.index)), "{}", acked.hash);
    }
    // Each user set a key once; nothing else was executed than what was acknowledged.
    assert_eq!(replayed.transactions.len(), acked.count() + usize::from(USERS));
    for (id, of_user) in sent {
        let sub = replayed.state.sub_account(*id, SubAccountId(0)).unwrap();
        assert_eq!(sub.nonce.0 as usize, of_user.acked.len());
    }
}

/// Every deposit of every chain was executed once, in the order of its queue.
fn check_deposits(replayed: &Replayed, made: &BTreeMap<ChainId, u64>) {
    for (chain, of_load) in made {
        let serials = replayed.deposits.iter().filter(|deposit| deposit.chain == *chain);
        let serials: Vec<u64> = serials.map(|deposit| deposit.serial.0).collect();
        let users = (0..USERS).filter(|n| ChainId(1 + n % 2) == *chain).count() as u64;
        assert_eq!(serials, (0..of_load + users).collect::<Vec<u64>>(), "chain {chain}");
        assert_eq!(replayed.state.cursor(*chain).0, of_load + users);
    }
}

async fn story(kills: u64) {
    let mut dice = Dice::of_environment("ZKLINK_KILL_SEED");
    let (_chains, urls) = world::embedded(2, Duration::from_millis(250), 2).await;
    let world = World::deploy(&urls).await;
    let data = tempfile::tempdir().unwrap();
    let launch = Launch::new(data.path(), &urls, &world, 0);
    let address = watch::channel(None).0;
    let mut run = Run { launch, world, address, recoveries: Vec::new() };

    let node = run.recover().await;
    let load = Load::start(&run, users(&run, dice.roll()).await).await;
    run.address.send_replace(None);
    node.kill().await;
    let early = kills / 5;
    run.kill_early(early, &mut dice).await;
    let node = run.kill(kills - early, &mut dice).await;
    let (sent, made) = load.end().await;
    let root = quiet(&run, &made).await;
    let before = committed(&run.world).await.committed;
    until("settlement goes on", async || {
        (committed(&run.world).await.committed.0 > before.0 + 5).then_some(())
    })
    .await;
    check_receipts(&run.rpc().await, &sent).await;
    node.kill().await;

    let replayed = replay_journal(data.path(), &run.world.deployment, &run.world.genesis);
    assert_eq!(Hash::from(replayed.root), root, "the journal leads to the root of the node");
    check_replay(&replayed, &sent);
    check_deposits(&replayed, &made);
    let restored = restored(data.path(), &run.world.deployment, &run.world.genesis);
    assert!(restored.from.is_some(), "the last starts were from snapshots");
    assert_eq!(restored.builder.ledger().state(), &replayed.state);
    println!("snapshot of block {:?}, {} records behind it", restored.from, restored.replayed);
    let view = committed(&run.world).await;
    assert_eq!(view.root, fr_to_be_bytes(replayed.roots[&view.committed]), "the hub agrees");
    report(kills + 2, &mut run.recoveries, &sent, &replayed, view.committed.0);
}

/// What the hub's contract has.
async fn committed(world: &World) -> HubView {
    let (hub, chains) = (world.deployment.hub, world.clients.keys().copied());
    let height = read_tip(world.client(hub)).await.unwrap().number;
    read_hub_view(world.client(hub), world.hub(), chains, height).await.unwrap()
}

fn report(
    kills: u64,
    recoveries: &mut [Duration],
    sent: &BTreeMap<AccountId, Sent>,
    replayed: &Replayed,
    committed: u32,
) {
    recoveries.sort();
    let total = |of: fn(&Sent) -> usize| sent.values().map(of).sum::<usize>();
    println!(
        "{kills} kills, {} acknowledged transactions, {} requests cut, {} known when sent again; \
         {} deposits, {} records, {} blocks sealed, {committed} committed; \
         {} recoveries: median {:?}, longest {:?}",
        total(|sent| sent.acked.len()),
        total(|sent| sent.cut as usize),
        total(|sent| sent.known as usize),
        replayed.deposits.len(),
        replayed.records,
        replayed.roots.len() - 1,
        recoveries.len(),
        recoveries[recoveries.len() / 2],
        recoveries[recoveries.len() - 1],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_forgets_nothing_that_it_acknowledged() {
    let kills = std::env::var("ZKLINK_KILLS").map_or(100, |text| text.parse().unwrap());
    story(kills).await;
}
