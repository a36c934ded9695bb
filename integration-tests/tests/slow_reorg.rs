//! Chains of anvil are reorganised below a node that is at work: it credits what the final chain
//! has, and nothing else, and its own transactions that vanish are sent again.
//!
//! `ZKLINK_REORG_SEED` makes the same choices again.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "common/anvil.rs"]
mod anvil;
#[path = "common/dice.rs"]
mod dice;
#[path = "common/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anvil::{Anvil, FINALITY_LAG, anvils};
use dice::Dice;
use tokio::sync::Mutex;
use world::{USDC, World, until, validator};
use zklink::amount::Amount;
use zklink::commitment::StateTree;
use zklink::id::{BlockNumber, ChainId, SubAccountId};
use zklink::token::scale_up;
use zklink_chain::client::{At, LogQuery};
use zklink_chain::contracts::{Rollup, RollupEvent, WatchedContracts, read, rollup_events};
use zklink_chain::wallet::Wallet;
use zklink_node::node::Node;
use zklink_settlement::{Step, read_hub_view, read_tip};
use zklink_store::record::{FinalDeposit, Source};

const ROUNDS: u64 = 6;
/// The deepest reorganisation.
const DEPTH_MAX: u64 = 8;
/// Users on each chain; each makes one deposit a round.
const USERS: u64 = 4;
/// Time between blocks while nothing else makes any.
const BLOCK_TIME: Duration = Duration::from_millis(120);

/// Chains whose clocks can be held.
struct Chains {
    anvils: Vec<Anvil>,
    /// Held while the chain of this place must not grow by itself.
    clocks: Vec<Mutex<()>>,
}

impl Chains {
    fn at(&self, chain: ChainId) -> &Anvil {
        &self.anvils[usize::from(chain.0 - 1)]
    }

    fn clock(&self, chain: ChainId) -> &Mutex<()> {
        &self.clocks[usize::from(chain.0 - 1)]
    }

    async fn tick(&self) {
        loop {
            tokio::time::sleep(BLOCK_TIME).await;
            for (anvil, clock) in self.anvils.iter().zip(&self.clocks) {
                if let Ok(_free) = clock.try_lock() {
                    anvil.mine(1).await;
                }
            }
        }
    }

    /// Replaces the last `depth` blocks. Some deposits survive in another order, the validator's
    /// transactions do not.
    async fn reorg(&self, chain: ChainId, depth: u64, dice: &mut Dice) -> Lost {
        let anvil = self.at(chain);
        // What comes now waits, so that the blocks below are those that are replaced.
        anvil.automine(false).await;
        let latest = anvil.latest().await;
        let (mut lost, mut kept) = (Lost::default(), Vec::new());
        let own = format!("0x{}", hex::encode(validator().address()));
        for block in latest - depth + 1..=latest {
            for (hash, from) in anvil.transactions(block).await {
                if from == own {
                    lost.settlement += 1;
                } else if dice.below(2) == 0 {
                    lost.deposits += 1;
                } else {
                    kept.push((hash, dice.below(depth)));
                }
            }
        }
        dice.shuffle(&mut kept);
        anvil.reorg(depth, &kept).await;
        lost.moved += kept.len();
        anvil.automine(true).await;
        // The replaced blocks were not final, and are not now.
        assert!(depth < FINALITY_LAG && anvil.latest().await <= latest + 1);
        lost
    }
}

/// What reorganisations did.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    settlement: usize,
    deposits: usize,
    moved: usize,
}

/// One round: every user deposits, then the chain is reorganised before that is final.
async fn round(
    chains: &Chains,
    users: &[(ChainId, Vec<Wallet>)],
    number: u64,
    dice: &mut Dice,
) -> Lost {
    let (chain, wallets) = &users[usize::try_from(number).unwrap() % users.len()];
    let _held = chains.clock(*chain).lock().await;
    for (index, wallet) in wallets.iter().enumerate() {
        // Each amount is there once, so that a vanished deposit cannot hide behind another one.
        let amount = 1_000_000 + u128::from(number) * 1_000 + u128::try_from(index).unwrap();
        wallet.deposit_erc20(USDC, amount, wallet.owner(), SubAccountId(0)).await.unwrap();
    }
    let depth = 1 + dice.below(DEPTH_MAX);
    let lost = chains.reorg(*chain, depth, dice).await;
    println!("round {number}: chain {chain}, depth {depth}: {lost:?}");
    lost
}

