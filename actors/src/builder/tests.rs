//! The ledger by itself, and the builder with a real journal in the World.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use proptest::prelude::*;
use zklink::amount::Amount;
use zklink::block::Block;
use zklink::commitment::StateTree;
use zklink::id::{AccountId, Owner, SubAccountId};
use zklink::reject::Reject;
use zklink::tx::{TransferTx, Tx};

use super::fixture::*;
use super::*;
use crate::archive::store::SimStore;
use crate::archive::{Archive, ArchiveReader, TxPlace};
use crate::journal::segment::{SEGMENT_BYTES, SegmentLog};
use crate::journal::sim::{SimDisk, SimFault};
use crate::journal::{Journal, log};
use crate::machine::Origin;
use crate::port::{Deliver, Envelope, Pending, Unanswered};
use crate::supervisor;
use crate::turn::Timestamp;
use crate::world::{Seed, World};

const ALICE: AccountId = AccountId(2);
const BOB: AccountId = AccountId(3);

fn at(millis: u64) -> Timestamp {
    Timestamp(millis)
}

/// Enters an entry that must be accepted, and keeps its records.
fn enter(ledger: &mut Ledger, journal: &mut Vec<Record>, entry: &Entry, now: u64) -> Place {
    let entered = ledger.enter(entry, at(now)).expect("a valid entry");
    journal.extend(entered.records);
    entered.place
}

/// A ledger in which Alice has 100 dollars and a key.
fn with_alice(journal: &mut Vec<Record>) -> (Ledger, User) {
    let (mut ledger, alice) = (ledger(), User::new(1));
    let first = Entry::Deposit(deposit(HUB, 0, alice.owner, 100 * UNIT));
    enter(&mut ledger, journal, &first, 1_000);
    enter(&mut ledger, journal, &entry(alice.key_tx(ALICE, 0, Some(()))), 1_001);
    (ledger, alice)
}

#[test]
fn records_have_fixed_bytes() {
    let bytes = Record::Deposit(AcceptedDeposit {
        deposit: deposit(HUB, 3, Owner::from_evm([0xab; 20]), 5),
        account: AccountId(2),
        time: 1_700_000_000_123,
    })
    .encode();
    let body = concat!(
        r#"{"deposit":{"deposit":{"chain":1,"serial":3,"token":1,"#,
        r#""owner":"0xabababababababababababababababababababab","subAccount":0,"amount":"5","#,
        r#""l1Tx":"0303030303030303030303030303030303030303030303030303030303030303","#,
        r#""l1Block":103},"account":2,"time":1700000000123}}"#
    );
    assert_eq!(bytes[0], VERSION_BYTE);
    assert_eq!(std::str::from_utf8(&bytes[1..]), Ok(body));
}

const VERSION_BYTE: u8 = 1;

#[test]
fn every_record_comes_back_from_its_bytes() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let key = KeyAuthorised {
        chain: HUB,
        owner: alice.owner,
        nonce: zklink::id::Nonce(1),
        key: User::new(9).key.public(),
    };
    assert!(ledger.authorise(&key));
    journal.push(Record::KeyAuthorised(key));
    let spend = entry(alice.transfer(ALICE, 0, User::new(2).owner, UNIT));
    enter(&mut ledger, &mut journal, &spend, 1_002);
    let sealed = ledger.seal(at(2_000)).expect("balanced").expect("not empty");
    journal.push(Record::Sealed(sealed));
    for record in &journal {
        assert_eq!(Record::decode(&record.encode()).expect("own bytes"), *record);
    }
}

#[test]
fn foreign_bytes_are_refused_with_what_to_do() {
    assert!(matches!(Record::decode(&[]), Err(BadRecord::Empty)));
    assert!(matches!(Record::decode(b"\x02{}"), Err(BadRecord::Version(2))));
    assert!(matches!(Record::decode(b"\x01{\"tx\":1}"), Err(BadRecord::Body(_))));
}

