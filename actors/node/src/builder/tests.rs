//! The ledger by itself; the builder around it is in `node`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use zklink::amount::Amount;
use zklink::block::Block;
use zklink::commitment::StateTree;
use zklink::id::{AccountId, ChainId, Nonce, Owner, SubAccountId};
use zklink::key::SecretKey;
use zklink::op::Op;
use zklink::reject::Reject;
use zklink::shape::{DEEPEST, NANO, SMALL};
use zklink::tx::{TransferTx, Tx};
use zklink_mechanism::timestamp::Timestamp;
use zklink_store::record::{AcceptedDeposit, AcceptedTx, BadRecord, DepositRefusal, SealedBlock};

use super::fixture::*;
use super::*;

mod node;

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
        refused: None,
        time: 1_700_000_000_123,
    })
    .encode();
    let body = concat!(
        r#"{"deposit":{"deposit":{"chain":1,"serial":3,"token":1,"#,
        r#""payer":"0x9999999999999999999999999999999999999999","#,
        r#""owner":"0xabababababababababababababababababababab","subAccount":0,"amount":"5","#,
        r#""l1Tx":"0303030303030303030303030303030303030303030303030303030303030303","#,
        r#""l1Block":103},"account":2,"time":1700000000123}}"#
    );
    assert_eq!(bytes[0], VERSION_BYTE);
    assert_eq!(std::str::from_utf8(&bytes[1..]), Ok(body));
}

const VERSION_BYTE: u8 = 2;

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
    assert!(matches!(Record::decode(b"\x01{}"), Err(BadRecord::Version(1))));
    assert!(matches!(Record::decode(b"\x02{\"tx\":1}"), Err(BadRecord::Body(_))));
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
    // At some place the block is full, but a rejected operation must not be able to seal it.
    let mut full = false;
    for nonce in 1..1_000 {
        let broke = alice.transfer(ALICE, nonce, bob, 1_000 * UNIT);
        match ledger.enter(&entry(broke), at(1_004)) {
            Err(Denied::Rejected(Reject::Balance { .. })) => {}
            other => panic!("{other:?}"),
        }
        let number = ledger.state().system.number;
        let spend = entry(alice.transfer(ALICE, nonce, bob, UNIT / 1_000));
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
    // A deployment without shapes has room for nothing.
    let mut ledger = Ledger::new(network(), &[], genesis());
    let state = ledger.state().clone();
    let first = Entry::Deposit(deposit(HUB, 0, User::new(1).owner, UNIT));
    assert_eq!(ledger.enter(&first, at(1)), Err(Denied::NoShape));
    assert_eq!(*ledger.state(), state);
}

#[test]
fn two_sub_accounts_of_one_account_go_into_one_block() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let tx = alice.sign(Tx::Transfer(TransferTx {
        account_id: ALICE,
        from_sub_account_id: SubAccountId(0),
        to: alice.owner,
        to_sub_account_id: SubAccountId(5),
        token: USD,
        amount: Amount(UNIT),
        fee: zklink::amount::Fee::ZERO,
        nonce: zklink::id::Nonce(0),
        key_version: alice.version,
    }));
    ledger.enter(&entry(tx), at(1_002)).expect("a payment to itself");
    let sealed = ledger.seal(at(2_000)).expect("balanced").expect("not empty");
    assert_eq!((sealed.block.ops.len(), sealed.block.head.shape), (3, NANO));
}

#[test]
fn the_cheapest_shape_that_fits_is_taken_whatever_the_order_of_the_list() {
    let mut shapes = shape_ids();
    shapes.reverse();
    let mut ledger = Ledger::new(network(), &shapes, genesis());
    for serial in 0..5 {
        let next = Entry::Deposit(deposit(HUB, serial, User::new(1).owner, UNIT));
        ledger.enter(&next, at(serial)).expect("the next deposit");
        if serial == 3 {
            let sealed = ledger.seal(at(10)).expect("balanced").expect("not empty");
            assert_eq!(sealed.block.head.shape, NANO, "four fit the smallest");
        }
    }
    for serial in 5..9 {
        let next = Entry::Deposit(deposit(HUB, serial, User::new(1).owner, UNIT));
        ledger.enter(&next, at(serial)).expect("the next deposit");
    }
    let sealed = ledger.seal(at(20)).expect("balanced").expect("not empty");
    assert_eq!((sealed.block.ops.len(), sealed.block.head.shape), (5, SMALL));
}

#[test]
fn a_deposit_that_cannot_be_credited_is_refused_and_does_not_stop_the_queue() {
    let mut ledger = ledger();
    let vault = Owner::from_evm([0x11; 20]);
    let wide = Owner { home: SPOKE, address: [7; 32] };
    let stranger = Owner::contract(ChainId(9), [5; 20]);
    for (serial, owner) in (0..).zip([vault, Owner::from_evm([0x12; 20]), wide, stranger]) {
        let entered = ledger.enter(&Entry::Deposit(deposit(HUB, serial, owner, UNIT)), at(serial));
        let Source::Deposit(accepted) = entered.expect("it is taken").source else { panic!() };
        let refused = (accepted.account, accepted.refused);
        assert_eq!(refused, (AccountId(0), Some(DepositRefusal::BadReceiver)), "{owner}");
    }
    let alice = User::new(1);
    let most = 1 << Amount::POOL_BITS;
    let first = Entry::Deposit(deposit(HUB, 4, alice.owner, most - 1));
    ledger.enter(&first, at(4)).expect("as much as fits");
    let entered = ledger.enter(&Entry::Deposit(deposit(HUB, 5, alice.owner, 1)), at(5));
    let Source::Deposit(accepted) = entered.expect("it is taken").source else { panic!() };
    assert_eq!(accepted.refused, Some(DepositRefusal::AmountOverflow));
    assert_eq!(ledger.state().cursor(HUB).0, 6);
    assert_eq!(ledger.state().pool(HUB, USD), Amount(most - 1));
    // A contract of a connected chain is an owner like others.
    let contract = Owner::contract(SPOKE, [5; 20]);
    let entered = ledger.enter(&Entry::Deposit(deposit(SPOKE, 0, contract, UNIT)), at(6));
    assert!(matches!(entered.expect("it is taken").op, Op::Deposit(op) if !op.refused));
    let sealed = ledger.seal(at(9_000)).expect("balanced").expect("not empty");
    let mut state = genesis();
    let mut tree = StateTree::of(&state);
    let decoded = Block::decode(&sealed.block.public_data()).expect("own public data");
    decoded.replay(&mut state, &mut tree).expect("refusals are public");
}

