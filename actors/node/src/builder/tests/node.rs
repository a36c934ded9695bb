//! The builder with a real journal and archive in the World.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use zklink::amount::Amount;
use zklink::hash::Fr;
use zklink::id::SubAccountId;
use zklink::tx::SignedTx;
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::{Deliver, Envelope, Pending, Unanswered};
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor;
use zklink_mechanism::world::{Seed, World};
use zklink_store::archive::{Archive, ArchiveReader, TxPlace};
use zklink_store::journal::segment::{SEGMENT_BYTES, SegmentLog};
use zklink_store::journal::{Journal, log};
use zklink_store::simulation::SimStore;
use zklink_store::simulation::{SimDisk, SimFault};

use super::*;

/// A builder with its journal and archive in the World, on a disk that outlives them.
struct Node {
    world: World,
    builder: zklink_mechanism::world::MachineRef<Builder>,
    view: ViewReader,
    archive: ArchiveReader,
    blocked: Arc<AtomicBool>,
}

/// A journal port that can be shut.
struct Valve {
    blocked: Arc<AtomicBool>,
    port: Port<Append>,
}

impl Deliver<Append> for Valve {
    fn deliver(&self, envelope: Envelope<Append>) -> Result<(), Refused<Append>> {
        if self.blocked.load(SeqCst) {
            return Err(Refused::Full(envelope.message));
        }
        self.port.tell(envelope.message)
    }
}

fn start(disk: &SimDisk, store: &SimStore, config: Config) -> Node {
    let limits = supervisor::Config {
        backoff_first_ms: 10,
        backoff_max_ms: 100,
        failures_max: 3,
        window_ms: 1_000,
    };
    let world = World::new(1, limits);
    let (mut log, _) = SegmentLog::open(disk.clone(), b"test", SEGMENT_BYTES).expect("a disk");
    let fold = zklink_store::fold::fold();
    let opened = Archive::open(Arc::new(store.clone()), fold, &mut log);
    let (archive, _) = opened.expect("a store of this journal");
    let reader = archive.reader();
    let archive = world.start("archive", 1_024, Origin::Once(archive));
    let mut records = Vec::new();
    log::replay(&mut log, 0, |record: log::Record| {
        records.push(Record::decode(&record.payload).expect("own records"));
        Ok::<(), log::LogError>(())
    })
    .expect("a whole journal");
    let journal =
        world.start("journal", 1_024, Origin::Once(Journal::new(Box::new(log), archive.port())));
    let blocked = Arc::new(AtomicBool::new(false));
    let valve = Valve { blocked: Arc::clone(&blocked), port: journal.port() };
    let mut builder = Builder::new(config, ledger(), Port::new(valve));
    records.iter().for_each(|record| builder.replay(record).expect("own records"));
    let view = builder.reader();
    let builder = world.start("builder", 1_024, Origin::Once(builder));
    world.tick_every(100, builder.port());
    Node { world, builder, view, archive: reader, blocked }
}

impl Node {
    fn submit(&self, tx: SignedTx) -> Pending<Result<Receipt, Refusal>> {
        let (reply, pending) = ReplyTo::new();
        self.builder.port().tell(Submit { tx: checked(tx), reply }).expect("room");
        pending
    }

    fn send(&self, tx: SignedTx) -> Result<Receipt, Refusal> {
        self.world.answer(self.submit(tx), 5_000).expect("an answer")
    }

    fn credit(&self, deposit: FinalDeposit) -> Credited {
        let asked = self.builder.port().ask(Credit(deposit)).expect("room");
        self.world.answer(asked, 5_000).expect("an answer")
    }

    fn body(&self, number: u32) -> Body {
        let body = self.archive.body(BlockNumber(number)).expect("it reads");
        body.expect("it is there")
    }
}

fn alice_is_in(node: &Node) -> User {
    let alice = User::new(1);
    assert_eq!(node.credit(deposit(HUB, 0, alice.owner, 100 * UNIT)), Credited::Executed);
    node.send(alice.key_tx(ALICE, 0, Some(()))).expect("a key");
    alice
}

