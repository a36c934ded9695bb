//! Proving stalls: the node accepts up to its bound, says why it takes no more, and goes on where it stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use zklink_integration_tests::network::{HUB, ONE, USD, User};
use zklink_integration_tests::{Config, System};
use zklink_mechanism::world::Verdict;
use zklink_node::builder::{self, PaceLimits};

const MAX_MS: u64 = 1_200_000;
/// Sealed blocks that may wait for their proof.
const BOUND: u64 = 3;

#[test]
fn without_proofs_acceptance_stops_at_the_bound_and_nothing_is_lost() {
    let pace = PaceLimits { unproven_max: BOUND, ..PaceLimits::default() };
    let builder = builder::Config { pace: Some(pace), ..Config::new(41).builder };
    let mut system = System::start(Config { builder, ..Config::new(41) });
    let alice = User::new("alice");
    system.chain(HUB).submit(alice.address(), alice.deposit(HUB, USD, 1_000 * 1_000_000));
    system.until("alice has an account", MAX_MS, |system| {
        system.auditor().state().account_of(alice.owner()).is_some()
    });
    let id = system.auditor().state().account_of(alice.owner()).expect("it was just seen");
    system.requests.send(0, alice.set_key(id, 0, USD, true), true);
    system.until("all is settled", MAX_MS, |system| {
        system.requests.open() == 0 && system.auditor().is_settled()
    });
    let stalled = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&stalled);
    system.world.filter(move |delivery| match switch.load(SeqCst) {
        true if delivery.to.starts_with("feed") => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let sealed = |system: &System| u64::from(system.node().view.read().state.system.number.0);
    let (proven, accepted) = (sealed(&system), system.requests.accepted().len());

    let payments = 60;
    let bob = User::new("bob").owner();
    for nonce in 0..payments {
        system.requests.send(1, alice.transfer(id, nonce, bob, USD, ONE / 100), true);
    }
    system.until("the node says that settlement is behind", MAX_MS, |system| {
        system.requests.behind() > 10
    });
    let (stopped, cursor) =
        (system.requests.accepted().len(), system.node().view.read().state.cursor(HUB));
    assert!(stopped > accepted, "up to the bound it took payments");
    assert!(stopped < accepted + payments as usize, "and then no more");
    system.chain(HUB).submit(alice.address(), alice.deposit(HUB, USD, 7_000_000));
    system.run_for(60_000);
    assert_eq!(sealed(&system), proven + BOUND);
    assert_eq!(system.requests.accepted().len(), stopped, "not one more in a minute");
    assert_eq!(system.node().view.read().state.cursor(HUB), cursor, "nor a deposit");
    system.crash();
    system.restart().unwrap();
    system.run_for(10_000);
    assert_eq!(system.requests.accepted().len(), stopped, "a restart is no way around the bound");

    stalled.store(false, SeqCst);
    system.until("all is accepted", MAX_MS, |system| system.requests.open() == 0);
    assert_eq!(system.requests.accepted().len(), accepted + payments as usize);
    system.until("the deposit is executed", MAX_MS, |system| {
        system.node().view.read().state.cursor(HUB) > cursor
    });
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
}
