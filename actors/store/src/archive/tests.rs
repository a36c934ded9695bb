//! The archive: fold, catch-up after losses, readers, the real store, a killed process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tempfile::tempdir;
use zklink::amount::Amount;
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Owner, Serial, SubAccountId, TokenId};
use zklink::op::{Deposit, Op};
use zklink::shape::{NANO, SMALL};
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::Port;
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::Config;
use zklink_mechanism::world::{Seed, World};

use super::parity::ParityStore;
use super::*;
use crate::journal::disk::FileDisk;
use crate::journal::segment::{SEGMENT_BYTES, SegmentLog};
use crate::journal::{Append, Journal, Waiter};
use crate::record::{self, AcceptedDeposit, Body, Executed, FinalDeposit, Seal, Source};
use crate::simulation::SimDisk;
use crate::simulation::SimStore;

const POLICY: Config =
    Config { backoff_first_ms: 100, backoff_max_ms: 1_000, failures_max: 3, window_ms: 60_000 };

/// Test records: every tenth is a block, the others a transaction of account `position % 3`.
fn fold() -> Fold {
    Box::new(|record| {
        if record.payload == b"nonsense" {
            return Err("not a record of the test".to_owned());
        }
        let position = u32::try_from(record.position).unwrap();
        if position % 10 == 9 {
            let number = BlockNumber(position / 10 + 1);
            return Ok(vec![Entry::Block { number, bytes: record.payload.clone() }]);
        }
        let hash = hash(record.position);
        let place =
            TxPlace::Included { block: BlockNumber(position / 10 + 1), index: position % 10 };
        let account = AccountId(position % 3);
        Ok(vec![Entry::Transaction { hash, place }, Entry::AccountTransaction { account, hash }])
    })
}

fn hash(position: u64) -> TxHash {
    let mut hash = [0xaa; 32];
    hash[..8].copy_from_slice(&position.to_be_bytes());
    hash
}

fn log_with(records: u64) -> SegmentLog<SimDisk> {
    let (mut log, _) = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES).unwrap();
    write(&mut log, records);
    log
}

fn write(log: &mut dyn Log, records: u64) {
    let start = log.end();
    let payload = |position: u64| format!("record {position}").into_bytes();
    log.append((start..start + records).map(payload).collect()).unwrap();
}

fn open(store: &SimStore, log: &mut dyn Log) -> Result<(Archive, u64), ArchiveFault> {
    Archive::open(Arc::new(store.clone()), fold(), log)
}

#[test]
fn an_empty_store_is_filled_from_the_journal() {
    let mut log = log_with(700);
    let (archive, caught_up) = open(&SimStore::new(), &mut log).unwrap();
    assert_eq!(caught_up, 700);
    let reader = archive.reader();
    assert_eq!(reader.applied().unwrap().unwrap().next, 700);
    assert_eq!(reader.head().unwrap(), Some(BlockNumber(70)));
    let stored = |number: u32| {
        reader.store().get(Column::Blocks, &entry::block_key(BlockNumber(number))).unwrap()
    };
    assert_eq!((stored(3).unwrap(), stored(71)), (b"record 29".to_vec(), None));
    assert!(matches!(reader.body(BlockNumber(3)), Err(ArchiveError::Malformed(Column::Blocks))));
    let place = TxPlace::Included { block: BlockNumber(2), index: 4 };
    assert_eq!(reader.transaction(&hash(14)).unwrap(), Some(place));
    assert_eq!(reader.transaction(&hash(9)).unwrap(), None);
}

#[test]
fn a_history_is_read_in_bounded_pages_newest_first() {
    let (archive, _) = open(&SimStore::new(), &mut log_with(1_000)).unwrap();
    let reader = archive.reader();
    let account = AccountId(1);
    let all: Vec<_> =
        (0..1_000).filter(|place| place % 10 != 9 && place % 3 == 1).map(hash).collect();
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = reader.account_transactions(account, before, 1_000_000).unwrap();
        assert_eq!(page.total, 300);
        assert!(page.transactions.len() <= reader::PAGE_MAX);
        let Some((place, _)) = page.transactions.last() else { break };
        before = Some(*place);
        found.extend(page.transactions);
    }
    let mut expected: Vec<_> = (0..300).zip(all).collect();
    expected.reverse();
    assert_eq!(found, expected);
    let page = reader.account_transactions(account, Some(u64::MAX), 2).unwrap();
    assert_eq!(page.transactions, expected[..2]);
    assert_eq!(reader.account_transactions(AccountId(9), None, 10).unwrap().total, 0);
}