#[test]
fn what_was_acknowledged_survives_a_crash() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    for seed in 0..8 {
        let node = start(&disk, &store, Config::default());
        let alice = User::new(1);
        let base = u32::try_from(seed).expect("small") * 3;
        if seed == 0 {
            alice_is_in(&node);
        }
        let mut kept = Vec::new();
        for nonce in base..base + 3 {
            kept.push(node.send(alice.transfer(ALICE, nonce, User::new(2).owner, UNIT)));
        }
        // One more is under way when the power goes.
        let _lost = node.submit(alice.transfer(ALICE, base + 3, User::new(2).owner, UNIT));
        drop(node);
        disk.crash(&mut Seed(seed));
        store.lose_after(store.batches() / 2);

        let node = start(&disk, &store, Config::default());
        for receipt in kept {
            let receipt = receipt.expect("accepted");
            let place = node.archive.transaction(&receipt.hash.0).expect("it reads");
            assert!(place.is_some(), "{} was acknowledged", receipt.hash);
        }
        let nonce = node.view.read().state.sub_account(ALICE, SubAccountId(0)).map(|s| s.nonce.0);
        assert_eq!(nonce, Some(base + 3), "no more and no less than what was on disk");
    }
}

#[test]
fn a_restart_leads_to_the_same_state_and_open_block() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let alice = alice_is_in(&node);
    for nonce in 0..7 {
        node.send(alice.transfer(ALICE, nonce, User::new(2).owner, UNIT)).expect("affordable");
    }
    let state = node.view.read().state.clone();
    let open: Vec<_> = node.view.read().open.iter().map(|tx| tx.source.clone()).collect();
    drop(node);
    let node = start(&disk, &store, Config::default());
    assert_eq!(node.view.read().state, state);
    let reopened: Vec<_> = node.view.read().open.iter().map(|tx| tx.source.clone()).collect();
    assert_eq!(reopened, open);
}

#[test]
fn a_repeated_transaction_gets_the_same_receipt() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let alice = alice_is_in(&node);
    let tx = alice.transfer(ALICE, 0, User::new(2).owner, UNIT);
    node.blocked.store(true, SeqCst);
    let mut first = node.submit(tx.clone());
    let mut second = node.submit(tx.clone());
    node.world.run_for(200);
    assert!(first.poll_now().is_none(), "nothing is acknowledged before it is on disk");
    assert!(second.poll_now().is_none(), "also not to whoever asks again");
    node.blocked.store(false, SeqCst);
    let first = node.world.answer(first, 5_000).expect("an answer").expect("accepted");
    let second = node.world.answer(second, 5_000).expect("an answer").expect("accepted");
    assert_eq!(first, second);
    assert_eq!(node.send(tx.clone()), Ok(first));
    let balance = node.view.read().state.balance(BOB, SubAccountId(0), USD);
    assert_eq!(balance, Amount(UNIT), "it was executed once");
    drop(node);
    let node = start(&disk, &store, Config::default());
    assert_eq!(node.send(tx), Ok(first), "also after a restart");
}

#[test]
fn a_cursor_is_told_when_it_is_on_disk() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let ask = |chain| {
        let (reply, pending) = ReplyTo::new();
        node.builder.port().tell(DurableCursor { chain, reply }).expect("room");
        pending
    };
    assert_eq!(node.world.answer(ask(HUB), 5_000), Ok(Serial(0)), "nothing is waited for");
    node.blocked.store(true, SeqCst);
    assert_eq!(node.credit(deposit(HUB, 0, User::new(1).owner, UNIT)), Credited::Executed);
    let mut asked = ask(HUB);
    node.world.run_for(200);
    assert!(asked.poll_now().is_none(), "the deposit is not on disk");
    node.blocked.store(false, SeqCst);
    assert_eq!(node.world.answer(asked, 5_000), Ok(Serial(1)));
    assert_eq!(node.world.answer(ask(SPOKE), 5_000), Ok(Serial(0)));
}