#[test]
fn what_no_account_can_get_becomes_a_refusal_and_the_rest_does_not() {
    // 2^24 accounts are too many for a test: that a full tree has no next account is tested where accounts are.
    let cases = [
        (Reject::AccountsFull, Some(DepositRefusal::AccountsFull)),
        (Reject::BadReceiver, Some(DepositRefusal::BadReceiver)),
        (Reject::AmountOverflow, Some(DepositRefusal::AmountOverflow)),
        (Reject::Serial { chain: HUB, expected: 1 }, None),
        (Reject::UnknownToken(USD), None),
    ];
    for (reject, refusal) in cases {
        assert_eq!(DepositRefusal::of(&reject), refusal, "{reject}");
    }
}

#[test]
fn the_fees_of_a_block_are_the_fee_accounts_when_it_ends() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let fees = |ledger: &Ledger| ledger.state().balance(AccountId(0), SubAccountId(0), USD);
    let pay = entry(alice.transfer(ALICE, 0, User::new(2).owner, UNIT));
    ledger.enter(&pay, at(1_002)).expect("she has a hundred");
    assert_eq!(fees(&ledger), Amount(0));
    ledger.seal(at(2_000)).expect("balanced").expect("not empty");
    assert_eq!(fees(&ledger), Amount(UNIT / 100));
}

#[test]
fn a_rejected_operation_that_has_no_room_changes_nothing_and_seals_nothing() {
    let mut journal = Vec::new();
    let (_, alice) = with_alice(&mut journal);
    let mut ledger = Ledger::new(network(), &[NANO], genesis());
    journal.iter().for_each(|record| drop(ledger.replay(record).expect("the same program")));
    let pay = |ledger: &mut Ledger, nonce: u32, amount| {
        let tx = entry(alice.transfer(ALICE, nonce, alice.owner, amount));
        ledger.enter(&tx, at(1_002))
    };
    for nonce in 0..3 {
        pay(&mut ledger, nonce, UNIT).expect("a signed slot is free");
    }
    let (state, root) = (ledger.state().clone(), ledger.root());
    let denied = pay(&mut ledger, 3, 1_000 * UNIT).expect_err("she has a hundred");
    assert!(matches!(denied, Denied::Rejected(Reject::Balance { .. })), "{denied}");
    assert_eq!((ledger.state(), ledger.root()), (&state, root));
    let entered = pay(&mut ledger, 3, UNIT).expect("now the block is full and sealed first");
    assert!(matches!(&entered.records[..], [Record::Sealed(_), Record::Tx(_)]));
    assert_eq!((entered.place.block, entered.place.index), (BlockNumber(2), 0));
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
fn of_the_keys_for_one_nonce_a_few_are_remembered() {
    let (mut ledger, alice) = with_alice(&mut Vec::new());
    let key = |nonce: u32, seed: u8| KeyAuthorised {
        chain: HUB,
        owner: alice.owner,
        nonce: Nonce(nonce),
        key: SecretKey::from_seed(&[seed]).public(),
    };
    for seed in 0..16 {
        assert!(ledger.authorise(&key(1, seed)), "{seed}");
    }
    assert!(!ledger.authorise(&key(1, 16)));
    assert!(ledger.authorise(&key(2, 16)), "another nonce");
}

/// More key changes than a transaction of their chain can carry: the shape has room for 424.
#[test]
fn a_block_is_sealed_before_its_part_for_a_chain_is_too_large() {
    let mut ledger = Ledger::new(network(), &[DEEPEST], genesis());
    let alice = User::new(1);
    let first = Entry::Deposit(deposit(HUB, 0, alice.owner, 100 * UNIT));
    ledger.enter(&first, at(0)).expect("a deposit");
    let mut sealed = None;
    for nonce in 0..170 {
        let change = entry(alice.key_tx(ALICE, nonce, Some(())));
        let entered = ledger.enter(&change, at(1)).expect("the next nonce");
        sealed = sealed.or(match entered.records.first() {
            Some(Record::Sealed(block)) => Some(block.block.ops.len()),
            _ => None,
        });
    }
    // 48,000 bytes: 96 of the deposit and 288 of each key change.
    assert_eq!(sealed, Some(1 + 166));
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
    let versioned = |mut user: User| {
        let version = state.account(id(&user)).map(|account| account.key_version);
        user.version = version.unwrap_or_default();
        user
    };
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
            let user = versioned(User::new(from));
            let nonce = nonce(id(&user)) + u32::from(late && amount % 4 == 0);
            entry(user.transfer(id(&user), nonce, User::new(to).owner, units(amount)))
        }
        Act::Withdraw { user, spoke, units: amount } => {
            let chain = if spoke { SPOKE } else { HUB };
            let user = versioned(User::new(user));
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
