//! Reorganisations below finality: no deposit is credited twice, missed, or kept after it vanished. And one above it.

use std::collections::{BTreeMap, BTreeSet};

use zklink::amount::Fee;
use zklink::block::{Content, rolling_content};
use zklink::hash::fr_to_be_bytes;
use zklink::id::{AccountId, BlockNumber, ChainId, SubAccountId};
use zklink::op::{Op, Withdraw};
use zklink_chain::contracts::{Rollup, transaction};
use zklink_integration_tests::network::{HUB, ONE, SPOKE, USD, User, contracts, validator};
use zklink_integration_tests::simulated::contracts::{Recording, Refused};
use zklink_integration_tests::simulated::{Fate, SimulatedChainHandle, Verifier};
use zklink_integration_tests::system::Outsider;
use zklink_integration_tests::{Config, System};
use zklink_mechanism::timestamp::Timestamp;
use zklink_node::watcher::Halt;
use zklink_settlement::Step;

const MAX_MS: u64 = 900_000;

fn system(seed: u64, lag: u64) -> System {
    System::start(Config { lag, block_ms: 500, ..Config::new(seed) })
}

fn deposit(system: &System, chain: ChainId, user: &User, cents: u64) {
    let decimals = if chain == HUB { 6 } else { 18 };
    let units = u128::from(cents) * 10u128.pow(decimals - 2);
    let call = user.deposit(chain, USD, units);
    system.chain(chain).submit(user.address(), call);
}

fn reorganise(system: &mut System, chain: ChainId, depth: u64, fate: Fate) {
    let (handle, now) = (system.chains[&chain].clone(), system.now());
    system.note(format!("chain {chain}: {depth} blocks are reorganised, {fate:?}"));
    handle.lock().reorganise(depth, fate, &mut system.chance, now);
}

/// What the final queues hold for a user, with 18 decimals.
fn queued(system: &System, user: &User) -> u128 {
    let chains = [HUB, SPOKE].map(|chain| system.chain(chain).final_contracts());
    let queues = chains.iter().flat_map(|contracts| contracts.queue.iter());
    queues.filter(|queued| queued.owner == user.owner()).map(|queued| queued.amount).sum()
}

fn credited(system: &System, user: &User) -> u128 {
    let auditor = system.auditor();
    let state = auditor.state();
    let id = state.account_of(user.owner());
    id.map(|id| state.balance(id, SubAccountId(0), USD).0).unwrap_or_default()
}

/// No reorganisation leaves a chain with records that must be taken back.
fn check_no_reverts(system: &System) {
    for done in system.settled() {
        if matches!(done.step, Step::RevertCommits(_)) {
            system.fail(&format!("chain {}: {}", done.chain, done.step));
        }
    }
}

#[test]
fn no_deposit_is_credited_twice_missed_or_kept_after_it_vanished() {
    let [alice, bob] = ["alice", "bob"].map(User::new);
    for depth in 1..=8 {
        for (number, fate) in [Fate::Remined, Fate::Dropped, Fate::Mixed].into_iter().enumerate() {
            let mut system = system(100 * depth + number as u64, 8);
            for round in 1..=8u64 {
                deposit(&system, HUB, &alice, round);
                deposit(&system, SPOKE, &bob, 100 * round);
                let ms = system.chance.below(3_000);
                system.run_for(ms);
                deposit(&system, SPOKE, &alice, 10_000 * round);
                system.run_for(700);
                reorganise(&mut system, [HUB, SPOKE][(round % 2) as usize], depth, fate);
            }
            system.until("all is settled", MAX_MS, |system| {
                let auditor = system.auditor();
                auditor.is_settled() && auditor.state().system.number.0 > 0
            });
            system.run_for(5_000);
            check_no_reverts(&system);
            for user in [&alice, &bob] {
                assert_eq!(credited(&system, user), queued(&system, user), "{depth} {fate:?}");
            }
            assert!(credited(&system, &alice) > 0 || fate != Fate::Remined);
        }
    }
}

#[test]
fn a_dropped_deposit_is_not_credited_and_a_later_one_takes_its_place() {
    let [alice, bob] = ["alice", "bob"].map(User::new);
    let mut system = system(1, 8);
    deposit(&system, HUB, &alice, 100);
    system.run_for(600);
    assert_eq!(system.chain(HUB).contracts().queue.len(), 1, "it is mined");
    reorganise(&mut system, HUB, 2, Fate::Dropped);
    assert_eq!(system.chain(HUB).contracts().queue.len(), 0, "and is gone");
    deposit(&system, HUB, &bob, 200);
    system.until("bob has his tokens", MAX_MS, |system| credited(system, &bob) == 2 * ONE);
    assert_eq!(credited(&system, &alice), 0);
}

