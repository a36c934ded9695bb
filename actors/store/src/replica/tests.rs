//! Replicas in the World: they copy, go on, and stop at what does not fit.

use std::sync::Mutex;

use zklink_mechanism::port::{Deliver, Envelope};
use zklink_mechanism::probe::Sink;
use zklink_mechanism::supervisor;
use zklink_mechanism::world::{MachineRef, World, WorldHost};

use super::*;
use crate::journal::Durable;
use crate::journal::segment::SegmentLog;
use crate::simulation::SimDisk;

const POLICY: supervisor::Config = supervisor::Config {
    backoff_first_ms: 100,
    backoff_max_ms: 1_000,
    failures_max: 3,
    window_ms: 60_000,
};

/// The records of a log that was written with these payloads.
fn written(payloads: &[String]) -> Vec<Record> {
    let (mut log, _) = SegmentLog::open(SimDisk::new(), b"test", 4_096).unwrap();
    let payloads = payloads.iter().map(|text| text.as_bytes().to_vec()).collect();
    log.append(payloads).unwrap()
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("record {number}")).collect()
}

/// A record that the node of these tests cannot read, and one that it does not show.
const UNREADABLE: &[u8] = b"record that is unreadable";
const HIDDEN: &[u8] = b"record that is hidden";

/// Stands where the journal of a node stands. Without records it does not answer.
#[derive(Clone, Default)]
struct Node(Arc<Mutex<Option<Vec<Record>>>>);

impl Node {
    fn of(records: Vec<Record>) -> Node {
        Node(Arc::new(Mutex::new(Some(records))))
    }

    fn set(&self, records: Option<Vec<Record>>) {
        *self.0.lock().unwrap() = records;
    }
}

impl Deliver<ReadRecords> for Node {
    fn deliver(&self, envelope: Envelope<ReadRecords>) -> Result<(), Refused<ReadRecords>> {
        let records = self.0.lock().unwrap().clone();
        let Some(records) = records else { return Err(Refused::Closed(envelope.message)) };
        let from = usize::try_from(envelope.message.from).unwrap();
        let stretch: Vec<Record> = records.iter().skip(from).take(7).cloned().collect();
        let end = records.len() as u64;
        let answer = match stretch.first() {
            Some(record) if record.payload == UNREADABLE => Err("the disk is gone".to_owned()),
            Some(record) if record.payload == HIDDEN => Ok(Stretch { records: Vec::new(), end }),
            _ => Ok(Stretch { records: stretch, end }),
        };
        envelope.reply.unwrap().answer(answer);
        Ok(())
    }
}

/// A life of a replica, without its archive: what records mean is nothing to it.
struct Life {
    host: WorldHost,
    journal: MachineRef<Journal>,
    followed: watch::Receiver<Followed>,
}

fn live(world: &World, disk: &SimDisk, node: &Node) -> Life {
    let mut host = WorldHost::new(world, POLICY);
    let archive: Origin<Sink<Durable>> = Origin::Once(Sink(Vec::new()));
    let archive = world.at_once(host.start(&(), "archive", 64, archive)).unwrap();
    let (log, _) = SegmentLog::open(disk.clone(), b"test", 4_096).unwrap();
    let mut log: Box<dyn Log> = Box::new(log);
    let from = Place::end_of(&mut *log).unwrap();
    let machine = Origin::Once(Journal::new(log, archive.port()));
    let journal = world.at_once(host.start(&(), "journal", 64, machine)).unwrap();
    let (told, followed) = watch::channel(Followed::default());
    let node = Port::new(node.clone());
    let meaning: Meaning = Box::new(|record| match record.payload.starts_with(b"record") {
        true => Ok(()),
        false => Err("no such record".to_owned()),
    });
    host.drive("replica", follow(node, journal.port(), from, meaning, told, host.stopping()));
    Life { host, journal, followed }
}

fn records_of(disk: &SimDisk) -> Vec<Record> {
    let (mut log, _) = SegmentLog::open(disk.clone(), b"test", 4_096).unwrap();
    let mut found = Vec::new();
    while (found.len() as u64) < log.end() {
        found.extend(log.read(found.len() as u64, 100).unwrap());
    }
    found
}

#[test]
fn a_replica_has_the_same_records_and_goes_on_after_a_restart() {
    let (world, disk) = (World::new(1, POLICY), SimDisk::new());
    let all = written(&numbered(0..60));
    let node = Node::of(all[..40].to_vec());
    let life = live(&world, &disk, &node);
    let copied = |life: &Life, count| life.followed.borrow().records == count;
    world.run_until(|| copied(&life, 40), 5_000).unwrap();
    assert_eq!(life.followed.borrow().of_node, Some(40));
    life.host.kill();
    node.set(Some(all.clone()));
    let life = live(&world, &disk, &node);
    world.run_until(|| copied(&life, 60), 5_000).unwrap();
    assert_eq!(records_of(&disk), all);
    // What it has can be read again by the next replica.
    let asked = life.journal.port().ask(ReadRecords { from: 58 }).unwrap();
    let stretch = world.answer(asked, 100).unwrap().unwrap();
    assert_eq!(stretch, Stretch { records: all[58..].to_vec(), end: 60 });
    assert_eq!(life.host.faults(), [""; 0]);
}

