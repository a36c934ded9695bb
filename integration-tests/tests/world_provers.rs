//! Provers that lie, mix up, die and dawdle: only right proofs are stored, and the jobs move on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use zklink::hash::fr_to_be_bytes;
use zklink_integration_tests::simulated::{Character, Verifier, simulated_proof};
use zklink_integration_tests::story::Story;
use zklink_integration_tests::{Config, System};
use zklink_mechanism::platform::Reach;
use zklink_prover::feed::{Progress, ProverProgress, ReadProgress};

const MAX_MS: u64 = 600_000;

/// Tells the story with these provers; gives the system and how many wrong proofs the hub saw.
fn told(provers: Vec<Character>) -> (System, u64) {
    watched(provers, |_| {})
}

/// As [`told`], and shows each prover from time to time.
fn watched(provers: Vec<Character>, mut shown: impl FnMut(&ProverProgress)) -> (System, u64) {
    let wrong = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&wrong);
    let verifier = Verifier::new(move |inputs, proof| {
        let right = proof == simulated_proof(inputs);
        seen.fetch_add(u64::from(!right), SeqCst);
        right
    });
    let mut system = System::start(Config { provers, verifier, ..Config::new(23) });
    let told = Story::begin(&system);
    system.until("all is settled", MAX_MS, |system| {
        progress(system).provers.iter().for_each(&mut shown);
        told.is_over(system) && system.auditor().is_settled()
    });
    (system, wrong.load(SeqCst))
}

/// How the feed is doing.
fn progress(system: &System) -> Progress {
    let asked = system.node().feed.port().ask(ReadProgress).expect("the feed listens");
    system.world.answer(asked, 1_000).expect("the feed answers")
}

fn assert_right_proofs(system: &System) {
    let auditor = system.auditor();
    assert!(!auditor.blocks().is_empty());
    for sealed in auditor.blocks() {
        let inputs = sealed.block.public_inputs().expect("it fits its shape").map(fr_to_be_bytes);
        let stored = system.node().archive_reader.proof(sealed.block.head.number);
        assert_eq!(stored.expect("the simulated store reads"), Some(simulated_proof(&inputs)));
    }
}

#[test]
fn only_right_proofs_are_stored_and_the_job_moves_on() {
    let bad = [Character::Garbage, Character::Confused, Character::Dies, Character::Slow(7_000)];
    // It takes so long that the others get jobs, too.
    let provers = bad.into_iter().chain([Character::Honest(3_000)]).collect();
    let (mut caught, mut proved) = (BTreeSet::new(), BTreeSet::new());
    let (system, wrong) = watched(provers, |of| {
        // Strikes are forgotten once the bar is over.
        if of.strikes > 0 || of.barred_until.is_some() {
            caught.insert(of.prover.to_string());
        }
        if of.proven > 0 {
            proved.insert(of.prover.to_string());
        }
    });
    assert_eq!(wrong, 0, "the hub never saw a wrong proof");
    assert_right_proofs(&system);
    assert!(progress(&system).jobs.is_empty());
    let liars = ["simulated-0", "simulated-1"].map(str::to_owned);
    assert_eq!(caught, liars.clone().into(), "who is late or silent does not lie");
    assert!(liars.iter().all(|liar| !proved.contains(liar)), "{proved:?}");
    assert!(proved.contains("simulated-4"), "{proved:?}");
}

#[test]
fn a_lease_of_a_dead_prover_runs_out() {
    let provers = vec![Character::Dies, Character::Dies, Character::Honest(200)];
    let mut system = System::start(Config { provers, ..Config::new(22) });
    let told = Story::begin(&system);
    // The feed forgets a prover that is silent for long, so it is asked while that goes on.
    system.until("a lease has run out", MAX_MS, |system| {
        let progress = progress(system);
        progress.provers.iter().any(|prover| prover.expired > 0)
    });
    system.until("the story is over", MAX_MS, |system| told.is_over(system));
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
    assert_right_proofs(&system);
    assert!(progress(&system).jobs.is_empty());
}

#[test]
fn a_proof_that_comes_late_is_taken_if_it_is_the_first() {
    let (system, wrong) = told(vec![Character::Slow(6_000)]);
    assert_eq!(wrong, 0);
    assert_right_proofs(&system);
    let progress = progress(&system);
    let [of] = &progress.provers[..] else { panic!("{progress:?}") };
    assert_eq!((of.proven, of.strikes), (system.auditor().blocks().len() as u64, 0), "{of:?}");
    assert!(of.expired > 0, "its leases ran out: {of:?}");
}
