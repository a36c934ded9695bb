//! The journal: group commit in the World, torn writes, damage, faults of the disk, the real folder.

use proptest::prelude::*;
use tempfile::tempdir;
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::{Pending, Unanswered};
use zklink_mechanism::probe::Sink;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::Config;
use zklink_mechanism::world::{MachineRef, Seed, World};

use super::disk::{Disk, FileDisk};
use super::log::{HEADER_BYTES, genesis_chain};
use super::segment::{Cut, Opened, SEGMENT_BYTES, SegmentLog};
use super::*;
use crate::simulation::{SimDisk, SimFault};

const FIRST: &str = "00000000000000000000.log";
const SEGMENT_HEADER: usize = 52;
const POLICY: Config =
    Config { backoff_first_ms: 100, backoff_max_ms: 1_000, failures_max: 3, window_ms: 60_000 };

fn open(disk: &SimDisk) -> Result<(SegmentLog<SimDisk>, Opened), LogError> {
    SegmentLog::open(disk.clone(), b"test", SEGMENT_BYTES)
}

/// Appends groups and returns the disk; each group is one sync.
fn disk_with(groups: &[&[&str]]) -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for group in groups {
        log.append(group.iter().map(|payload| payload.as_bytes().to_vec()).collect()).unwrap();
    }
    disk
}

fn payloads(log: &mut dyn Log) -> Vec<String> {
    let mut found = Vec::new();
    replay(log, 0, |record| {
        assert_eq!(record.position, u64::try_from(found.len()).unwrap());
        found.push(String::from_utf8(record.payload).unwrap());
        Ok::<_, LogError>(())
    })
    .unwrap();
    found
}

fn damage(disk: &SimDisk, at: usize) {
    let mut bytes = disk.bytes(FIRST);
    bytes[at] ^= 0x40;
    disk.set_bytes(FIRST, bytes);
}

#[test]
fn records_come_back_in_order_with_their_chain() {
    let disk = disk_with(&[&["a", "b"], &["c"], &[""]]);
    let (mut log, opened) = open(&disk).unwrap();
    assert_eq!(opened, Opened { records: 4, cut: None });
    assert_eq!(payloads(&mut log), ["a", "b", "c", ""]);
    let tail = log.read(2, 1).unwrap();
    assert_eq!((tail.len(), tail[0].position, &tail[0].payload[..]), (1, 2, &b"c"[..]));
    assert_eq!(log.read(4, 10).unwrap(), []);
    assert_eq!(log.start(), genesis_chain(b"test"));
}

/// The form of a record on disk, byte by byte: a change of it needs a new magic.
#[test]
fn the_form_on_disk_is_pinned() {
    let disk = disk_with(&[&["hello"]]);
    let bytes = disk.bytes(FIRST);
    assert_eq!(&bytes[..16], b"zkljrnl1\0\0\0\0\0\0\0\0");
    assert_eq!(bytes[16..48], genesis_chain(b"test"));
    let record = &bytes[SEGMENT_HEADER..];
    assert_eq!(record.len(), HEADER_BYTES + 5);
    assert_eq!(record[..4], 5u32.to_le_bytes());
    assert_eq!(record[8..24], [0; 16], "position and group");
    let chain = log::next_chain(&genesis_chain(b"test"), 0, b"hello");
    assert_eq!(record[24..56], chain);
    assert_eq!(&record[56..], b"hello");
}

#[test]
fn a_last_record_that_is_torn_at_any_byte_is_cut_and_reported() {
    let whole = disk_with(&[&["first"], &["second"]]);
    let bytes = whole.bytes(FIRST);
    let last = bytes.len() - HEADER_BYTES - "second".len();
    for length in last..bytes.len() {
        let disk = SimDisk::new();
        disk.set_bytes(FIRST, bytes[..length].to_vec());
        let (mut log, opened) = open(&disk).unwrap();
        let cut = (length > last).then(|| Cut {
            segment: FIRST.to_owned(),
            length: u64::try_from(last).unwrap(),
            bytes: u64::try_from(length - last).unwrap(),
        });
        assert_eq!(opened, Opened { records: 1, cut }, "torn at {length}");
        log.append(vec![b"again".to_vec()]).unwrap();
        assert_eq!(payloads(&mut open(&disk).unwrap().0), ["first", "again"]);
    }
}