#[test]
fn a_rejection_changes_nothing_and_seals_nothing() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let bob = User::new(2).owner;
    let spend = entry(alice.transfer(ALICE, 0, bob, UNIT));
    enter(&mut ledger, &mut journal, &spend, 1_002);
    let state = ledger.state().clone();
    let cases = [
        (alice.transfer(ALICE, 0, bob, UNIT), 205),
        (alice.transfer(ALICE, 2, bob, UNIT), 205),
        (alice.transfer(ALICE, 1, bob, 1_000 * UNIT), 206),
        (alice.transfer(ALICE, 1, Owner::NONE, UNIT), 106),
        (alice.transfer(AccountId(77), 0, bob, UNIT), 201),
        (alice.transfer(AccountId(1), 0, bob, UNIT), 204),
        (alice.withdraw(ALICE, 1, SPOKE, UNIT), 208),
        (User::new(3).transfer(ALICE, 1, bob, UNIT), 110),
        (alice.key_tx(ALICE, 1, None), 108),
    ];
    for (tx, code) in cases {
        match ledger.enter(&entry(tx), at(1_003)) {
            Err(Denied::Rejected(reject)) => assert_eq!(reject.code(), code, "{reject}"),
            other => panic!("code {code}: {other:?}"),
        }
        assert_eq!(*ledger.state(), state);
    }
    // The block is full for another withdrawal to a third chain's worth of leaves, but a
    // rejected operation must not be able to seal it.
    let mut full = false;
    for nonce in 1..20 {
        let broke = alice.transfer(ALICE, nonce, bob, 1_000 * UNIT);
        match ledger.enter(&entry(broke), at(1_004)) {
            Err(Denied::Rejected(Reject::Balance { .. })) => {}
            other => panic!("{other:?}"),
        }
        let number = ledger.state().system.number;
        let spend = entry(alice.transfer(ALICE, nonce, bob, UNIT));
        let entered = ledger.enter(&spend, at(1_005)).expect("affordable");
        if entered.records.len() == 2 {
            assert_eq!(ledger.state().system.number.0, number.0 + 1);
            full = true;
            break;
        }
        assert_eq!(ledger.state().system.number, number);
    }
    assert!(full, "a block has an end");
}

#[test]
fn what_no_shape_holds_is_refused() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let state = ledger.state().clone();
    // Two sub-accounts of one account: no shape of this version has such a group.
    let tx = alice.sign(Tx::Transfer(TransferTx {
        account_id: ALICE,
        from_sub_account_id: SubAccountId(0),
        to: alice.owner,
        to_sub_account_id: SubAccountId(5),
        token: USD,
        amount: Amount(UNIT),
        fee: zklink::amount::Fee::ZERO,
        nonce: zklink::id::Nonce(0),
    }));
    let fits = zklink::shape::shapes()
        .iter()
        .any(|shape| shape.accounts.iter().any(|group| group.len() > 1));
    assert_eq!(ledger.enter(&entry(tx), at(1_002)).is_ok(), fits);
    if !fits {
        assert_eq!(*ledger.state(), state);
    }
}

#[test]
fn time_never_goes_back_in_blocks() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let first = ledger.seal(at(9_000)).expect("balanced").expect("not empty");
    let more = Entry::Deposit(deposit(HUB, 1, alice.owner, UNIT));
    ledger.enter(&more, at(3_000)).expect("the next deposit");
    let second = ledger.seal(at(4_000)).expect("balanced").expect("not empty");
    assert_eq!((first.block.head.timestamp, second.block.head.timestamp), (9, 9));
    assert_eq!(second.block.head.old_root, first.block.head.new_root);
    assert_eq!(ledger.seal(at(10_000)), Ok(None), "an empty block is not sealed");
}

