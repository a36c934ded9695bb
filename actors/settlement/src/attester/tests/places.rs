//! An attester that starts goes on where it was, and signs nothing else for it.

use std::path::Path;

use zklink_chain::client::LogQuery;

use super::super::places::{Origin, Place, Places};
use super::*;

const ORIGIN: Origin = (DeploymentId([7; 31]), CONTRACT);

/// An attester with a history on disk.
fn started(path: &Path, chain: &SimChain) -> Rig {
    let mut rig = rig(History::open(path).unwrap());
    rig.settles = true;
    *rig.book.room.lock().unwrap() = 1_000;
    rig.chain = chain.clone();
    rig
}

/// A chain of 100 blocks with three messages at its beginning, and where it was read to when B had taken `taken` of
/// them.
fn read_once(path: &Path, taken: u64) -> (SimChain, Option<Place>) {
    let mut chain = SimChain::new(2);
    chain.mine((0..3).map(|sequence| sent(2, sequence, b"x")).collect());
    chain.grow(100);
    let mut rig = started(path, &chain);
    (0..60).for_each(|_| drop(rig.poll(taken)));
    // Long after the first writing.
    rig.now += 60_000;
    (0..3).for_each(|_| drop(rig.poll(taken)));
    assert_eq!(rig.refusal(), None);
    drop(rig);
    (chain, Places::open(&path.with_extension("places")).of(A, ORIGIN).cloned())
}

/// The first block whose events were asked for.
fn first_asked(rig: &Rig) -> u64 {
    let logs = rig.asked.iter().filter_map(|request| match request {
        Request::Scan(Question::Logs(LogQuery { from, .. })) => Some(*from),
        _ => None,
    });
    logs.min().unwrap_or_default()
}

#[test]
fn a_start_goes_on_where_the_attester_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let (mut chain, place) = read_once(&path, 3);
    let place = place.unwrap();
    assert_eq!((place.number, &place.next), (100, &[(B, 3)].into()));
    chain.mine(vec![sent(2, 3, b"new")]);
    chain.grow(1);
    let mut rig = started(&path, &chain);
    let told: Vec<u64> = (0..5).flat_map(|_| rig.poll(3)).map(|(sequence, _)| sequence).collect();
    assert!(told.contains(&3) && !told.contains(&2), "{told:?}");
    assert_eq!((first_asked(&rig), rig.refusal()), (101, None));
}

#[test]
fn what_is_not_taken_for_good_is_offered_again_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let (chain, place) = read_once(&path, 2);
    assert_eq!(place, None, "the third message lies before every place");
    let mut rig = started(&path, &chain);
    assert!((0..5).flat_map(|_| rig.poll(2)).any(|(sequence, _)| sequence == 2));
}

#[test]
fn a_destination_that_gives_back_what_it_had_for_good_is_served_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let (chain, place) = read_once(&path, 3);
    assert!(place.is_some());
    let mut rig = started(&path, &chain);
    let told = (0..20).flat_map(|_| rig.poll(1)).map(|(sequence, _)| sequence);
    let told: std::collections::BTreeSet<u64> = told.collect();
    assert!(told.contains(&1) && told.contains(&2), "{told:?}");
}

#[test]
fn a_place_that_is_not_on_the_chain_any_more_leads_back_to_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attester");
    let (mut chain, _) = read_once(&path, 3);
    chain.rewind(80);
    chain.grow(90);
    chain.mine(vec![sent(2, 3, b"new")]);
    chain.grow(1);
    let mut rig = started(&path, &chain);
    let told: Vec<u64> = (0..20).flat_map(|_| rig.poll(3)).map(|(sequence, _)| sequence).collect();
    assert!(told.contains(&3), "{told:?}");
    assert_eq!((first_asked(&rig), rig.refusal()), (1, None));
}

/// As if the file had been written by an attester to which endpoints lied, or by a faulty one.
#[test]
fn wrong_counts_cost_time_and_sign_nothing_that_the_contract_did_not_send() {
    for count in [0, 1, 2, 4, 90] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attester");
        let (mut chain, place) = read_once(&path, 3);
        let next = [(B, count)].into();
        let wrong = Place { next, ..place.unwrap() };
        Places::open(&path.with_extension("places")).keep(A, ORIGIN, wrong, Timestamp(0));
        chain.mine(vec![sent(2, 3, b"new")]);
        chain.grow(1);
        let mut rig = started(&path, &chain);
        let told: Vec<(u64, Vec<u8>)> = (0..40).flat_map(|_| rig.poll(3)).collect();
        assert!(told.contains(&(3, b"new".to_vec())), "{count}: {told:?}");
        let true_one = |(sequence, payload): &(u64, Vec<u8>)| match sequence {
            0..3 => payload == b"x",
            3 => payload == b"new",
            _ => false,
        };
        assert!(told.iter().all(true_one), "{count}: {told:?}");
        assert_eq!(rig.refusal(), None, "{count}");
    }
}