#[test]
fn a_last_group_with_any_wrong_byte_is_cut_to_an_intact_prefix() {
    let whole = disk_with(&[&["first"], &["second", "third"]]);
    let start = SEGMENT_HEADER + HEADER_BYTES + "first".len();
    let third = start + HEADER_BYTES + "second".len();
    let length = whole.bytes(FIRST).len();
    for at in start..length {
        let disk = SimDisk::new();
        disk.set_bytes(FIRST, whole.bytes(FIRST));
        damage(&disk, at);
        let (_, opened) = open(&disk).unwrap();
        let kept = if at < third { 1 } else { 2 };
        assert_eq!(opened.records, kept, "byte {at} wrong");
        let cut = opened.cut.unwrap();
        assert_eq!(cut.bytes + cut.length, u64::try_from(length).unwrap());
    }
}

#[test]
fn damage_before_a_later_group_is_refused_at_every_byte_and_changes_nothing() {
    let whole = disk_with(&[&["first"], &["second"], &["third"]]);
    let second = SEGMENT_HEADER + HEADER_BYTES + "first".len();
    let third = second + HEADER_BYTES + "second".len();
    for at in 0..third {
        let disk = SimDisk::new();
        disk.set_bytes(FIRST, whole.bytes(FIRST));
        damage(&disk, at);
        let before = disk.bytes(FIRST);
        let error = open(&disk).err().unwrap_or_else(|| panic!("byte {at} went unnoticed"));
        let (record, start) = match at {
            0..SEGMENT_HEADER => (0, 0),
            _ if at < second => (0, SEGMENT_HEADER),
            _ => (1, second),
        };
        match error {
            LogError::Corrupt { position, offset, .. } => {
                assert_eq!((position, offset), (record, u64::try_from(start).unwrap()));
            }
            other => panic!("byte {at}: {other}"),
        }
        assert_eq!(disk.bytes(FIRST), before, "a refused journal is left for inspection");
    }
}

#[test]
fn a_record_that_was_exchanged_is_refused_although_its_checksum_is_right() {
    let disk = disk_with(&[&["aaaa"], &["bbbb"], &["cccc"]]);
    let other = disk_with(&[&["aaaa"], &["BBBB"], &["cccc"]]);
    let start = SEGMENT_HEADER + HEADER_BYTES + 4;
    let end = start + HEADER_BYTES + 4;
    let mut bytes = disk.bytes(FIRST);
    bytes[start..end].copy_from_slice(&other.bytes(FIRST)[start..end]);
    disk.set_bytes(FIRST, bytes);
    let error = open(&disk).err().unwrap();
    assert!(
        matches!(error, LogError::Corrupt { position: 2, reason: "chain differs", .. }),
        "{error}"
    );
}

#[test]
fn segments_follow_each_other_and_a_missing_one_is_refused() {
    let disk = SimDisk::new();
    let (mut log, _) = SegmentLog::open(disk.clone(), b"test", 150).unwrap();
    for count in 0..10 {
        log.append(vec![format!("record {count}").into_bytes()]).unwrap();
    }
    let names = disk.clone().list().unwrap();
    assert!(names.len() > 3, "{names:?}");
    let (mut log, opened) = SegmentLog::open(disk.clone(), b"test", 150).unwrap();
    assert_eq!(opened, Opened { records: 10, cut: None });
    assert_eq!(payloads(&mut log).len(), 10);
    assert_eq!(log.read(7, 1).unwrap()[0].payload, b"record 7");
    assert_eq!(log.read(3, 1).unwrap()[0].payload, b"record 3", "reading goes back, too");

    let torn = disk.bytes(&names[1]);
    disk.set_bytes(&names[1], torn[..torn.len() - 1].to_vec());
    let error = open(&disk).err().unwrap();
    assert!(
        matches!(error, LogError::Corrupt { .. }),
        "only the last segment may be torn: {error}"
    );

    let without = SimDisk::new();
    for name in names.iter().filter(|name| **name != names[1]) {
        without.set_bytes(name, disk.bytes(name));
    }
    assert!(matches!(open(&without).err().unwrap(), LogError::Missing { expected: 2, .. }));
}

#[test]
fn the_journal_of_another_deployment_is_refused() {
    let disk = disk_with(&[&["a"]]);
    let error = SegmentLog::open(disk, b"other", SEGMENT_BYTES).err().unwrap();
    assert!(matches!(error, LogError::Foreign), "{error}");
}