#[test]
fn a_full_journal_leads_to_overload_and_back() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let config = Config { waiting_max: 3, block_age_max_ms: 1_000_000, ..Config::default() };
    let node = start(&disk, &store, config);
    let alice = alice_is_in(&node);
    let bob = User::new(2).owner;
    node.blocked.store(true, SeqCst);
    let waiting: Vec<_> =
        (0..6).map(|nonce| node.submit(alice.transfer(ALICE, nonce, bob, UNIT))).collect();
    node.world.run_for(100);
    let (reply, _pending) = ReplyTo::new();
    let more = Submit { tx: checked(alice.transfer(ALICE, 9, bob, UNIT)), reply };
    assert!(matches!(node.builder.port().tell(more), Err(Refused::Full(_))));
    node.blocked.store(false, SeqCst);
    let answers: Vec<_> = waiting
        .into_iter()
        .map(|pending| node.world.answer(pending, 5_000).expect("an answer"))
        .collect();
    assert!(answers[..3].iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(answers[3..], vec![Err(Refusal::Overloaded); 3]);
    node.send(alice.transfer(ALICE, 3, bob, UNIT)).expect("room again");
}

#[test]
fn a_failed_disk_stops_the_node_and_acknowledges_nothing() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let alice = alice_is_in(&node);
    disk.fail_at(0, SimFault::NoSpace);
    let pending = node.submit(alice.transfer(ALICE, 0, User::new(2).owner, UNIT));
    assert_eq!(node.world.answer(pending, 5_000), Err(Unanswered::Dropped));
    node.world.run_until(|| node.world.stopped().is_some(), 5_000).expect("it stops");
    let reason = node.world.stopped().expect("checked");
    assert!(reason.contains("journal"), "{reason}");
}

#[test]
fn deposits_are_executed_in_the_order_of_their_chain() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let owner = |number| User::new(number).owner;
    let units = |serial| deposit(HUB, serial, owner(u8::try_from(serial).unwrap() + 1), UNIT);
    assert_eq!(node.credit(units(2)), Credited::Waiting);
    assert_eq!(node.credit(units(1)), Credited::Waiting);
    assert_eq!(node.credit(deposit(SPOKE, 0, owner(9), UNIT)), Credited::Executed);
    assert_eq!(node.credit(units(0)), Credited::Executed);
    node.world.run_for(1_000);
    assert_eq!(node.view.read().state.cursor(HUB).0, 1, "what had to wait must be said again");
    for serial in 1..4 {
        assert_eq!(node.credit(units(serial)), Credited::Executed);
    }
    assert_eq!(node.credit(units(1)), Credited::Executed, "said twice");
    let state = node.view.read().state.clone();
    let ids: Vec<_> = (1..=4).map(|user| state.account_of(owner(user)).unwrap().0).collect();
    assert_eq!(ids, [3, 4, 5, 6], "accounts in order of serials");
    assert_eq!(state.cursor(HUB).0, 4);
    let unknown = FinalDeposit { token: zklink::id::TokenId(77), ..units(4) };
    assert!(matches!(node.credit(unknown), Credited::Refused(_)));
}

#[test]
fn blocks_are_sealed_by_age_and_kept_in_the_archive() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let config = Config { block_age_max_ms: 1_000, ..Config::default() };
    let node = start(&disk, &store, config);
    node.world.run_for(5_000);
    assert_eq!(node.archive.head().expect("it reads"), None, "no empty blocks");
    let alice = alice_is_in(&node);
    node.world.run_for(3_000);
    assert_eq!(node.archive.head().expect("it reads"), Some(BlockNumber(1)));
    assert_eq!(node.archive.block(BlockNumber(1)).expect("it reads"), None, "nobody made a root");
    let sealed = node.body(1).between(Fr::zero(), Fr::one());
    assert_eq!((sealed.block.ops.len(), sealed.sources.len()), (2, 2));
    assert_eq!(sealed.key_witnesses(HUB).iter().map(Vec::len).collect::<Vec<_>>(), [65]);
    assert!(sealed.key_witnesses(SPOKE).is_empty());
    let hash = sealed.sources[1].hash();
    let place = TxPlace::Included { block: BlockNumber(1), index: 1 };
    assert_eq!(node.archive.transaction(&hash.0).expect("it reads"), Some(place));
    let page = node.archive.account_transactions(ALICE, None, 10).expect("it reads");
    assert_eq!(page.total, 2);
    assert!(node.view.read().open.is_empty());
    node.send(alice.transfer(ALICE, 0, User::new(2).owner, UNIT)).expect("affordable");
    let asked = node.builder.port().ask(SealNow).expect("room");
    assert_eq!(node.world.answer(asked, 1_000), Ok(Some(BlockNumber(2))));
}