#[test]
fn a_node_that_is_away_is_asked_again_more_and_more_rarely() {
    let (world, disk, node) = (World::new(1, POLICY), SimDisk::new(), Node::default());
    let life = live(&world, &disk, &node);
    world.run_for(20_000);
    let Followed { failures, last_error, .. } = life.followed.borrow().clone();
    assert!((5..12).contains(&failures), "{failures}");
    assert!(last_error.unwrap().contains("failed or was stopped"));
    let all = written(&numbered(0..3));
    node.set(Some(all.clone()));
    world.run_for(31_000);
    let whole = Followed { records: 3, of_node: Some(3), ..Followed::default() };
    assert_eq!(*life.followed.borrow(), whole);
    assert_eq!((records_of(&disk), life.host.stopped()), (all, None));
}

/// Follows one node to its end and then another one; gives what the replica has then, and why it stopped.
fn after_another(first: &[Record], second: Vec<Record>, restarts: bool) -> (Vec<Record>, String) {
    let (world, disk) = (World::new(1, POLICY), SimDisk::new());
    let node = Node::of(first.to_vec());
    let life = live(&world, &disk, &node);
    let end = first.len() as u64;
    world.run_until(|| life.followed.borrow().records == end, 5_000).unwrap();
    node.set(Some(second));
    let life = if restarts {
        life.host.kill();
        live(&world, &disk, &node)
    } else {
        life
    };
    world.run_until(|| life.host.stopped().is_some(), 5_000).unwrap();
    (records_of(&disk), life.host.stopped().unwrap())
}

#[test]
fn a_node_with_fewer_records_has_lost_some() {
    let all = written(&numbered(0..9));
    for restarts in [false, true] {
        let (kept, why) = after_another(&all, all[..8].to_vec(), restarts);
        assert!(why.contains("ends at record 8, this replica has 9"), "{why}");
        assert!(why.contains("start a node on this replica's folder"), "{why}");
        assert_eq!(kept, all);
    }
}

#[test]
fn another_journal_is_not_followed() {
    let all = written(&numbered(0..9));
    let other = written(&numbered(100..112));
    for restarts in [false, true] {
        let (kept, why) = after_another(&all, other.clone(), restarts);
        assert!(why.contains("does not continue this replica's journal"), "{why}");
        assert_eq!(kept, all);
    }
    // As long as this one: at the next start at the latest.
    let (kept, why) = after_another(&all, other[..9].to_vec(), true);
    assert!(why.contains("record 8 of the node"), "{why}");
    assert_eq!(kept, all);
}

#[test]
fn a_record_that_was_changed_moved_or_left_out_is_not_taken() {
    let all = written(&numbered(0..9));
    let mut changed = all.clone();
    changed[6].payload[0] ^= 1;
    let mut moved = all.clone();
    moved.swap(5, 6);
    let mut renumbered = all.clone();
    renumbered[6].position += 1;
    let gap = [&all[..5], &all[6..]].concat();
    for lie in [changed, moved, renumbered, gap] {
        let (kept, why) = after_another(&all[..4], lie, false);
        assert!(why.contains("does not continue this replica's journal"), "{why}");
        assert!(kept.len() >= 4 && kept[..] == all[..kept.len()], "{kept:?}");
    }
}

#[test]
fn a_record_without_a_meaning_is_not_taken() {
    let mut payloads = numbered(0..9);
    payloads[6] = "of a newer program".to_owned();
    let all = written(&payloads);
    let (kept, why) = after_another(&all[..4], all.clone(), false);
    assert!(why.contains("record 6 of the node cannot be understood: no such record"), "{why}");
    assert!(kept.len() >= 4 && kept.len() <= 6, "{kept:?}");
}

#[test]
fn what_a_node_cannot_read_or_does_not_show_is_told_and_waited_for() {
    for (payload, expected) in [(UNREADABLE, "the disk is gone"), (HIDDEN, "shows none")] {
        let (world, disk) = (World::new(1, POLICY), SimDisk::new());
        let mut payloads = numbered(0..9);
        payloads[7] = String::from_utf8(payload.to_vec()).unwrap();
        let node = Node::of(written(&payloads));
        let life = live(&world, &disk, &node);
        world.run_for(10_000);
        let Followed { records, failures, last_error, .. } = life.followed.borrow().clone();
        assert!(records == 7 && failures > 3, "{records} {failures}");
        assert!(last_error.unwrap().contains(expected));
        assert_eq!(life.host.faults(), [""; 0]);
    }
}

#[test]
fn a_replica_whose_disk_fails_stops() {
    let (world, disk) = (World::new(1, POLICY), SimDisk::new());
    let all = written(&numbered(0..9));
    let node = Node::of(all[..5].to_vec());
    let life = live(&world, &disk, &node);
    world.run_until(|| life.followed.borrow().records == 5, 5_000).unwrap();
    disk.fail_at(1, crate::simulation::SimFault::SyncFails);
    node.set(Some(all.clone()));
    world.run_until(|| life.host.stopped().is_some(), 5_000).unwrap();
    disk.crash(&mut zklink_mechanism::world::Seed(7));
    let kept = records_of(&disk);
    assert!(kept.len() >= 5 && kept[..] == all[..kept.len()], "{kept:?}");
}