#[test]
fn large_records_are_read_whole_and_larger_ones_refused() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    let large = vec![7; RECORD_BYTES_MAX];
    log.append(vec![large.clone(), b"small".to_vec()]).unwrap();
    let (mut log, _) = open(&disk).unwrap();
    let mut sizes = Vec::new();
    replay(&mut log, 0, |record| {
        sizes.push(record.payload.len());
        Ok::<_, LogError>(())
    })
    .unwrap();
    assert_eq!(sizes, [RECORD_BYTES_MAX, 5]);
    let refused = Append::new(vec![0; RECORD_BYTES_MAX + 1], Vec::new()).unwrap_err();
    assert_eq!(refused, RecordTooLarge(RECORD_BYTES_MAX + 1));
}

#[test]
fn a_real_folder_is_locked_durable_and_readable() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("journal");
    let (mut log, _) =
        SegmentLog::open(FileDisk::open(&path).unwrap(), b"test", SEGMENT_BYTES).unwrap();
    log.append(vec![b"a".to_vec(), b"b".to_vec()]).unwrap();
    let error = FileDisk::open(&path).unwrap_err();
    assert!(matches!(error, LogError::Locked(_)), "{error}");
    drop(log);

    let last = path.join(FIRST);
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    std::fs::write(path.join("unfinished"), b"left by a crash").unwrap();
    let (mut log, opened) =
        SegmentLog::open(FileDisk::open(&path).unwrap(), b"test", SEGMENT_BYTES).unwrap();
    assert_eq!(opened.records, 1);
    log.append(vec![b"c".to_vec()]).unwrap();
    assert_eq!(payloads(&mut log), ["a", "c"]);
}

#[test]
fn the_simulated_disk_and_the_folder_hold_the_same_bytes() {
    let folder = tempdir().unwrap();
    let disk = FileDisk::open(folder.path()).unwrap();
    let (mut log, _) = SegmentLog::open(disk, b"test", SEGMENT_BYTES).unwrap();
    log.append(vec![b"first".to_vec()]).unwrap();
    log.append(vec![b"second".to_vec(), b"third".to_vec()]).unwrap();
    let simulated = disk_with(&[&["first"], &["second", "third"]]);
    assert_eq!(std::fs::read(folder.path().join(FIRST)).unwrap(), simulated.bytes(FIRST));
}

