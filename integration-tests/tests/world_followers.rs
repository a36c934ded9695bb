//! Every follower of the node panics, at many moments of the short story: the supervisor builds it again, what it was
//! told comes again, and the story ends as if nothing had happened.

use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink_actors::world::Seed;
use zklink_integration_tests::story::{Story, Told};
use zklink_integration_tests::{Config, System};

/// Longest virtual time of the story, which ends much earlier.
const MAX_MS: u64 = 300_000;
/// Moments of the story at which each follower panics.
const MOMENTS: u64 = 8;

fn begin(seed: u64) -> (System, Told) {
    let system = System::start(Config::new(seed));
    let told = Story::begin(&system);
    (system, told)
}

/// Ends the story; returns when, and what the accounts and pools are then.
fn finish(system: &mut System, told: &Told) -> (u64, Fr) {
    system.until("the story is over", MAX_MS, |system| told.is_over(system));
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
    assert_eq!(system.world.stopped(), None, "the node runs");
    let mut state = system.auditor().state().clone();
    // Blocks may have come at other times.
    state.system.number = zklink::id::BlockNumber(0);
    state.system.timestamp = 0;
    (system.now().0, StateTree::of(&state).root())
}

#[test]
fn a_follower_that_panics_once_changes_nothing_whenever_it_does() {
    let (mut system, told) = begin(21);
    let followers = system.node().followers();
    assert!(followers.len() >= 8, "{followers:?}");
    let (length, expected) = finish(&mut system, &told);
    for follower in followers {
        for moment in 0..MOMENTS {
            let (mut system, told) = begin(21);
            system.run_for(length * moment / MOMENTS);
            system.panic(&follower);
            let (_, root) = finish(&mut system, &told);
            assert_eq!(root, expected, "{follower} at {moment}/{MOMENTS}");
        }
    }
}

#[test]
fn followers_that_panic_all_the_time_lose_and_double_nothing() {
    for seed in 31..35 {
        let (mut system, told) = begin(seed);
        let (_, expected) = finish(&mut system, &told);
        let (mut system, told) = begin(seed);
        let followers = system.node().followers();
        let mut chance = Seed(seed);
        // Fewer panics of each in a minute than the supervisor takes for hopeless.
        for _ in 0..10 {
            let pause = 500 + chance.below(2_500);
            system.run_for(pause);
            system.panic(&followers[chance.below_usize(followers.len())]);
        }
        let (_, root) = finish(&mut system, &told);
        assert_eq!(root, expected, "seed {seed}");
    }
}
