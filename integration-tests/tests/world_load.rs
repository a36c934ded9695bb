//! Random users under random trouble: the books are right after every block, and all ends well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use zklink::reject::Reject;
use zklink_integration_tests::crowd::{Crowd, Trouble};
use zklink_integration_tests::network::{HUB, SPOKE};
use zklink_integration_tests::{Config, System};
use zklink_settlement::Step;
use zklink_settlement::driver::Done;

/// How long users act where nobody says otherwise, virtual milliseconds.
const ACTS_MS: u64 = 40_000;
/// How long the rest may take.
const SETTLES_MS: u64 = 900_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A life with everything; the system at its end.
fn life(seed: u64, acts_ms: u64, trouble: Trouble) -> System {
    let mut system = System::start(Config::new(seed));
    Crowd::begin(&system, acts_ms);
    if trouble.endpoints {
        system.delay_messages();
    }
    let end = system.now().after(acts_ms);
    while system.now() < end {
        let ms = system.chance.below(2_500);
        system.run_for(ms);
        trouble.strike(&mut system);
    }
    Trouble::end(&mut system);
    system.until("all questions are answered", SETTLES_MS, |system| system.requests.open() == 0);
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

/// What happened in some lives.
#[derive(Debug, Default)]
struct Sum {
    accepted: usize,
    rejected: usize,
    payouts: usize,
    reverts: usize,
}

impl Sum {
    fn add(&mut self, system: &System) {
        self.accepted += system.requests.accepted().len();
        self.rejected += system.requests.rejected().len();
        let payouts = |id| system.chain(id).contracts().payouts.len();
        self.payouts += [HUB, SPOKE].map(payouts).iter().sum::<usize>();
        let reverted = |done: &Done| matches!(done.step, Step::RevertCommits(_));
        self.reverts += system.settled().into_iter().filter(reverted).count();
    }
}

/// Each life in the thread that takes it next; a World never leaves its thread.
#[test]
fn the_books_are_right_under_random_load_and_trouble() {
    let (first, count) = (number("ZKLINK_LOAD_FIRST", 1), number("ZKLINK_LOAD_SEEDS", 200));
    let acts_ms = number("ZKLINK_LOAD_MS", 12_000);
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    let live = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= first + count {
                return;
            }
            let lived = catch_unwind(AssertUnwindSafe(|| life(seed, acts_ms, Trouble::ALL)));
            let system = lived.unwrap_or_else(|panic| {
                eprintln!("seed {seed} failed; run it alone with ZKLINK_LOAD_FIRST={seed} ZKLINK_LOAD_SEEDS=1");
                std::panic::resume_unwind(panic)
            });
            sum.lock().expect("a life that failed ends the test").add(&system);
            if (seed - first + 1) % 1_000 == 0 {
                println!("{} lives", seed - first + 1);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(live))));
    let sum = sum.into_inner().expect("no life failed");
    println!("{count} lives: {sum:?}");
    assert_eq!(sum.reverts, 0, "no chain ever holds what it must not");
    let least = usize::try_from(count).expect("a number of lives");
    assert!(sum.accepted > 2 * least && sum.payouts > least / 4, "{sum:?}");
    assert!(count < 10 || sum.rejected > 0, "some of it was not possible: {sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let (first, second) = (life(77, ACTS_MS, Trouble::ALL), life(77, ACTS_MS, Trouble::ALL));
    assert_eq!(first.world.log(), second.world.log());
    assert_eq!(first.settled(), second.settled());
    let other = life(78, ACTS_MS, Trouble::ALL);
    assert_ne!(first.world.log(), other.world.log());
}

#[test]
fn a_quiet_life_rejects_only_what_the_protocol_forbids() {
    let trouble = Trouble { crashes: false, reorganisations: false, endpoints: false };
    let system = life(5, ACTS_MS, trouble);
    for (hash, reject) in system.requests.rejected() {
        let expected =
            matches!(reject, Reject::Balance { .. } | Reject::Reserve { .. } | Reject::Dust { .. })
                || reject.to_string().contains("authori");
        assert!(expected, "{hash}: {reject}");
    }
}