/// Rounds until deposits were dropped and moved, at least [`ROUNDS`].
async fn rounds(chains: &Chains, users: &[(ChainId, Vec<Wallet>)], dice: &mut Dice) -> Lost {
    let mut lost = Lost::default();
    for number in 0..10 * ROUNDS {
        if number >= ROUNDS && lost.deposits > 0 && lost.moved > 0 {
            return lost;
        }
        let of_round = round(chains, users, number, dice).await;
        lost.settlement += of_round.settlement;
        lost.deposits += of_round.deposits;
        lost.moved += of_round.moved;
        tokio::time::sleep(BLOCK_TIME * u32::try_from(dice.below(20)).unwrap()).await;
    }
    panic!("the seed has no effect: {lost:?}");
}

/// The deposits that a chain has, in the order of its queue.
async fn deposits_of_chain(world: &World, chain: ChainId, latest: u64) -> Vec<FinalDeposit> {
    let of_chain = world.deployment.chain(chain).unwrap();
    let query = LogQuery {
        from: of_chain.first_block,
        to: latest,
        addresses: vec![world.rollup(chain)],
        events: rollup_events(),
    };
    let logs = world.client(chain).logs(query).await.unwrap();
    let (rollup, recorder) = (world.rollup(chain), of_chain.key_recorder);
    let by = WatchedContracts { chain, rollup, recorder };
    let deposits = logs.iter().filter_map(|log| match RollupEvent::decode(log, &by).unwrap() {
        RollupEvent::Deposit { serial, token, payer, owner, sub_account, amount } => {
            Some(FinalDeposit {
                chain,
                serial,
                token,
                payer,
                owner,
                sub_account,
                amount,
                l1_tx: log.tx_hash,
                l1_block: log.block,
            })
        }
        RollupEvent::Key { .. } => None,
    });
    deposits.collect()
}

/// The deposits of a chain in sealed blocks, in the order of execution.
fn credited(node: &Node, chain: ChainId) -> Vec<FinalDeposit> {
    let mut found = Vec::new();
    let head = node.archive().head().unwrap().unwrap_or_default();
    for number in 1..=head.0 {
        let body = node.archive().body(BlockNumber(number)).unwrap().unwrap();
        for executed in body.executed {
            if let Source::Deposit(deposit) = executed.source {
                found.push(deposit.deposit);
            }
        }
    }
    found.retain(|deposit| deposit.chain == chain);
    found
}

/// How long a commit that was taken back may take to come again. Far more than it does.
const COMMIT_AGAIN: Duration = Duration::from_secs(80);

/// Waits until a settlement step is mined whose block can still be replaced, replaces it, and waits
/// until it is done again.
async fn lose_a_commit(chains: &Chains, world: &World, node: &Node, wallet: &Wallet) {
    let hub = world.deployment.hub;
    let before = node.health().report.done().len();
    wallet.deposit_erc20(USDC, 77, wallet.owner(), SubAccountId(0)).await.unwrap();
    let commit = |from: usize| {
        let done = node.health().report.done();
        done.into_iter().skip(from).find(|done| matches!(done.step, Step::CommitBlocks(_)))
    };
    let first = until("the commit", async || commit(before)).await;
    let held = chains.clock(hub).lock().await;
    let depth = chains.at(hub).latest().await - first.block + 1;
    assert!(depth <= DEPTH_MAX, "the test is too slow for its chain: {depth}");
    let lost = chains.reorg(hub, depth, &mut Dice::new(0)).await;
    println!("{} at block {} is taken back: depth {depth}, {lost:?}", first.step, first.block);
    assert!(lost.settlement > 0);
    drop(held);
    let again = async || {
        let all = node.health().report.done();
        // More may go into one transaction the second time.
        let begins = |done: &Step| match (done, &first.step) {
            (Step::CommitBlocks(again), Step::CommitBlocks(first)) => again.first == first.first,
            _ => false,
        };
        let same = all.iter().filter(|done| done.chain == hub && begins(&done.step));
        (same.count() >= 2).then_some(())
    };
    let waited = tokio::time::timeout(COMMIT_AGAIN, until("the second commit", again)).await;
    // What settlement was doing says more than that it did not come.
    let doing = || node.health().settlement[&hub].borrow().clone();
    let done = || node.health().report.done().into_iter().map(|done| done.step.to_string());
    let story = || format!("{:?}, after {:?}", doing(), done().collect::<Vec<_>>());
    waited.unwrap_or_else(|_| panic!("the second commit did not happen: {}", story()));
}

