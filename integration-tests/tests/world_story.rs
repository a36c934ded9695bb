//! The short story from deposit to payout, on a system without faults.

use std::collections::BTreeSet;

use zklink::id::TokenId;
use zklink_integration_tests::network::{COIN, HUB, ONE, SPOKE, USD, User};
use zklink_integration_tests::simulated::SimulatedContracts;
use zklink_integration_tests::story::{
    ALICE_DEPOSITS, ALICE_WITHDRAWS, BOB_GETS, BOB_WITHDRAWS, CAROL_DEPOSITS, Story,
};
use zklink_integration_tests::{Config, System};

/// Longest virtual time of the story, which ends much earlier.
const MAX_MS: u64 = 300_000;

fn told(seed: u64) -> System {
    let mut system = System::start(Config::new(seed));
    let told = Story::begin(&system);
    system.until("the story is over", MAX_MS, |system| told.is_over(system));
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
    system
}

fn wallet(contracts: &SimulatedContracts, user: &User, token: TokenId) -> u128 {
    contracts.balance(user.address(), token)
}

#[test]
fn a_deposit_on_one_chain_is_paid_out_on_another() {
    let system = told(1);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(User::new);
    let (hub, spoke) = (system.chain(HUB).contracts(), system.chain(SPOKE).contracts());
    let start = |decimals: u32| 1_000_000 * 10u128.pow(decimals);
    // The hub's token has six decimals.
    let units = |amount: u128| amount / 10u128.pow(12);
    assert_eq!(wallet(&spoke, &alice, USD), start(18) - ALICE_DEPOSITS);
    assert_eq!(wallet(&hub, &alice, USD), start(6) + units(ALICE_WITHDRAWS));
    assert_eq!(wallet(&hub, &bob, USD), start(6) + units(BOB_WITHDRAWS));
    assert_eq!(wallet(&hub, &carol, USD), start(6) - CAROL_DEPOSITS);
    assert_eq!(wallet(&spoke, &carol, COIN), start(18), "nobody touched the coin");
    let paid = units(ALICE_WITHDRAWS + BOB_WITHDRAWS);
    assert_eq!(hub.books[&USD].locked, CAROL_DEPOSITS - paid);
    assert_eq!(spoke.books[&USD].locked, ALICE_DEPOSITS);
    let auditor = system.auditor();
    let state = auditor.state();
    let balance = |user: &User| {
        let id = state.account_of(user.owner()).expect("the user has an account");
        state.balance(id, zklink::id::SubAccountId(0), USD).0
    };
    let fee = ONE / 100;
    assert_eq!(balance(&alice), ALICE_DEPOSITS - BOB_GETS - fee - ALICE_WITHDRAWS);
    assert_eq!(balance(&bob), BOB_GETS - BOB_WITHDRAWS);
    assert_eq!(state.pool(HUB, USD).0, hub.books[&USD].locked * 10u128.pow(12));
    assert_eq!(state.pool(SPOKE, USD).0, ALICE_DEPOSITS);
}

#[test]
fn no_step_of_settlement_is_refused_without_faults() {
    let system = told(2);
    assert_eq!(system.refused(), BTreeSet::new());
    assert!(system.settled().len() > 10, "{:?}", system.settled());
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_seed_another() {
    let log = told(3).world.log();
    assert_eq!(log, told(3).world.log());
    assert_ne!(log, told(4).world.log());
}