#[test]
fn a_block_is_sealed_although_the_clock_was_set_back_before_a_restart() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let config = Config { block_age_max_ms: 1_000, ..Config::default() };
    let node = start(&disk, &store, config);
    node.world.run_for(3_600_000);
    alice_is_in(&node);
    assert_eq!((node.sealed(), node.view.read().open.len()), (0, 2));
    drop(node);
    let node = start(&disk, &store, config);
    node.world.run_for(2_000);
    assert_eq!((node.sealed(), node.view.read().open.len()), (1, 0));
}

/// So many sealed blocks may wait for their proof, and blocks may be ten seconds ahead of the hub.
fn paced(unproven_max: u64) -> Config {
    let pace = Some(PaceLimits { unproven_max, ahead_max_s: 10, ..PaceLimits::default() });
    Config { block_age_max_ms: 300, pace, ..Config::default() }
}

impl Node {
    fn hear(&self, proven: u32, time: u64) {
        let hub = HubProgress {
            committed: BlockNumber(0),
            proven: BlockNumber(proven),
            time,
            oldest: None,
        };
        self.builder.port().tell(hub).expect("room");
        self.world.run_for(10);
    }

    fn sealed(&self) -> u32 {
        self.view.read().state.system.number.0
    }
}

#[test]
fn the_builder_does_not_run_ahead_of_settlement() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, paced(2));
    let alice = User::new(1);
    let pay = |nonce| alice.transfer(ALICE, nonce, User::new(2).owner, UNIT);
    let first = deposit(HUB, 0, alice.owner, 100 * UNIT);
    assert_eq!(node.credit(first.clone()), Credited::Overloaded, "the hub is not known");
    assert_eq!(node.send(pay(0)), Err(Refusal::HubUnknown));
    node.hear(0, 1_000);
    assert_eq!(node.credit(first), Credited::Executed);
    node.send(alice.key_tx(ALICE, 0, Some(()))).expect("a key");
    node.world.run_for(1_000);
    let last = node.send(pay(0)).expect("one block is not proven");
    node.world.run_for(1_000);
    assert_eq!(node.sealed(), 2);
    let behind = Refusal::SettlementBehind { waiting: 2, max: 2 };
    assert_eq!(node.send(pay(1)), Err(behind.clone()));
    assert_eq!(node.credit(deposit(HUB, 1, alice.owner, UNIT)), Credited::Overloaded);
    assert_eq!(node.send(pay(0)), Ok(last), "a repeated question is answered all the same");
    node.hear(1, 1_010);
    assert_eq!(node.credit(deposit(HUB, 1, alice.owner, UNIT)), Credited::Executed);
    node.send(pay(1)).expect("room again");
    // The hub is rewound: what is open stays open until it is there again.
    node.hear(0, 1_009);
    assert_eq!(node.send(pay(2)), Err(behind));
    node.world.run_for(2_000);
    assert_eq!((node.sealed(), node.view.read().open.len()), (2, 2), "the bound holds exactly");
    node.hear(2, 1_020);
    node.world.run_for(1_000);
    assert_eq!((node.sealed(), node.view.read().open.len()), (3, 0));
    drop(node);
    let node = start(&disk, &store, paced(2));
    assert_eq!(node.send(pay(2)), Err(Refusal::HubUnknown), "a restart asks the hub first");
    node.hear(2, 1_030);
    node.send(pay(2)).expect("nothing was lost");
}

