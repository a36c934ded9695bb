//! The node dies at every moment of the short story, and the story ends as if it had not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use zklink::commitment::StateTree;
use zklink::hash::Fr;
use zklink_integration_tests::auditor::{stored_block, timeless_root};
use zklink_integration_tests::story::{Story, Told};
use zklink_integration_tests::{Config, System};
use zklink_mechanism::world::Verdict;
use zklink_store::record::SealedBlock;
use zklink_store::simulation::SimFault;

/// Longest virtual time of the story, which ends much earlier.
const MAX_MS: u64 = 300_000;
const SEED: u64 = 11;

/// A number from the environment, for longer runs.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A system at the beginning of the story, which counts the messages between machines.
fn begin() -> (System, Told, Arc<AtomicU64>) {
    let system = System::start(Config::new(SEED));
    let (told, messages) = (Story::begin(&system), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&messages);
    system.world.filter(move |_| {
        counter.fetch_add(1, SeqCst);
        Verdict::Pass
    });
    (system, told, messages)
}

fn finish(system: &mut System, told: &Told) {
    system.until("the story is over", MAX_MS, |system| told.is_over(system));
    system.until("all is settled", MAX_MS, |system| system.auditor().is_settled());
}

struct Reference {
    /// Of the accounts and pools, without times.
    root: Fr,
    blocks: Vec<SealedBlock>,
    messages: u64,
    syncs: u64,
}

fn reference() -> Reference {
    let (mut system, told, messages) = begin();
    finish(&mut system, &told);
    let auditor = system.auditor();
    let (state, blocks) = (auditor.state().clone(), auditor.blocks().to_vec());
    let root = blocks.last().expect("the story has blocks").block.head.new_root;
    assert_eq!(StateTree::of(&state).root(), root, "the auditor's state has the block's root");
    let (messages, syncs) = (messages.load(SeqCst), system.disk.syncs());
    Reference { root: timeless_root(&state), blocks, messages, syncs }
}

/// Lets the node die now and ends the story. Says whether it went on from a snapshot.
fn die_and_finish(system: &mut System, told: &Told, reference: &Reference) -> bool {
    system.auditor().check().expect("all is well before the crash");
    let before = system.auditor().blocks().to_vec();
    let same = before.iter().zip(&reference.blocks).filter(|(own, other)| own == other).count();
    assert_eq!(same, before.len(), "the same seed gives the same blocks up to the crash");
    system.crash();
    system.restart().expect("the node starts again");
    let from_snapshot = system.node().started_from.is_some();
    finish(system, told);
    let archive = &system.node().archive_reader;
    for sealed in &before {
        let number = sealed.block.head.number;
        assert_eq!(stored_block(archive, number).as_ref(), Some(sealed), "block {number}");
    }
    if timeless_root(system.auditor().state()) != reference.root {
        system.fail("the story ends with another root");
    }
    from_snapshot
}

#[test]
fn a_crash_after_any_message_changes_nothing() {
    let reference = reference();
    let stride = number("ZKLINK_CRASH_STRIDE", 97);
    println!("{} messages, every {stride}th", reference.messages);
    let (mut starts, mut from_snapshots) = (0, 0);
    let mut at = number("ZKLINK_CRASH_FROM", 1);
    while at < reference.messages {
        let (mut system, told, messages) = begin();
        let reached = system.world.run_until(|| messages.load(SeqCst) >= at, MAX_MS);
        reached.expect("the reference run had so many messages");
        from_snapshots += u32::from(die_and_finish(&mut system, &told, &reference));
        (starts, at) = (starts + 1, at + stride);
    }
    println!("{from_snapshots} of {starts} starts went on from a snapshot");
    assert!(from_snapshots > starts / 10 && from_snapshots < starts, "both are tried");
}

#[test]
fn a_disk_that_fails_at_any_write_loses_nothing_that_was_acknowledged() {
    let reference = reference();
    let stride = number("ZKLINK_DISK_STRIDE", 5);
    let faults = [SimFault::NoSpace, SimFault::ShortWrite, SimFault::SyncFails];
    let mut runs = 0;
    // Each group is an append and a sync.
    let mut write = 0;
    while write < 2 * reference.syncs {
        let fault = faults[usize::try_from(write % 3).expect("below three")];
        let (mut system, told, _) = begin();
        system.disk.fail_at(write, fault);
        let fallen = system.world.run_until(|| system.has_fallen(), MAX_MS);
        fallen.expect("the reference run had so many writes");
        die_and_finish(&mut system, &told, &reference);
        (runs, write) = (runs + 1, write + stride);
    }
    assert!(runs > 3, "the story writes more often than that");
}
