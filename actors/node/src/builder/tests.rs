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
use zklink_store::record::{
    AcceptedDeposit, BadRecord, Body, DepositRefusal, Executed, Seal, SealedBlock,
};

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

/// The blocks of a journal, each with its roots, which are made of the operations alone.
fn blocks_of(journal: &[Record]) -> Vec<SealedBlock> {
    let mut state = genesis();
    let mut tree = StateTree::of(&state);
    let (mut open, mut blocks) = (Vec::new(), Vec::new());
    for record in journal {
        match record {
            Record::Executed(executed) => open.push(executed.clone()),
            Record::KeyAuthorised(_) => {}
            Record::Sealed(seal) => {
                let body = Body { seal: *seal, executed: std::mem::take(&mut open) };
                let cells =
                    body.executed.iter().flat_map(|executed| executed.op.cells(AccountId(0)));
                let (cells, old_root) = (cells.collect(), tree.root());
                for executed in &body.executed {
                    executed.op.apply(&mut state).expect("it was accepted");
                }
                state.end_block(seal.number, seal.timestamp);
                tree.update(&state, &cells);
                blocks.push(body.between(old_root, tree.root()));
            }
        }
    }
    blocks
}

#[test]
fn records_have_fixed_bytes() {
    let accepted = AcceptedDeposit {
        deposit: deposit(HUB, 3, Owner::from_evm([0xab; 20]), 5),
        account: AccountId(2),
        refused: None,
        time: 1_700_000_000_123,
    };
    let op = Op::Deposit(zklink::op::Deposit {
        chain: HUB,
        account: AccountId(2),
        sub_account: SubAccountId(0),
        token: USD,
        amount: Amount(5),
        owner: Owner::from_evm([0xab; 20]),
        refused: false,
    });
    let bytes = Record::Executed(Executed { op, source: Source::Deposit(accepted) }).encode();
    let owner = |byte: &str| format!("00{}{}", "00".repeat(12), byte.repeat(20));
    let expected = [
        // Form and rules, an executed operation, a deposit.
        "03010000",
        // Chain, account, sub-account, token, amount, owner; not refused.
        &format!("01{}00{}05{}{}00", "02000000", "0100", "00".repeat(15), owner("ab")),
        // From a deposit: chain, serial, token, payer, owner, sub-account, amount.
        &format!("01{}{}{}{}00", "01", "0300000000000000", "0100", owner("99") + &owner("ab")),
        &format!("05{}", "00".repeat(15)),
        // The transaction and the block on its chain, the account, no refusal, the time.
        &format!("{}6700000000000000", "03".repeat(32)),
        "02000000007b68e5cf8b010000",
    ];
    assert_eq!(hex::encode(bytes), expected.concat());
}

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
fn a_transfer_is_in_its_record_once() {
    let mut journal = Vec::new();
    let (mut ledger, alice) = with_alice(&mut journal);
    let spend = entry(alice.transfer(ALICE, 0, alice.owner, UNIT));
    enter(&mut ledger, &mut journal, &spend, 1_002);
    // Versions and kinds 6, operation 31, transaction 67, key and signature 96, hash 32, time 8.
    assert_eq!(journal[2].encode().len(), 240);
    journal.push(Record::Sealed(ledger.seal(at(2_000)).expect("balanced").expect("not empty")));
    assert_eq!(journal[3].encode().len(), 17, "a seal repeats nothing");
}

#[test]
fn foreign_bytes_are_refused_with_what_to_do() {
    assert!(matches!(Record::decode(&[]), Err(BadRecord::Empty)));
    assert!(matches!(Record::decode(&[3]), Err(BadRecord::Empty)));
    assert!(matches!(Record::decode(b"\x02{}"), Err(BadRecord::Version(2))));
    assert!(matches!(Record::decode(&[3, 2, 2]), Err(BadRecord::Rules(2))));
    let seal = Seal { number: BlockNumber(1), timestamp: 2, shape: NANO };
    let good = Record::Sealed(seal).encode();
    assert_eq!(Record::decode(&good).expect("own bytes"), Record::Sealed(seal));
    for bad in [&good[..good.len() - 1], &[&good[..], &[0]].concat(), &[3, 1, 9]] {
        assert!(matches!(Record::decode(bad), Err(BadRecord::Body(_))), "{bad:?}");
    }
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
    assert_eq!(sealed.shape, NANO);
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
            assert_eq!(sealed.shape, NANO, "four fit the smallest");
        }
    }
    for serial in 5..9 {
        let next = Entry::Deposit(deposit(HUB, serial, User::new(1).owner, UNIT));
        ledger.enter(&next, at(serial)).expect("the next deposit");
    }
    let sealed = ledger.seal(at(20)).expect("balanced").expect("not empty");
    assert_eq!(sealed.shape, SMALL, "five do not");
}