#[cfg(unix)]
#[test]
fn nobody_else_looks_into_a_folder_that_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempdir().unwrap();
    let inner = folder.path().join("data/journal");
    drop(FileDisk::open(&inner).unwrap());
    for made in [inner.as_path(), &folder.path().join("data")] {
        assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

// The machine, in the World.

struct Life {
    world: World,
    journal: MachineRef<Journal>,
    archive: MachineRef<Sink<Durable>>,
}

fn live(disk: &SimDisk, seed: u64, archive_capacity: usize) -> Life {
    let world = World::new(seed, POLICY);
    let archive = world.start("archive", archive_capacity, Origin::Once(Sink(Vec::new())));
    let (log, _) = open(disk).unwrap();
    let machine = Journal::new(Box::new(log), archive.port());
    let journal = world.start("journal", 1024, Origin::Once(machine));
    Life { world, journal, archive }
}

impl Life {
    fn append(&self, payload: &str) -> Result<Pending<u64>, Refused<Append>> {
        let (reply, pending) = ReplyTo::new();
        let waiter = Waiter::new(move |position| reply.answer(position));
        let append = Append::new(payload.as_bytes().to_vec(), vec![waiter]).unwrap();
        self.journal.port().tell(append).map(|()| pending)
    }

    fn applied(&self) -> Vec<u64> {
        let positions = |sink: &Sink<Durable>| {
            sink.0.iter().flat_map(|apply| &apply.records).map(|record| record.position).collect()
        };
        self.archive.inspect(positions).unwrap()
    }
}

#[test]
fn a_burst_is_one_group_with_one_sync_and_every_waiter_is_answered() {
    let disk = SimDisk::new();
    let life = live(&disk, 1, 64);
    let pending: Vec<_> = (0..100).map(|_| life.append("x").unwrap()).collect();
    for (pending, position) in pending.into_iter().zip(0..) {
        assert_eq!(life.world.answer(pending, 1_000), Ok(position));
    }
    // Messages come within a few milliseconds of each other, so that the box empties seldom.
    assert!(disk.syncs() <= 4, "{} syncs for 100 records", disk.syncs());
    life.world.run_for(50);
    assert_eq!(life.applied(), (0..100).collect::<Vec<_>>());
}

#[test]
fn the_archive_is_told_only_what_is_durable_and_the_reply_comes_after() {
    let disk = SimDisk::new();
    let life = live(&disk, 1, 64);
    disk.fail_at(1, SimFault::SyncFails);
    let pending = life.append("x").unwrap();
    assert_eq!(life.world.answer(pending, 1_000), Err(Unanswered::Dropped));
    assert_eq!(life.applied(), Vec::<u64>::new());
}

#[test]
fn every_fault_of_the_disk_stops_the_node_and_closes_the_port() {
    for (fault, write) in
        [(SimFault::NoSpace, 0), (SimFault::ShortWrite, 0), (SimFault::SyncFails, 1)]
    {
        let disk = SimDisk::new();
        let life = live(&disk, 1, 64);
        let kept = life.append("kept").unwrap();
        assert_eq!(life.world.answer(kept, 1_000), Ok(0));
        disk.fail_at(write, fault);
        let lost = life.append("lost").unwrap();
        assert_eq!(life.world.answer(lost, 1_000), Err(Unanswered::Dropped), "{fault:?}");
        assert!(matches!(life.append("more"), Err(Refused::Closed(_))), "{fault:?}");
        life.world.run_until(|| life.world.stopped().is_some(), 1_000).unwrap();
        let reason = life.world.stopped().unwrap();
        assert!(reason.starts_with("journal cannot write: the journal could not"), "{reason}");

        disk.crash(&mut Seed(3));
        let (mut log, _) = open(&disk).unwrap();
        assert_eq!(payloads(&mut log)[0], "kept", "{fault:?}");
    }
}

/// Records whose sync failed can be read by the next process. What it counts must be there after a loss of power too:
/// somebody may be told of it.
#[test]
fn what_a_start_counts_is_on_the_disk() {
    for groups in [&[&["kept"][..], &["lost", "lost too"]][..], &[&["lost"]]] {
        let disk = SimDisk::new();
        let (mut log, _) = open(&disk).unwrap();
        let (last, before) = groups.split_last().unwrap();
        let bytes = |group: &[&str]| group.iter().map(|text| text.as_bytes().to_vec()).collect();
        for group in before {
            log.append(bytes(group)).unwrap();
        }
        disk.fail_at(1, SimFault::SyncFails);
        assert!(log.append(bytes(last)).is_err());
        drop(log);
        let counted = open(&disk).unwrap().1.records;
        assert_eq!(counted, groups.iter().map(|group| group.len() as u64).sum::<u64>());
        disk.crash(&mut Seed(1));
        let (mut log, opened) = open(&disk).unwrap();
        assert_eq!(opened, Opened { records: counted, cut: None });
        let written: Vec<&str> = groups.iter().flat_map(|group| group.iter().copied()).collect();
        assert_eq!(payloads(&mut log), written);
        // Without a start in between they are gone, and none of them was counted.
        let end = log.end();
        disk.fail_at(1, SimFault::SyncFails);
        assert!(log.append(vec![b"gone".to_vec()]).is_err());
        disk.crash(&mut Seed(1));
        assert_eq!(open(&disk).unwrap().1.records, end);
    }
}

#[test]
fn a_disk_that_cannot_write_the_end_again_opens_no_log() {
    let disk = disk_with(&[&["a"], &["b"]]);
    disk.fail_at(0, SimFault::SyncFails);
    let error = open(&disk).err().unwrap();
    assert!(error.to_string().contains("write the end of"), "{error}");
    assert_eq!(open(&disk).unwrap().1.records, 2);
}

#[test]
fn a_real_folder_is_the_same_after_its_end_was_written_again() {
    let folder = tempdir().unwrap();
    let again = || {
        let disk = FileDisk::open(folder.path()).unwrap();
        SegmentLog::open(disk, b"test", SEGMENT_BYTES).unwrap().0
    };
    again().append(vec![b"first".to_vec()]).unwrap();
    again().append(vec![b"second".to_vec(), b"third".to_vec()]).unwrap();
    let before = std::fs::read(folder.path().join(FIRST)).unwrap();
    assert_eq!(payloads(&mut again()), ["first", "second", "third"]);
    assert_eq!(std::fs::read(folder.path().join(FIRST)).unwrap(), before);
    again().append(vec![b"fourth".to_vec()]).unwrap();
    assert_eq!(payloads(&mut again()), ["first", "second", "third", "fourth"]);
}

#[test]
fn a_log_that_failed_once_never_writes_again() {
    let disk = SimDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    disk.fail_at(1, SimFault::SyncFails);
    assert!(matches!(log.append(vec![b"a".to_vec()]), Err(LogError::Io { .. })));
    assert!(matches!(log.append(vec![b"a".to_vec()]), Err(LogError::Poisoned)));
}

#[test]
fn a_slow_archive_gets_everything_in_order() {
    let disk = SimDisk::new();
    let life = live(&disk, 1, 1);
    life.world.filter(|delivery| match delivery.to {
        "archive" => zklink_mechanism::world::Verdict::Delay(40),
        _ => zklink_mechanism::world::Verdict::Pass,
    });
    for burst in 0..20 {
        let pending: Vec<_> = (0..5).map(|_| life.append("x").unwrap()).collect();
        life.world.run_for(burst);
        drop(pending);
    }
    life.world.run_until(|| life.applied().len() == 100, 10_000).unwrap();
    assert_eq!(life.applied(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_stop_writes_and_hands_over_everything() {
    let disk = SimDisk::new();
    let life = live(&disk, 1, 1);
    let pending: Vec<_> = (0..600).map(|_| life.append("x").unwrap()).collect();
    life.world.stop("journal", 1_000).unwrap();
    life.world.run_until(|| life.applied().len() == 600, 1_000).unwrap();
    for mut pending in pending {
        assert!(matches!(pending.poll_now(), Some(Ok(_))));
    }
    assert_eq!(payloads(&mut open(&disk).unwrap().0).len(), 600);
}

#[test]
fn a_stuck_archive_fills_the_journal_and_then_its_port() {
    let disk = SimDisk::new();
    let life = live(&disk, 1, 1);
    life.world.filter(|delivery| match delivery.to {
        "archive" => zklink_mechanism::world::Verdict::Delay(1_000_000),
        _ => zklink_mechanism::world::Verdict::Pass,
    });
    let mut taken = 0;
    let refused = loop {
        match life.append("x") {
            Ok(_) => taken += 1,
            Err(Refused::Full(append)) if taken > UNHANDED_MAX => break append,
            Err(Refused::Full(_)) => life.world.run_for(20),
            Err(refused) => panic!("{refused}"),
        }
        assert!(taken < 3 * UNHANDED_MAX, "no bound");
    };
    assert_eq!(refused.payload, b"x");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the moment of the power cut: what was acknowledged is there, in order.
    #[test]
    fn no_acknowledged_record_is_lost_in_a_crash(seed: u64) {
        let disk = SimDisk::new();
        let mut chance = Seed(seed);
        let mut acknowledged: Vec<String> = Vec::new();
        for life_number in 0..3 {
            let life = live(&disk, seed, 64);
            disk.fail_at(chance.below(20), SimFault::SyncFails);
            let mut waiting = Vec::new();
            for count in 0..chance.below(30) {
                let payload = format!("{life_number}/{count}");
                if let Ok(pending) = life.append(&payload) {
                    waiting.push((payload, pending));
                }
                life.world.run_for(chance.below(6));
            }
            let told = waiting.into_iter().filter_map(|(payload, mut pending)| {
                matches!(pending.poll_now(), Some(Ok(_))).then_some(payload)
            });
            acknowledged.extend(told);
            drop(life);
            disk.mend();
            if chance.below(2) == 0 {
                disk.crash(&mut chance);
            } else {
                // The process dies alone. What the next one counts, it may tell of.
                let counted = payloads(&mut open(&disk).unwrap().0);
                prop_assert!(acknowledged.iter().all(|payload| counted.contains(payload)));
                acknowledged = counted;
                disk.crash(&mut chance);
            }
            let mut found = payloads(&mut open(&disk).unwrap().0);
            found.retain(|payload| acknowledged.contains(payload));
            prop_assert_eq!(&found, &acknowledged);
        }
    }
}