/// The record of a deposit that was credited to account 2.
fn executed(deposit: &FinalDeposit) -> record::Record {
    let FinalDeposit { chain, token, owner, sub_account, amount, .. } = *deposit;
    let account = AccountId(2);
    let op = Deposit { chain, account, sub_account, token, amount, owner, refused: false };
    let accepted = AcceptedDeposit { deposit: deposit.clone(), account, refused: None, time: 0 };
    let (op, source) = (Op::Deposit(op), Source::Deposit(accepted));
    record::Record::Executed(Executed { op, source })
}

fn deposit(serial: u64) -> FinalDeposit {
    FinalDeposit {
        chain: ChainId(2),
        serial: Serial(serial),
        token: TokenId(17),
        payer: Owner::from_evm([8; 20]),
        owner: Owner::from_evm([9; 20]),
        sub_account: SubAccountId(0),
        amount: Amount(5),
        l1_tx: [7; 32],
        l1_block: 7,
    }
}

/// A block is made of the records since the one before, also of those that came before a restart.
#[test]
fn a_block_has_the_operations_since_the_last_one_wherever_the_store_was_opened_again() {
    let mut log = log_with(0);
    let store = SimStore::new();
    let seal = |number: u32| Seal { number: BlockNumber(number), timestamp: 9, shape: SMALL };
    let mut expected = Vec::new();
    for number in 1..6 {
        let serials = u64::from(number) * 10..u64::from(number) * 11 + 1;
        let records: Vec<record::Record> =
            serials.map(|serial| executed(&deposit(serial))).collect();
        let open: Vec<Executed> = records
            .iter()
            .map(|record| match record {
                record::Record::Executed(executed) => executed.clone(),
                _ => unreachable!("only those"),
            })
            .collect();
        expected.push(Body { seal: seal(number), executed: open });
        for record in records.into_iter().chain([record::Record::Sealed(seal(number))]) {
            log.append(vec![record.encode()]).unwrap();
            drop(Archive::open(Arc::new(store.clone()), crate::fold::fold(), &mut log).unwrap());
        }
    }
    store.lose_after(7);
    let opened = Archive::open(Arc::new(store.clone()), crate::fold::fold(), &mut log);
    let (mut archive, _) = opened.unwrap();
    let reader = archive.reader();
    for (number, body) in (1..).zip(&expected) {
        let number = BlockNumber(number);
        assert_eq!(reader.body(number).unwrap().as_ref(), Some(body));
        assert_eq!(reader.block(number).unwrap(), None, "its roots are not known");
    }
    assert_eq!((reader.rooted().unwrap(), reader.root(BlockNumber(0)).unwrap()), (None, None));
    let root = |number: u32| Fr::from(u64::from(number) + 100);
    let made = |range: std::ops::Range<u32>| {
        range.map(|block| Made::Root { block: BlockNumber(block), root: root(block) }).collect()
    };
    archive.keep(made(0..3)).unwrap();
    assert_eq!(reader.rooted().unwrap(), Some(BlockNumber(2)));
    archive.keep(made(1..2)).unwrap();
    assert_eq!(reader.rooted().unwrap(), Some(BlockNumber(2)), "made again");
    let block = reader.block(BlockNumber(2)).unwrap().unwrap();
    assert_eq!(block, expected[1].clone().between(root(1), root(2)));
    assert_eq!(reader.block(BlockNumber(3)).unwrap(), None);
    assert_eq!(reader.block(BlockNumber(0)).unwrap(), None);
}

/// The archive refuses what no block can be; the node stops.
#[test]
fn a_seal_of_a_shape_without_room_has_no_meaning() {
    let mut log = log_with(0);
    let records = (0..9).map(|serial| executed(&deposit(serial)).encode());
    log.append(records.collect()).unwrap();
    let seal = Seal { number: BlockNumber(1), timestamp: 9, shape: NANO };
    log.append(vec![record::Record::Sealed(seal).encode()]).unwrap();
    let opened = Archive::open(Arc::new(SimStore::new()), crate::fold::fold(), &mut log);
    let error = opened.err().unwrap();
    assert!(matches!(error, ArchiveFault::Meaning { position: 9, .. }), "{error}");
}

