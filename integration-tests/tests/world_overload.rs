//! The journal stalls: the node says that it is overloaded, holds a bounded amount, and loses nothing it acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use zklink_integration_tests::network::{HUB, ONE, USD, User};
use zklink_integration_tests::{Config, System};
use zklink_mechanism::world::Verdict;
use zklink_node::builder;

/// Settlement takes a few blocks of the hub for each of ours.
const MAX_MS: u64 = 1_200_000;
/// Records that may wait in the builder, and messages before each machine.
const BOUND: usize = 32;

/// A system in which Alice has tokens and a key, and a switch that stalls the journal.
fn system(seed: u64) -> (System, User, Arc<AtomicBool>) {
    let builder = builder::Config { waiting_max: BOUND, ..Config::new(seed).builder };
    let mut system = System::start(Config { builder, mailbox: BOUND, ..Config::new(seed) });
    let alice = User::new("alice");
    let call = alice.deposit(HUB, USD, 1_000 * 1_000_000);
    system.chain(HUB).submit(alice.address(), call);
    system.until("alice has an account", MAX_MS, |system| {
        system.auditor().state().account_of(alice.owner()).is_some()
    });
    let id = system.auditor().state().account_of(alice.owner()).expect("alice has an account");
    system.requests.send(0, alice.set_key(id, 0, USD, true), true);
    system.until("alice has a key", MAX_MS, |system| system.requests.open() == 0);
    let stalled = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&stalled);
    system.world.filter(move |delivery| match switch.load(SeqCst) {
        true if delivery.to.starts_with("journal") => Verdict::Delay(20_000),
        _ => Verdict::Pass,
    });
    (system, alice, stalled)
}

/// So many payments, each in a lane of its own, so that all are asked at once.
fn pay(system: &System, alice: &User, count: u32) {
    let id = system.auditor().state().account_of(alice.owner()).expect("alice has an account");
    let bob = User::new("bob").owner();
    for nonce in 0..count {
        let tx = alice.transfer(id, nonce, bob, USD, ONE / 100);
        system.requests.send(1 + nonce as usize, tx, true);
    }
}

#[test]
fn a_stalled_journal_is_answered_with_overloaded_and_nothing_acknowledged_is_lost() {
    let (mut system, alice, stalled) = system(31);
    let before = system.requests.accepted().len();
    stalled.store(true, SeqCst);
    let payments = 150;
    pay(&system, &alice, payments);
    let mut most = 0;
    for _ in 0..100 {
        system.run_for(100);
        let held = system.node().builder.inspect(|builder| format!("{builder:?}"));
        let held = held.expect("the builder lives");
        most = most.max(held.matches("Append(").count());
    }
    assert_eq!(
        system.requests.accepted().len(),
        before,
        "nothing is acknowledged before the fsync"
    );
    assert!(system.requests.overloaded() > 50, "{}", system.requests.overloaded());
    // One entry may add the record of the block that it closes and its own.
    assert!((BOUND..BOUND + 4).contains(&most), "{most} records wait in the builder");
    stalled.store(false, SeqCst);
    system.until("all is acknowledged", MAX_MS, |system| system.requests.open() == 0);
    assert_eq!(system.requests.accepted().len(), before + payments as usize);
    system.crash();
    system.restart().unwrap();
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
}

#[test]
fn a_crash_under_overload_loses_only_what_nobody_was_told_of() {
    let (mut system, alice, stalled) = system(32);
    let before = system.requests.accepted().len();
    stalled.store(true, SeqCst);
    pay(&system, &alice, 100);
    system.run_for(5_000);
    system.crash();
    stalled.store(false, SeqCst);
    system.restart().unwrap();
    system.until("all is acknowledged", MAX_MS, |system| system.requests.open() == 0);
    assert_eq!(system.requests.accepted().len(), before + 100);
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
}