#[test]
fn keys_are_authorised_once_and_forgotten_when_used() {
    let (mut ledger, alice) = (ledger(), User::new(1));
    let first = Entry::Deposit(deposit(HUB, 0, alice.owner, UNIT));
    ledger.enter(&first, at(1)).expect("the first deposit");
    let key = |nonce| KeyAuthorised {
        chain: HUB,
        owner: alice.owner,
        nonce: zklink::id::Nonce(nonce),
        key: alice.key.public(),
    };
    let change = entry(alice.key_tx(ALICE, 0, None));
    assert!(matches!(
        ledger.enter(&change, at(2)),
        Err(Denied::Rejected(Reject::KeyNotAuthorised(_)))
    ));
    assert!(ledger.authorise(&key(0)));
    assert!(!ledger.authorise(&key(0)), "known already");
    assert!(!ledger.authorise(&key(16)), "too far ahead");
    ledger.enter(&change, at(3)).expect("authorised on chain");
    assert!(!ledger.authorise(&key(0)), "used up");
}

#[test]
fn a_changed_journal_is_refused() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let spend = entry(alice.transfer(ALICE, 0, User::new(2).owner, UNIT));
    enter(&mut ledger, &mut journal, &spend, 1_002);
    journal.push(Record::Sealed(ledger.seal(at(2_000)).expect("balanced").expect("not empty")));
    let replay = |records: &[Record]| {
        let mut ledger = super::fixture::ledger();
        records.iter().try_for_each(|record| ledger.replay(record).map(drop))
    };
    assert_eq!(replay(&journal), Ok(()));

    let mut forged = journal.clone();
    if let Record::Tx(AcceptedTx { tx, .. }) = &mut forged[2]
        && let Tx::Transfer(transfer) = &mut tx.tx
    {
        transfer.amount = Amount(2 * UNIT);
    }
    assert_eq!(replay(&forged), Err(ReplayError::Refused(Reject::Signature.into())));

    let mut forged = journal.clone();
    if let Record::Deposit(AcceptedDeposit { deposit, .. }) = &mut forged[0] {
        deposit.amount = Amount(101 * UNIT);
    }
    assert_eq!(replay(&forged), Err(ReplayError::Block(BlockNumber(1))));

    let mut forged = journal.clone();
    forged.remove(1);
    assert_eq!(replay(&forged), Err(ReplayError::Refused(Reject::KeyNotSet(ALICE).into())));
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Act {
    Deposit { spoke: bool, user: u8, units: u8 },
    Key { user: u8 },
    Transfer { from: u8, to: u8, units: u8, late: bool },
    Withdraw { user: u8, spoke: bool, units: u8 },
    Seal,
}

fn act() -> impl Strategy<Value = Act> {
    let user = 1u8..5;
    prop_oneof![
        3 => (any::<bool>(), user.clone(), 1u8..50)
            .prop_map(|(spoke, user, units)| Act::Deposit { spoke, user, units }),
        2 => user.clone().prop_map(|user| Act::Key { user }),
        4 => (user.clone(), 1u8..8, any::<u8>(), any::<bool>())
            .prop_map(|(from, to, units, late)| Act::Transfer { from, to, units, late }),
        2 => (user, any::<bool>(), any::<u8>())
            .prop_map(|(user, spoke, units)| Act::Withdraw { user, spoke, units }),
        1 => Just(Act::Seal),
    ]
}