#[test]
fn the_deposits_of_a_transaction_are_listed_in_their_order_also_after_a_rebuild() {
    // Every second one is of one transaction, each of the others of its own.
    let l1_tx = |serial: u64| if serial.is_multiple_of(2) { [1; 32] } else { hash(serial) };
    let deposit = |serial: u64| FinalDeposit { l1_tx: l1_tx(serial), ..deposit(serial) };
    let deposits: Vec<FinalDeposit> = (0..500).map(deposit).collect();
    let payload = |deposit: &FinalDeposit| executed(deposit).encode();
    let mut log = log_with(0);
    log.append(deposits.iter().map(payload).collect()).unwrap();
    let store = SimStore::new();
    for kept_batches in [0, 1, 0] {
        store.lose_after(kept_batches);
        let fold = crate::fold::fold();
        let (archive, _) = Archive::open(Arc::new(store.clone()), fold, &mut log).unwrap();
        let reader = archive.reader();
        let mut found = Vec::new();
        loop {
            let from = u64::try_from(found.len()).unwrap();
            let page = reader.deposits_of(&[1; 32], from, 1_000_000).unwrap();
            assert_eq!(page.total, 250);
            assert!(page.transactions.len() <= reader::PAGE_MAX);
            if page.transactions.is_empty() {
                break;
            }
            found.extend(page.transactions);
        }
        let expected = deposits.iter().step_by(2).map(|deposit| deposit.hash().0);
        assert_eq!(found, (0..).zip(expected).collect::<Vec<_>>());
        let one = reader.deposits_of(&hash(3), 0, 10).unwrap();
        assert_eq!((one.total, one.transactions), (1, vec![(0, deposits[3].hash().0)]));
        assert_eq!(reader.deposits_of(&[7; 32], 0, 10).unwrap().total, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever suffix of its batches the store loses, and however often: after the next start it
    /// is the same store.
    #[test]
    fn a_store_that_lost_its_last_batches_is_caught_up_to_the_same_content(seed: u64) {
        let mut chance = Seed(seed);
        let store = SimStore::new();
        let mut log = log_with(0);
        for _ in 0..5 {
            write(&mut log, chance.below(600));
            open(&store, &mut log).unwrap();
            store.lose_after(chance.below_usize(store.batches() + 1));
        }
        open(&store, &mut log).unwrap();
        let whole = SimStore::new();
        open(&whole, &mut log).unwrap();
        prop_assert_eq!(store.entries(), whole.entries());
    }
}

#[test]
fn a_store_that_is_ahead_of_its_journal_is_refused() {
    let store = SimStore::new();
    open(&store, &mut log_with(20)).unwrap();
    let error = open(&store, &mut log_with(19)).err().unwrap();
    assert!(matches!(error, ArchiveFault::AheadOfJournal { applied: 20, end: 19 }), "{error}");
}

#[test]
fn a_store_of_another_journal_is_refused() {
    let store = SimStore::new();
    open(&store, &mut log_with(20)).unwrap();
    let (mut other, _) = SegmentLog::open(SimDisk::new(), b"test", SEGMENT_BYTES).unwrap();
    other.append(vec![b"something else".to_vec(); 30]).unwrap();
    let error = open(&store, &mut other).err().unwrap();
    assert!(matches!(error, ArchiveFault::OtherJournal { position: 20 }), "{error}");
}

#[test]
fn a_record_without_meaning_stops_the_node_and_is_not_skipped() {
    let mut log = log_with(5);
    log.append(vec![b"nonsense".to_vec()]).unwrap();
    let error = open(&SimStore::new(), &mut log).err().unwrap();
    assert!(matches!(error, ArchiveFault::Meaning { position: 5, .. }), "{error}");
}

#[test]
fn the_newest_snapshots_are_kept_and_one_for_whoever_makes_witnesses() {
    let store = SimStore::new();
    let (mut archive, _) = open(&store, &mut log_with(10)).unwrap();
    let mut keep = |block, proven| {
        let bytes = vec![u8::try_from(block).unwrap(); 3];
        let (block, proven) = (BlockNumber(block), BlockNumber(proven));
        archive.keep(vec![Made::Snapshot { block, proven, bytes }]).unwrap();
        let listed = archive.reader().snapshots().unwrap();
        assert_eq!(listed.proven, proven);
        let kept: Vec<u32> = listed.kept.iter().map(|block| block.0).collect();
        for block in 0..100 {
            let stored = archive.reader().snapshot(BlockNumber(block)).unwrap();
            assert_eq!(stored.is_some(), kept.contains(&block), "block {block} of {kept:?}");
        }
        kept
    };
    assert_eq!(keep(10, 2), [10]);
    assert_eq!(keep(20, 15), [10, 20]);
    assert_eq!(keep(30, 15), [10, 20, 30]);
    assert_eq!(keep(40, 15), [10, 20, 30, 40], "10 is not behind block 15");
    assert_eq!(keep(50, 22), [20, 30, 40, 50]);
    assert_eq!(keep(60, 55), [40, 50, 60]);
    assert_eq!(keep(45, 55), [40, 45], "made again after those above it were given up");
}

#[test]
fn the_blocks_of_a_chain_are_found_from_any_block_on() {
    let fold: Fold = Box::new(|record| {
        let number = BlockNumber(u32::try_from(record.position).unwrap() + 1);
        let mut entries = vec![Entry::Block { number, bytes: Vec::new() }];
        if number.0 % 7 == 3 {
            let content = [number.0.to_be_bytes()[3]; 32];
            entries.push(Entry::ChainBlock { chain: ChainId(2), number, content });
        }
        entries.push(Entry::Key { bytes: vec![1, 2] });
        Ok(entries)
    });
    let mut log = log_with(300);
    let (archive, _) = Archive::open(Arc::new(SimStore::new()), fold, &mut log).unwrap();
    let reader = archive.reader();
    for after in 0..305 {
        let expected = (after + 1..=300).find(|number| number % 7 == 3).map(BlockNumber);
        let found = reader.next_of_chain(ChainId(2), BlockNumber(after)).unwrap();
        assert_eq!(found, expected, "after {after}");
        assert_eq!(reader.next_of_chain(ChainId(1), BlockNumber(after)).unwrap(), None);
    }
    let mut rolling = [0; 32];
    for number in 1..=300 {
        if number % 7 == 3 {
            let content = [u8::try_from(number % 256).unwrap(); 32];
            rolling = zklink::block::rolling_content(rolling, BlockNumber(number), content);
        }
        let found = reader.rolling(ChainId(2), BlockNumber(number)).unwrap();
        assert_eq!(found, Some(rolling), "after {number}");
    }
    assert_eq!(reader.rolling(ChainId(1), BlockNumber(300)).unwrap(), Some([0; 32]));
    assert_eq!(reader.rolling(ChainId(2), BlockNumber(301)).unwrap(), None);
    assert_eq!(reader.key(299).unwrap(), Some((299, vec![1, 2])));
    assert_eq!(reader.key(300).unwrap(), None);
    let record = log.read(41, 1).unwrap().remove(0);
    let applied = Applied { next: 42, chain: record.chain };
    assert_eq!(reader.seal(BlockNumber(42)).unwrap(), Some(applied));
}

#[test]
fn a_gap_and_a_failing_store_stop_the_node() {
    let world = World::new(1, POLICY);
    let mut log = log_with(5);
    let (archive, _) = open(&SimStore::new(), &mut log).unwrap();
    let apply: Port<Durable> = world.start("archive", 8, Origin::Once(archive)).port();
    write(&mut log, 2);
    apply.tell(Durable { records: log.read(6, 1).unwrap() }).unwrap();
    world.run_until(|| world.stopped().is_some(), 1_000).unwrap();
    assert!(world.stopped().unwrap().contains("record 6 came where 5 was due"));

    let world = World::new(1, POLICY);
    let store = SimStore::new();
    let (archive, _) = open(&store, &mut log).unwrap();
    let keep: Port<Keep> = world.start("archive", 8, Origin::Once(archive)).port();
    store.fail();
    keep.tell(Keep { made: vec![Made::Proof { block: BlockNumber(1), bytes: vec![1] }] }).unwrap();
    world.run_until(|| world.stopped().is_some(), 1_000).unwrap();
    assert!(world.stopped().unwrap().contains("simulated failure"));
}

#[test]
fn blocks_must_follow_each_other() {
    let fold: Fold = Box::new(|record| {
        let number = BlockNumber(1 + 2 * u32::try_from(record.position).unwrap());
        Ok(vec![Entry::Block { number, bytes: Vec::new() }])
    });
    let error = Archive::open(Arc::new(SimStore::new()), fold, &mut log_with(2)).err().unwrap();
    let (head, found) = (BlockNumber(1), BlockNumber(3));
    assert!(
        matches!(error, ArchiveFault::BlockGap { head: h, found: f } if (h, f) == (head, found))
    );
}

#[test]
fn journal_and_archive_run_together_and_restart() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let mut total = 0;
    for seed in 0..3 {
        let world = World::new(seed, POLICY);
        let (mut log, _) = SegmentLog::open(disk.clone(), b"test", SEGMENT_BYTES).unwrap();
        let (archive, _) = open(&store, &mut log).unwrap();
        let reader = archive.reader();
        let archive = world.start("archive", 4, Origin::Once(archive));
        let journal = Journal::new(Box::new(log), archive.port());
        let append: Port<Append> = world.start("journal", 64, Origin::Once(journal)).port();
        for count in 0..50 {
            append.tell(Append::new(vec![count], Vec::new()).unwrap()).unwrap();
            world.run_for(u64::from(count % 3));
        }
        total += 50;
        let applied = || reader.applied().unwrap().map_or(0, |applied| applied.next);
        world.run_until(|| applied() == total, 1_000).unwrap();
        assert_eq!(world.stopped(), None);
        // The process dies: the store loses half of what it committed, the journal nothing.
        store.lose_after(store.batches() / 2);
    }
}

// The real store.

fn parity(path: &Path, log: &mut dyn Log) -> Archive {
    let store = Arc::new(ParityStore::open(path).unwrap());
    Archive::open(store, fold(), log).unwrap().0
}

#[test]
fn the_real_store_holds_what_the_simulated_one_holds_also_when_it_is_opened_again() {
    let folder = tempdir().unwrap();
    let mut log = log_with(700);
    let simulated = SimStore::new();
    let (mut reference, _) = open(&simulated, &mut log).unwrap();
    let mut archive = parity(folder.path(), &mut log);
    let (block, proven) = (BlockNumber(70), BlockNumber(7));
    let watched = Watched { block: 1 << 40, hash: [3; 32], next: zklink::id::Serial(5) };
    let made = vec![
        Made::Proof { block: BlockNumber(7), bytes: vec![1; 192] },
        Made::Snapshot { block, proven, bytes: vec![9; 40 << 20] },
        Made::Watched { chain: ChainId(2), to: watched },
    ];
    reference.keep(made.clone()).unwrap();
    archive.keep(made).unwrap();
    drop(archive);
    let reopened = parity(folder.path(), &mut log);
    for ((column, key), value) in simulated.entries() {
        let found = reopened.reader().store().get(column, &key).unwrap();
        assert!(found == Some(value), "{column:?} {key:?}");
    }
    assert_eq!(reopened.reader().watched(ChainId(2)).unwrap(), Some(watched));
    let error = ParityStore::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("another node"), "{error}");
}