/// Waits until nothing is left to do on any chain.
async fn settled(world: &World, node: &Node) -> BlockNumber {
    let hub = world.deployment.hub;
    let chains: Vec<ChainId> = world.clients.keys().copied().collect();
    until("settlement", async || {
        let sealed = node.archive().head().unwrap().unwrap_or_default();
        let height = read_tip(world.client(hub)).await.unwrap().number;
        let view = read_hub_view(world.client(hub), world.hub(), chains.clone(), height);
        // The block may be taken back while it is read.
        let view = view.await.ok()?;
        let open = node.view().read().open.is_empty();
        (open && view.released == sealed && sealed.0 > 0).then_some(sealed)
    })
    .await
}

/// Contract and rollup agree about the token on a chain, to the last unit.
async fn check_books(world: &World, node: &Node, chain: ChainId) {
    let (client, rollup, token) = (world.client(chain), world.rollup(chain), USDC.0);
    let locked = read(client, rollup, &Rollup::lockedCall { token }, At::Latest).await.unwrap();
    let pending = Rollup::pendingTotalCall { token };
    let pending = read(client, rollup, &pending, At::Latest).await.unwrap();
    let waiting = Rollup::unconsumedCall { token };
    let waiting = read(client, rollup, &waiting, At::Latest).await.unwrap();
    let free: u128 = (locked - pending - waiting).try_into().unwrap();
    let held = world.wallet(chain, &validator()).balance(world.token(chain), rollup).await;
    assert_eq!(alloy_primitives::U256::from(held.unwrap()), locked, "chain {chain}");
    let scale = world.deployment.network().l1_token(chain, USDC).unwrap().scale();
    let pool = node.view().read().state.pool(chain, USDC);
    assert_eq!(scale_up(free, scale), Some(pool), "chain {chain}");
}

async fn story() {
    let mut dice = Dice::of_environment("ZKLINK_REORG_SEED");
    let (anvils, urls) = anvils(2).await;
    let world = World::deploy(&urls).await;
    let clocks = anvils.iter().map(|_| Mutex::new(())).collect();
    let chains = Arc::new(Chains { anvils, clocks });
    let mut users = Vec::new();
    for chain in world.clients.keys() {
        let mut wallets = Vec::new();
        for n in 0..USERS {
            wallets.push(world.user(*chain, &format!("user {chain} {n}"), 1_000).await.1);
        }
        users.push((*chain, wallets));
        // The contracts and the users' tokens are final.
        chains.at(*chain).mine(FINALITY_LAG).await;
    }
    let ticking = Arc::clone(&chains);
    let ticking = tokio::spawn(async move { ticking.tick().await });
    let data = tempfile::tempdir().unwrap();
    let mut setup = world.setup(data.path(), 1);
    for chain in setup.chains.values_mut() {
        // What waits behind a lost transaction is given up soon.
        (chain.send.polls_before_raise, chain.send.raises) = (40, 1);
    }
    let node = Node::start(setup).await.unwrap();

    let lost = rounds(&chains, &users, &mut dice).await;
    lose_a_commit(&chains, &world, &node, &users[0].1[0]).await;
    for chain in world.clients.keys() {
        until("the last deposit", async || {
            let latest = chains.at(*chain).latest().await;
            let wanted = deposits_of_chain(&world, *chain, latest).await.len() as u64;
            (node.view().read().state.cursor(*chain).0 == wanted).then_some(())
        })
        .await;
    }
    let sealed = settled(&world, &node).await;
    ticking.abort();
    for chain in world.clients.keys() {
        let latest = chains.at(*chain).latest().await;
        let wanted = deposits_of_chain(&world, *chain, latest).await;
        let found = credited(&node, *chain);
        let amounts: BTreeSet<Amount> = found.iter().map(|deposit| deposit.amount).collect();
        assert_eq!(amounts.len(), found.len(), "no deposit is credited twice");
        assert_eq!(found, wanted, "chain {chain} credits what it has, in its order");
        check_books(&world, &node, *chain).await;
        let status = node.health().chains[chain].borrow().clone().unwrap();
        assert_eq!(status.halted, None);
        assert_eq!(node.health().settlement[chain].borrow().diverged, None);
    }
    zklink::audit::audit(&node.view().read().state).unwrap();
    let state = node.view().read().state.clone();
    let root = node.archive().root(state.system.number).unwrap();
    assert_eq!(root, Some(StateTree::of(&state).root()));
    println!("{lost:?}; {sealed} blocks released");
    node.stop("the story is over").await;
}

#[test]
fn what_the_final_chain_has_is_credited_and_nothing_else() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
    zklink_mechanism::shell::run(story());
}
