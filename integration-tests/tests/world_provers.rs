//! Provers that lie, mix up, die and dawdle: only right proofs are stored, and the jobs move on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use zklink::hash::fr_to_be_bytes;
use zklink_integration_tests::drivers::prove::Character;
use zklink_integration_tests::simulated::{Verifier, simulated_proof};
use zklink_integration_tests::story::Story;
use zklink_integration_tests::{Config, System};
use zklink_prover::feed::{ReadProgress, SubmitRefusal, Submitted};

const MAX_MS: u64 = 600_000;

/// Tells the story with these provers; gives the system and how many wrong proofs the hub saw.
fn told(provers: Vec<Character>) -> (System, u64) {
    let wrong = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&wrong);
    let verifier = Verifier::new(move |inputs, proof| {
        let right = proof == simulated_proof(inputs);
        seen.fetch_add(u64::from(!right), SeqCst);
        right
    });
    let mut system = System::start(Config { provers, verifier, ..Config::new(21) });
    let told = Story::begin(&system);
    system.until("the story is over", MAX_MS, |system| told.is_over(system));
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
    (system, wrong.load(SeqCst))
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
    let provers = bad.into_iter().chain([Character::Honest(400)]).collect();
    let (system, wrong) = told(provers);
    assert_eq!(wrong, 0, "the hub never saw a wrong proof");
    assert_right_proofs(&system);
    let verdicts = system.verdicts.lock().unwrap();
    let of = |name: &str| {
        let own = verdicts.iter().filter(move |(prover, _, _)| prover.as_str() == name);
        own.map(|(_, _, verdict)| verdict.clone()).collect::<Vec<_>>()
    };
    for liar in ["simulated-0", "simulated-1"] {
        let told = of(liar);
        assert!(!told.is_empty(), "{liar} was asked");
        for verdict in told {
            let expected = matches!(
                verdict,
                Err(SubmitRefusal::Wrong { .. } | SubmitRefusal::NotServed(_))
                    | Ok(Submitted::AlreadyProven)
            );
            assert!(expected, "{liar}: {verdict:?}");
        }
    }
    assert!(of("simulated-4").contains(&Ok(Submitted::Accepted)));
}

#[test]
fn a_lease_of_a_dead_prover_runs_out() {
    let (system, wrong) = told(vec![Character::Dies, Character::Dies, Character::Honest(200)]);
    assert_eq!(wrong, 0);
    assert_right_proofs(&system);
    let progress = system.node().feed.port().ask(ReadProgress).unwrap();
    let progress = system.world.answer(progress, 1_000).unwrap();
    let expired: u64 = progress.provers.iter().map(|prover| prover.expired).sum();
    assert!(expired > 0 || progress.provers.len() == 1, "{progress:?}");
    assert!(progress.jobs.is_empty(), "{progress:?}");
}

#[test]
fn a_proof_that_comes_late_is_taken_if_it_is_the_first() {
    let (system, wrong) = told(vec![Character::Slow(6_000)]);
    assert_eq!(wrong, 0);
    assert_right_proofs(&system);
    let verdicts = system.verdicts.lock().unwrap();
    assert!(verdicts.iter().all(|(_, _, verdict)| *verdict == Ok(Submitted::Accepted)));
}