fn entry_of(ledger: &Ledger, act: &Act) -> Option<Entry> {
    let state = ledger.state();
    // Somebody without an account uses an id that does not exist.
    let id = |user: &User| state.account_of(user.owner).unwrap_or(AccountId(999));
    let nonce = |id: AccountId| state.sub_account(id, SubAccountId(0)).map_or(0, |sub| sub.nonce.0);
    let units = |units: u8| u128::from(units) * UNIT / 4;
    Some(match *act {
        Act::Deposit { spoke, user, units: amount } => {
            let chain = if spoke { SPOKE } else { HUB };
            let serial = state.cursor(chain).0;
            Entry::Deposit(deposit(chain, serial, User::new(user).owner, units(amount)))
        }
        Act::Key { user } => {
            let user = User::new(user);
            let nonce = state.account(id(&user)).map_or(0, |account| account.nonce.0);
            entry(user.key_tx(id(&user), nonce, Some(())))
        }
        Act::Transfer { from, to, units: amount, late } => {
            let user = User::new(from);
            let nonce = nonce(id(&user)) + u32::from(late && amount % 4 == 0);
            entry(user.transfer(id(&user), nonce, User::new(to).owner, units(amount)))
        }
        Act::Withdraw { user, spoke, units: amount } => {
            let chain = if spoke { SPOKE } else { HUB };
            let user = User::new(user);
            entry(user.withdraw(id(&user), nonce(id(&user)), chain, units(amount)))
        }
        Act::Seal => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens: a rejection changes nothing, what is accepted fits a shape, the journal
    /// rebuilds the state, and so do the blocks' public data alone.
    #[test]
    fn a_random_life_can_be_replayed(acts in prop::collection::vec(act(), 1..40)) {
        let mut live = ledger();
        let mut journal = Vec::new();
        for (second, act) in (1u64..).zip(&acts) {
            let now = at(second * 1_000);
            let before = live.state().clone();
            match entry_of(&live, act) {
                Some(entry) => match live.enter(&entry, now) {
                    Ok(entered) => journal.extend(entered.records),
                    Err(Denied::Broken(broken)) => prop_assert!(false, "{broken}"),
                    Err(_) => prop_assert_eq!(&before, live.state()),
                },
                None => journal.extend(live.seal(now).expect("balanced").map(Record::Sealed)),
            }
        }
        journal.extend(live.seal(at(99_000)).expect("balanced").map(Record::Sealed));

        let mut again = ledger();
        for record in &journal {
            let read = Record::decode(&record.encode()).expect("own bytes");
            again.replay(&read).expect("the same program");
        }
        prop_assert_eq!(again.state(), live.state());
        prop_assert_eq!(again.root(), live.root());

        let mut state = genesis();
        let mut tree = StateTree::of(&state);
        for record in &journal {
            let Record::Sealed(sealed) = record else { continue };
            sealed.block.working_set(&state).expect("an accepted block fits its shape");
            let decoded = Block::decode(&sealed.block.public_data()).expect("own public data");
            prop_assert_eq!(&decoded, &sealed.block);
            decoded.replay(&mut state, &mut tree).expect("public data are enough");
            prop_assert_eq!(sealed.entries().count(), sealed.sources.len());
        }
        prop_assert_eq!(&state, live.state());
    }
}

/// A builder with its journal and archive in the World, on a disk that outlives them.
struct Node {
    world: World,
    builder: crate::world::Place<Builder>,
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
    fn deliver(&self, envelope: Envelope<Append>) -> Result<(), Refused<Envelope<Append>>> {
        if self.blocked.load(SeqCst) {
            return Err(Refused::Full(envelope));
        }
        let told = self.port.tell(envelope.message);
        told.map_err(|refused| match refused {
            Refused::Full(message) => Refused::Full(Envelope { message, reply: None }),
            Refused::Closed(message) => Refused::Closed(Envelope { message, reply: None }),
        })
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
    let meaning: crate::archive::Fold = Box::new(|record| fold::fold(&record.payload));
    let opened = Archive::open(Arc::new(store.clone()), meaning, &mut log);
    let (archive, _) = opened.expect("a store of this journal");
    let reader = archive.reader();
    let archive = world.seat("archive", 1_024, Origin::Once(archive));
    let mut records = Vec::new();
    log::replay(&mut log, 0, |record: log::Record| {
        records.push(Record::decode(&record.payload).expect("own records"));
        Ok::<(), log::LogError>(())
    })
    .expect("a whole journal");
    let journal = world.seat("journal", 1_024, Origin::Once(Journal::new(log, archive.port())));
    let blocked = Arc::new(AtomicBool::new(false));
    let valve = Valve { blocked: Arc::clone(&blocked), port: journal.port() };
    let mut builder = Builder::new(config, ledger(), Port::new(valve));
    records.iter().for_each(|record| builder.replay(record).expect("own records"));
    let view = builder.reader();
    let builder = world.seat("builder", 1_024, Origin::Once(builder));
    world.tick_every(100, builder.port());
    Node { world, builder, view, archive: reader, blocked }
}

impl Node {
    fn submit(&self, tx: SignedTx) -> Pending<Result<Receipt, Refusal>> {
        let (reply, pending) = ReplyTo::new();
        self.builder.port().tell(Submit { tx: Box::new(tx), reply }).expect("room");
        pending
    }

    fn send(&self, tx: SignedTx) -> Result<Receipt, Refusal> {
        self.world.answer(self.submit(tx), 5_000).expect("an answer")
    }

    fn credit(&self, deposit: FinalDeposit) -> Credited {
        let asked = self.builder.port().ask(Credit(deposit)).expect("room");
        self.world.answer(asked, 5_000).expect("an answer")
    }

    fn root(&self) -> zklink::hash::Fr {
        self.builder.inspect(|builder| builder.ledger().root()).expect("it lives")
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
fn a_restart_leads_to_the_same_root_and_open_block() {
    let (disk, store) = (SimDisk::new(), SimStore::new());
    let node = start(&disk, &store, Config::default());
    let alice = alice_is_in(&node);
    for nonce in 0..7 {
        node.send(alice.transfer(ALICE, nonce, User::new(2).owner, UNIT)).expect("affordable");
    }
    let (root, state) = (node.root(), node.view.read().state.clone());
    let open: Vec<_> = node.view.read().open.iter().map(|tx| tx.source.clone()).collect();
    drop(node);
    let node = start(&disk, &store, Config::default());
    assert_eq!(node.root(), root);
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
    let more = Submit { tx: Box::new(alice.transfer(ALICE, 9, bob, UNIT)), reply };
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
    let config = Config { deposits_waiting_max: 2, ..Config::default() };
    let node = start(&disk, &store, config);
    let owner = |number| User::new(number).owner;
    let units = |serial| deposit(HUB, serial, owner(u8::try_from(serial).unwrap() + 1), UNIT);
    assert_eq!(node.credit(units(2)), Credited::Waiting);
    assert_eq!(node.credit(units(2)), Credited::Waiting, "said twice");
    let other = FinalDeposit { amount: Amount(2 * UNIT), ..units(2) };
    assert!(matches!(node.credit(other), Credited::Refused(_)));
    assert_eq!(node.credit(units(1)), Credited::Waiting);
    assert_eq!(node.credit(units(3)), Credited::Waiting, "not kept, two are");
    assert_eq!(node.credit(deposit(SPOKE, 0, owner(9), UNIT)), Credited::Executed);
    assert_eq!(node.credit(units(0)), Credited::Executed);
    assert_eq!(node.credit(units(1)), Credited::Executed, "it came with the one before");
    assert_eq!(node.view.read().state.cursor(HUB).0, 3);
    assert_eq!(node.credit(units(3)), Credited::Executed);
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
    let bytes = node.archive.block(BlockNumber(1)).expect("it reads").expect("it is there");
    let sealed: SealedBlock = serde_json::from_slice(&bytes).expect("a sealed block");
    assert_eq!(sealed.block.head.new_root, node.root());
    assert_eq!(sealed.sources.len(), 2);
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
fn no_two_hashes_of_deposits_are_equal() {
    let mut seen = BTreeMap::new();
    let owner = Owner::from_evm([1; 20]);
    for deposit in [
        deposit(HUB, 0, owner, 1),
        deposit(SPOKE, 0, owner, 1),
        deposit(HUB, 1, owner, 1),
        deposit(HUB, 0, owner, 2),
        deposit(HUB, 0, Owner::from_evm([2; 20]), 1),
    ] {
        assert_eq!(seen.insert(deposit.hash(), deposit.clone()), None, "{deposit:?}");
    }
}
