//! Random users under random trouble: the books are right after every block, and all ends well.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zklink::reject::Reject;
use zklink_integration_tests::crowd::{Crowd, Trouble};
use zklink_integration_tests::drivers::settle::SettlementEntry;
use zklink_integration_tests::network::{HUB, SPOKE};
use zklink_integration_tests::{Config, System};
use zklink_settlement::Step;

/// How long users act, virtual milliseconds.
const ACTS_MS: u64 = 40_000;
/// How long the rest may take.
const SETTLES_MS: u64 = 900_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A life with everything; the system at its end.
fn life(seed: u64, trouble: Trouble) -> System {
    let mut system = System::start(Config::new(seed));
    Crowd::begin(&system, ACTS_MS);
    if trouble.endpoints {
        system.delay_messages();
    }
    let end = system.now().after(ACTS_MS);
    while system.now() < end {
        let ms = system.chance.below(2_500);
        system.run_for(ms);
        trouble.strike(&mut system);
    }
    Trouble::end(&mut system);
    system.until("all questions are answered", SETTLES_MS, |system| system.desk.open() == 0);
    system.until("all is settled", SETTLES_MS, |system| system.auditor().is_settled());
    system.check_acknowledged();
    let halted = system.node().watchers.values();
    let halted: Vec<_> = halted
        .filter_map(|watcher| watcher.inspect(|watcher| watcher.status().halted).flatten())
        .collect();
    if !halted.is_empty() {
        system.fail(&format!("watchers halted: {halted:?}"));
    }
    system
}

#[test]
fn the_books_are_right_under_random_load_and_trouble() {
    let first = number("ZKLINK_LOAD_FIRST", 1);
    let (mut accepted, mut rejected, mut payouts, mut reverts) = (0, 0, 0, 0);
    for seed in first..first + number("ZKLINK_LOAD_SEEDS", 20) {
        let lived = catch_unwind(AssertUnwindSafe(|| life(seed, Trouble::ALL)));
        let system = lived.unwrap_or_else(|panic| {
            eprintln!("seed {seed} failed; run it alone with ZKLINK_LOAD_FIRST={seed}");
            std::panic::resume_unwind(panic)
        });
        accepted += system.desk.accepted().len();
        rejected += system.desk.rejected().len();
        payouts +=
            [HUB, SPOKE].map(|id| system.chain(id).contracts().payouts.len()).iter().sum::<usize>();
        let entries = system.settlement.entries();
        let reverted = |entry: &&SettlementEntry| {
            matches!(entry, SettlementEntry::Done(_, Step::RevertCommits(_)))
        };
        reverts += entries.iter().filter(reverted).count();
    }
    println!("{accepted} accepted, {rejected} rejected, {payouts} payouts");
    assert_eq!(reverts, 0, "no chain ever holds what it must not");
    assert!(accepted > 50 && payouts > 10, "{accepted} accepted, {payouts} payouts");
    assert!(rejected > 0, "some of it was not possible");
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let (first, second) = (life(77, Trouble::ALL), life(77, Trouble::ALL));
    assert_eq!(first.world.log(), second.world.log());
    assert_eq!(first.settlement.entries(), second.settlement.entries());
    let other = life(78, Trouble::ALL);
    assert_ne!(first.world.log(), other.world.log());
}

#[test]
fn a_quiet_life_rejects_only_what_the_protocol_forbids() {
    let trouble = Trouble { crashes: false, reorganisations: false, endpoints: false };
    let system = life(5, trouble);
    for (hash, reject) in system.desk.rejected() {
        let expected =
            matches!(reject, Reject::Balance { .. } | Reject::Reserve { .. } | Reject::Dust { .. })
                || reject.to_string().contains("authori");
        assert!(expected, "{hash}: {reject}");
    }
}