#[test]
fn a_deposit_that_cannot_be_credited_is_refused_and_does_not_stop_the_queue() {
    let (mut ledger, mut journal) = (ledger(), Vec::new());
    let vault = Owner::from_evm([0x11; 20]);
    let wide = Owner { home: SPOKE, address: [7; 32] };
    let stranger = Owner::contract(ChainId(9), [5; 20]);
    for (serial, owner) in (0..).zip([vault, Owner::from_evm([0x12; 20]), wide, stranger]) {
        let entered = ledger.enter(&Entry::Deposit(deposit(HUB, serial, owner, UNIT)), at(serial));
        let entered = entered.expect("it is taken");
        journal.extend(entered.records);
        let Source::Deposit(accepted) = entered.source else { panic!() };
        let refused = (accepted.account, accepted.refused);
        assert_eq!(refused, (AccountId(0), Some(DepositRefusal::BadReceiver)), "{owner}");
    }
    let alice = User::new(1);
    let most = 1 << Amount::POOL_BITS;
    let first = Entry::Deposit(deposit(HUB, 4, alice.owner, most - 1));
    enter(&mut ledger, &mut journal, &first, 4);
    let entered = ledger.enter(&Entry::Deposit(deposit(HUB, 5, alice.owner, 1)), at(5));
    let entered = entered.expect("it is taken");
    journal.extend(entered.records);
    let Source::Deposit(accepted) = entered.source else { panic!() };
    assert_eq!(accepted.refused, Some(DepositRefusal::AmountOverflow));
    assert_eq!(ledger.state().cursor(HUB).0, 6);
    assert_eq!(ledger.state().pool(HUB, USD), Amount(most - 1));
    // A contract of a connected chain is an owner like others.
    let contract = Owner::contract(SPOKE, [5; 20]);
    let entered = ledger.enter(&Entry::Deposit(deposit(SPOKE, 0, contract, UNIT)), at(6));
    let entered = entered.expect("it is taken");
    assert!(matches!(&entered.op, Op::Deposit(op) if !op.refused));
    journal.extend(entered.records);
    journal.extend(ledger.seal(at(9_000)).expect("balanced").map(Record::Sealed));
    let mut state = genesis();
    let mut tree = StateTree::of(&state);
    let public = blocks_of(&journal)[0].block.public_data();
    let decoded = Block::decode(&public).expect("own public data");
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
    let state = ledger.state().clone();
    let denied = pay(&mut ledger, 3, 1_000 * UNIT).expect_err("she has a hundred");
    assert!(matches!(denied, Denied::Rejected(Reject::Balance { .. })), "{denied}");
    assert_eq!(*ledger.state(), state);
    let entered = pay(&mut ledger, 3, UNIT).expect("now the block is full and sealed first");
    assert!(matches!(&entered.records[..], [Record::Sealed(_), Record::Executed(_)]));
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
    assert_eq!((first.timestamp, second.timestamp), (9, 9));
    assert_eq!((first.number, second.number), (BlockNumber(1), BlockNumber(2)));
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
        if let Some(Record::Sealed(_)) = entered.records.first() {
            sealed = sealed.or(Some(nonce));
        }
    }
    // 48,000 bytes: 96 of the deposit and 288 of each key change.
    assert_eq!(sealed, Some(166));
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

    let forge = |at: usize, change: &dyn Fn(&mut Executed)| {
        let mut forged = journal.clone();
        let Record::Executed(executed) = &mut forged[at] else { panic!("an operation") };
        change(executed);
        replay(&forged)
    };
    let spent = |executed: &mut Executed| {
        let Source::Tx(accepted) = &mut executed.source else { panic!("a transaction") };
        let Tx::Transfer(transfer) = &mut accepted.tx.tx else { panic!("a transfer") };
        transfer.amount = Amount(2 * UNIT);
    };
    assert_eq!(forge(2, &spent), Err(ReplayError::Refused(Reject::Signature.into())));
    let deposited = |executed: &mut Executed| {
        let Source::Deposit(accepted) = &mut executed.source else { panic!("a deposit") };
        accepted.deposit.amount = Amount(101 * UNIT);
    };
    assert_eq!(forge(0, &deposited), Err(ReplayError::Different("an entry")));
    let done = |executed: &mut Executed| {
        let Op::Transfer(transfer) = &mut executed.op else { panic!("a transfer") };
        transfer.to_account = BOB;
        transfer.new_owner = None;
    };
    assert_eq!(forge(2, &done), Err(ReplayError::Different("an entry")));

    for change in [(|seal| seal.number.0 += 1) as fn(&mut Seal), |seal| seal.shape = SMALL] {
        let mut forged = journal.clone();
        let Some(Record::Sealed(seal)) = forged.last_mut() else { panic!("a seal") };
        change(seal);
        let number = seal.number;
        match seal.shape {
            SMALL => assert_eq!(replay(&forged), Ok(()), "a larger one holds it, too"),
            _ => assert_eq!(replay(&forged), Err(ReplayError::Block(number))),
        }
    }

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

        let mut state = genesis();
        let mut tree = StateTree::of(&state);
        for sealed in blocks_of(&journal) {
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
