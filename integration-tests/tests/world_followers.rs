//! Every follower of the node panics, at many moments of the short story: the supervisor builds it again, what it was
//! told comes again, and the story ends as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use zklink::hash::Fr;
use zklink_integration_tests::auditor::timeless_root;
use zklink_integration_tests::story::{Story, Told};
use zklink_integration_tests::{Config, System};
use zklink_mechanism::world::{Seed, Verdict};

/// Longest virtual time of the story, which ends much earlier.
const MAX_MS: u64 = 300_000;
/// So many messages of each kind are followed by a panic of the follower that was told.
const OF_EACH_KIND: usize = 3;
/// How long after the message, virtual milliseconds: it is on its way, handled, or handed on.
const DELAYS: [u64; 3] = [0, 3, 8];

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
    let root = timeless_root(system.auditor().state());
    (system.now().0, root)
}

/// By follower and kind of message the times, virtual milliseconds.
type Moments = BTreeMap<(String, String), Vec<u64>>;

/// When which follower was told what, of each kind of message the first ones.
fn moments(system: &System) -> Arc<Mutex<Moments>> {
    let moments = Arc::new(Mutex::new(Moments::new()));
    let (noted, followers) = (Arc::clone(&moments), system.followers());
    system.world.filter(move |message| {
        let kind = message.text.split(['(', ' ']).next().unwrap_or_default();
        if kind != "Tick" && followers.iter().any(|name| name == message.to) {
            let mut noted = noted.lock().expect("no holder panics");
            let times = noted.entry((message.to.to_owned(), kind.to_owned())).or_default();
            if times.len() < OF_EACH_KIND {
                times.push(message.now.0);
            }
        }
        Verdict::Pass
    });
    moments
}

#[test]
fn a_follower_that_panics_when_it_is_told_something_changes_nothing() {
    let (mut system, told) = begin(21);
    let moments = moments(&system);
    let (_, expected) = finish(&mut system, &told);
    let moments = moments.lock().expect("no holder panics").clone();
    let kinds: BTreeSet<&str> = moments.keys().map(|(_, kind)| kind.as_str()).collect();
    for kind in ["DepositFinal", "Reading", "Enqueue", "Lease", "Submit", "Attestation", "WhatNext"]
    {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    for ((follower, kind), times) in moments {
        for (time, delay) in times.iter().flat_map(|time| DELAYS.map(|delay| (time, delay))) {
            let (mut system, told) = begin(21);
            system.run_for(time + delay);
            system.panic(&follower);
            let (_, root) = finish(&mut system, &told);
            assert_eq!(root, expected, "{follower} after {kind} at {time}+{delay}");
        }
    }
}

#[test]
fn followers_that_panic_all_the_time_lose_and_double_nothing() {
    for seed in 31..35 {
        let (mut system, told) = begin(seed);
        let (_, expected) = finish(&mut system, &told);
        let (mut system, told) = begin(seed);
        let followers = system.followers();
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