/// The environment variable by which the test below starts itself as the process that is killed.
const VICTIM: &str = "ZKLINK_TEST_VICTIM";

/// Writes records without end and prints how many are acknowledged, until it is killed.
fn be_the_victim(folder: &Path) {
    let disk = FileDisk::open(&folder.join("journal")).unwrap();
    let (mut log, _) = SegmentLog::open(disk, b"test", SEGMENT_BYTES).unwrap();
    let archive = parity(&folder.join("store"), &mut log);
    let world = World::new(1, POLICY);
    let archive = world.start("archive", 1_000, Origin::Once(archive));
    let journal = Journal::new(Box::new(log), archive.port());
    let append: Port<Append> = world.start("journal", 1_000, Origin::Once(journal)).port();
    loop {
        for _ in 0..100 {
            let waiter = Waiter::new(|position| println!("\nacknowledged {position}"));
            append.tell(Append::new(vec![5; 300], vec![waiter]).unwrap()).unwrap();
        }
        world.run_for(20);
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    if let Some(folder) = std::env::var_os(VICTIM) {
        return be_the_victim(Path::new(&folder));
    }
    let folder = tempdir().unwrap();
    let mut acknowledged = 0;
    for kill_after in [300, 700] {
        let name = "archive::tests::a_killed_process_loses_nothing_that_it_acknowledged";
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            if let Some(position) = line.strip_prefix("acknowledged ") {
                acknowledged = position.parse::<u64>().unwrap() + 1;
                seen += 1;
                if seen == kill_after {
                    victim.kill().unwrap();
                }
            }
        }
        victim.wait().unwrap();
        assert!(seen >= kill_after, "the victim worked: {seen}");

        let disk = FileDisk::open(&folder.path().join("journal")).unwrap();
        let (mut log, _) = SegmentLog::open(disk, b"test", SEGMENT_BYTES).unwrap();
        assert!(log.end() >= acknowledged, "{} of {acknowledged}", log.end());
        let archive = parity(&folder.path().join("store"), &mut log);
        let simulated = SimStore::new();
        open(&simulated, &mut log).unwrap();
        for ((column, key), value) in simulated.entries() {
            let found = archive.reader().store().get(column, &key).unwrap();
            assert!(found == Some(value), "{column:?} {key:?}");
        }
    }
}