#[test]
fn a_node_without_room_on_its_disk_takes_nothing_and_goes_on_when_there_is_some() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config { block_age_max_ms: 300, ..Config::default() });
    let alice = alice_is_in(&node);
    let pay = |nonce| alice.transfer(ALICE, nonce, User::new(2).owner, UNIT);
    let room = |low| {
        node.builder.port().tell(DiskRoom { low }).expect("room");
        node.world.run_for(10);
    };
    let first = node.send(pay(0)).expect("there is room");
    room(true);
    assert_eq!(node.send(pay(1)), Err(Refusal::DiskLow));
    assert_eq!(node.credit(deposit(HUB, 1, alice.owner, UNIT)), Credited::Overloaded);
    assert_eq!(node.send(pay(0)), Ok(first), "a repeated question is answered all the same");
    node.world.run_for(2_000);
    assert_eq!(node.sealed(), 0, "a seal is a record, too");
    room(false);
    node.send(pay(1)).expect("there is room again");
    node.world.run_for(2_000);
    assert_eq!(node.sealed(), 1);
}

#[test]
fn blocks_are_not_ahead_of_the_clock_of_the_hub() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, paced(9));
    let time_of = |number| node.body(number).seal.timestamp;
    let deposit_at = |serial, hub| {
        node.hear(0, hub);
        let owner = User::new(1).owner;
        assert_eq!(node.credit(deposit(HUB, serial, owner, UNIT)), Credited::Executed);
        node.world.run_for(1_000);
    };
    node.world.run_for(30_000);
    deposit_at(0, 5);
    assert_eq!(time_of(1), 15, "the node's clock is too far ahead");
    deposit_at(1, 1_000);
    let own = time_of(2);
    assert!((31..33).contains(&own), "the node's own time is {own}");
    deposit_at(2, 3);
    assert_eq!(time_of(3), own, "never back");
    drop(node);
    let node = start(&disk, &store, paced(9));
    assert_eq!(node.sealed(), 3, "replay takes the times as they are");
}

#[test]
fn the_least_fee_is_asked_of_new_transactions_and_not_of_the_journal() {
    use zklink::amount::Fee;
    use zklink::fees::{FeeTable, LeastFees};
    let alice = User::new(1);
    let mut free = ledger();
    let mut journal = Vec::new();
    let entries = [
        Entry::Deposit(deposit(HUB, 0, alice.owner, 100 * UNIT)),
        entry(alice.key_tx(ALICE, 0, Some(()))),
        entry(alice.transfer(ALICE, 0, User::new(2).owner, UNIT)),
    ];
    for entry in &entries {
        let now = at(1_000);
        journal.extend(free.enter(entry, now).expect("everything is free").records);
    }
    let fee = |amount| Fee::exact(Amount(amount)).expect("a round fee");
    let least = fee(UNIT / 20);
    let fees = LeastFees { transfer_to_new: fee(UNIT), transfer: least, ..LeastFees::default() };
    let mut dear = ledger();
    dear.ask_fees(FeeTable([(USD, fees)].into()));
    for record in &journal {
        dear.replay(record).expect("what was accepted stays accepted");
    }
    assert_eq!(dear.state(), free.state());
    let refused = |ledger: &mut Ledger, to| {
        let tx = entry(alice.transfer(ALICE, 1, User::new(to).owner, UNIT));
        ledger.enter(&tx, at(1_000)).expect_err("it pays a hundredth")
    };
    let too_low = |least| {
        let paid = Amount(UNIT / 100);
        Denied::Rejected(zklink::reject::Reject::FeeTooLow { token: USD, paid, least })
    };
    let before = dear.state().clone();
    assert_eq!(refused(&mut dear, 2), too_low(Amount(UNIT / 20)));
    assert_eq!(refused(&mut dear, 3), too_low(Amount(UNIT)), "a new account is dearer");
    assert_eq!(*dear.state(), before, "a rejection changes nothing");
}