#[test]
fn a_reorganisation_above_finality_stops_the_watcher_and_not_the_node() {
    let alice = User::new("alice");
    let mut system = system(2, 3);
    deposit(&system, SPOKE, &alice, 100);
    system.until("alice has her tokens", MAX_MS, |system| credited(system, &alice) == ONE);
    system.auditor().finality_holds = false;
    reorganise(&mut system, SPOKE, 30, Fate::Dropped);
    system.world.run_for(30_000);
    let status = |system: &System| {
        system.node().watchers[&SPOKE].inspect(|watcher| watcher.status()).expect("it runs")
    };
    let in_doubt = status(&system);
    assert!(matches!(in_doubt.doubt, Some((Halt::Vanished(_), _))), "{in_doubt:?}");
    assert_eq!(in_doubt.halted, None, "it may be an endpoint that is wrong for a while");
    let lasts = system.world.run_until(|| status(&system).halted.is_some(), 15 * 60 * 1000);
    lasts.expect("what is gone for a quarter of an hour is gone");
    let halted = status(&system).halted;
    assert!(matches!(halted, Some(Halt::Vanished(_))), "{halted:?}");
    assert!(!system.has_fallen());
    assert_eq!(credited(&system, &alice), ONE, "what was credited cannot be taken back");
    // The other chain goes on.
    deposit(&system, HUB, &alice, 300);
    let more = |system: &System| system.node().view.read().state.cursor(HUB).0 == 1;
    let reached = system.world.run_until(|| more(&system), MAX_MS);
    reached.expect("the deposit on the hub is credited");
}

/// Acks whatever a chain holds as soon as it holds it.
struct Stranger {
    chains: BTreeMap<ChainId, SimulatedChainHandle>,
    sent: BTreeSet<(ChainId, [u8; 32])>,
}

impl Outsider for Stranger {
    fn beat(&mut self, _: Timestamp) {
        for (id, chain) in &self.chains {
            let mut chain = chain.lock();
            let contracts = chain.contracts();
            let last = contracts.last();
            let new = contracts.records.len() - 1 > contracts.acked;
            if new && self.sent.insert((*id, last.rolling)) {
                let rolling = last.rolling.into();
                let call = Rollup::ackCall { number: last.number.0, rolling };
                let call = transaction(contracts.registration.rollup(), &call);
                chain.submit([0xbd; 20], call);
            }
        }
    }
}

#[test]
fn a_stranger_who_acks_at_once_makes_nothing_wrong_final() {
    let alice = User::new("alice");
    for depth in [2, 5, 8] {
        for (number, fate) in [Fate::Dropped, Fate::Mixed].into_iter().enumerate() {
            let mut system = system(7_000 + 10 * depth + number as u64, 8);
            let (chains, sent) = (system.chains.clone(), BTreeSet::new());
            system.outsider(Stranger { chains, sent });
            for round in 1..=8u64 {
                deposit(&system, HUB, &alice, round);
                deposit(&system, SPOKE, &alice, 100 * round);
                let ms = system.chance.below(3_000);
                system.run_for(2_000 + ms);
                reorganise(&mut system, [HUB, SPOKE][(round % 2) as usize], depth, fate);
            }
            system.until("all is settled", MAX_MS, |system| {
                let auditor = system.auditor();
                auditor.is_settled() && auditor.state().system.number.0 > 0
            });
            check_no_reverts(&system);
        }
    }
}

/// After a reorganisation the sender may use the nonce of a commit for another step. The commit of a later block, which
/// still waits with the next nonce, must not be mined without the one before it.
#[test]
fn a_commit_without_the_one_before_it_is_refused() {
    let alice = User::new("alice");
    let withdraw = |number: u128| {
        let op = Withdraw {
            chain: SPOKE,
            account: AccountId(2),
            sub_account: SubAccountId(0),
            token: USD,
            l1_amount: number,
            scale: 0,
            fee: Fee::ZERO,
            to: alice.owner(),
        };
        let words = Op::Withdraw(op).words(0).into_iter().map(fr_to_be_bytes).collect();
        Recording { number: BlockNumber(0), words, ..Recording::default() }
    };
    let content = |block: &Recording| {
        let content = Content { rest: Vec::new(), chunks: vec![block.words.clone()] };
        content.hash()
    };
    let mut chain = contracts(SPOKE, &Verifier::simulated(), &[]);
    let (one, two) = (BlockNumber(1), BlockNumber(2));
    let first = Recording { number: one, ..withdraw(1) };
    let second = Recording { number: two, ..withdraw(2) };
    let other = Recording { number: one, ..second.clone() };
    let after_first = rolling_content([0; 32], one, content(&first));
    let gap = chain
        .commit(validator().address(), after_first, std::slice::from_ref(&second))
        .unwrap_err();
    assert_eq!(gap, Refused("WrongPredecessor".into()));
    // Another first block does not make it fit.
    chain.commit(validator().address(), [0; 32], std::slice::from_ref(&other)).unwrap();
    let refused = chain
        .commit(validator().address(), after_first, std::slice::from_ref(&second))
        .unwrap_err();
    assert_eq!(refused, Refused("WrongPredecessor".into()));
    // Nor can a stranger make that one final who takes it for the first.
    let ack = chain.ack(one, after_first).unwrap_err();
    assert_eq!(ack, Refused("ContentMismatch".into()));
    // It is taken back against its own words only.
    let mut changed = chain.clone();
    let revert = changed.revert_commits(
        validator().address(),
        BlockNumber(0),
        std::slice::from_ref(&first.words),
    );
    assert_eq!(revert, Err(Refused("ContentMismatch".into())));
    chain.revert_commits(validator().address(), BlockNumber(0), &[other.words]).unwrap();
    chain.commit(validator().address(), [0; 32], &[first, second.clone()]).unwrap();
    assert_eq!(chain.last().rolling, rolling_content(after_first, two, content(&second)));
    chain.ack(two, chain.last().rolling).unwrap();
}
