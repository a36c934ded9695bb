//! What the protocol refuses, and which rule it names when several are broken.
//!
//! The tables follow the pages in `docs/protocol`: rules in the order in which they are reported. Each is broken
//! alone and together with each later one.

#[path = "reject/cases.rs"]
mod cases;
#[path = "reject/unprovable.rs"]
mod unprovable;

use cases::{Case, Fault, USER, check_rules, edit_state, unsigned};
use zklink::amount::{Amount, Fee};
use zklink::fees::{FeeTable, LeastFees};
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use zklink::op::{Deposit, Op};
use zklink::reject::Reject;
use zklink::shape::SMALL;
use zklink::state::{DeploymentId, State};
use zklink::tx::{CheckedTx, SignedTx, Tx};

/// An account id that nobody has.
const NOBODY: AccountId = AccountId(777_777);
/// One above the last account.
const OUTSIDE: AccountId = AccountId(AccountId::COUNT);
const SUB_OUTSIDE: SubAccountId = SubAccountId(SubAccountId::COUNT);
const UNKNOWN_TOKEN: TokenId = TokenId(999);
const UNKNOWN_CHAIN: ChainId = ChainId(9);
/// A multiple of every chain's unit that overflows with any fee of at least one token.
const OVERFLOWING: Amount = Amount(u128::MAX / ONE * ONE);

fn balance(case: &Case, needed: u128) -> Reject {
    let available = case.world.state.balance(case.world.account(USER), SubAccountId(0), USDC);
    Reject::Balance { available, needed: Amount(needed) }
}

/// A version that no key of the tests has.
const OTHER_VERSION: KeyVersion = KeyVersion(9);

fn wrong_version(case: &Case) -> Reject {
    let expected = case.world.key_version(case.world.account(USER));
    Reject::KeyVersion { expected, found: OTHER_VERSION }
}

#[test]
fn transfers_name_the_first_broken_rule() {
    let base = Case::new(|world| world.transfer(USER, Scenario::owner(7), 10 * ONE, ONE / 100));
    let rules: [Fault; 14] = [
        ("account", |case| case.transfer().account_id = OUTSIDE, |_| Reject::BadAccount(OUTSIDE)),
        (
            "from",
            |case| case.transfer().from_sub_account_id = SUB_OUTSIDE,
            |_| Reject::BadSubAccount(SUB_OUTSIDE),
        ),
        (
            "to",
            |case| case.transfer().to_sub_account_id = SubAccountId(255),
            |_| Reject::BadSubAccount(SubAccountId(255)),
        ),
        (
            "token",
            |case| case.transfer().token = UNKNOWN_TOKEN,
            |_| Reject::UnknownToken(UNKNOWN_TOKEN),
        ),
        ("receiver", |case| case.transfer().to = Owner::NONE, |_| Reject::BadReceiver),
        (
            "existence",
            |case| case.transfer().account_id = NOBODY,
            |_| Reject::AccountNotFound(NOBODY),
        ),
        ("key", Case::forget_key, |case| Reject::KeyNotSet(case.world.account(USER))),
        (
            "nonce",
            |case| case.transfer().nonce = Nonce(5),
            |case| Reject::Nonce { expected: case.next_nonce(), found: Nonce(5) },
        ),
        ("key version", |case| case.transfer().key_version = OTHER_VERSION, wrong_version),
        ("signature", |case| case.signer = 8, |_| Reject::Signature),
        ("fee", Case::raise_fees, Case::fee_too_low),
        ("last nonce", Case::use_up_nonce, |_| Reject::NonceExhausted),
        (
            "overflow",
            |case| {
                case.transfer().amount = OVERFLOWING;
                case.transfer().fee = Fee::closest(Amount(ONE));
            },
            |_| Reject::AmountOverflow,
        ),
        (
            "balance",
            |case| case.transfer().amount = Amount(5000 * ONE),
            |case| balance(case, 5000 * ONE + ONE / 100),
        ),
    ];
    check_rules(&base, &rules);
}

#[test]
fn withdrawals_name_the_first_broken_rule() {
    let base = Case::new(|world| world.withdraw(USER, 1, USDC, 10 * ONE, ONE / 100));
    let rules: [Fault; 16] = [
        (
            "chain",
            |case| case.withdraw().to_chain_id = UNKNOWN_CHAIN,
            |_| Reject::UnknownChain(UNKNOWN_CHAIN),
        ),
        ("account", |case| case.withdraw().account_id = OUTSIDE, |_| Reject::BadAccount(OUTSIDE)),
        (
            "sub-account",
            |case| case.withdraw().sub_account_id = SUB_OUTSIDE,
            |_| Reject::BadSubAccount(SUB_OUTSIDE),
        ),
        // The coin is registered, but not on chain 2.
        (
            "token",
            |case| {
                case.withdraw().token = COIN;
                case.withdraw().to_chain_id = ChainId(2);
            },
            |_| Reject::UnknownToken(COIN),
        ),
        (
            "dust",
            |case| case.withdraw().amount.0 += 1,
            |_| Reject::Dust { chain: ChainId(1), decimals: 6 },
        ),
        ("receiver", |case| case.withdraw().to.address = [7; 32], |_| Reject::BadReceiver),
        (
            "existence",
            |case| case.withdraw().account_id = NOBODY,
            |_| Reject::AccountNotFound(NOBODY),
        ),
        ("key", Case::forget_key, |case| Reject::KeyNotSet(case.world.account(USER))),
        (
            "nonce",
            |case| case.withdraw().nonce = Nonce(5),
            |case| Reject::Nonce { expected: case.next_nonce(), found: Nonce(5) },
        ),
        ("key version", |case| case.withdraw().key_version = OTHER_VERSION, wrong_version),
        ("signature", |case| case.signer = 8, |_| Reject::Signature),
        ("fee", Case::raise_fees, Case::fee_too_low),
        ("last nonce", Case::use_up_nonce, |_| Reject::NonceExhausted),
        (
            "overflow",
            |case| {
                case.withdraw().amount = OVERFLOWING;
                case.withdraw().max_fee = Fee::closest(Amount(ONE));
            },
            |_| Reject::AmountOverflow,
        ),
        (
            "balance",
            |case| case.withdraw().amount = Amount(5000 * ONE),
            |case| balance(case, 5000 * ONE + ONE / 100),
        ),
        (
            "reserve",
            |case| case.withdraw().amount = Amount(1010 * ONE),
            |_| Reject::Reserve {
                chain: ChainId(1),
                token: USDC,
                available: Amount(1000 * ONE),
                needed: Amount(1010 * ONE),
            },
        ),
    ];
    check_rules(&base, &rules);
}

#[test]
fn key_changes_name_the_first_broken_rule() {
    let base = Case::new(cases::next_key_change);
    let rules: [Fault; 14] = [
        (
            "chain",
            |case| case.change().chain_id = UNKNOWN_CHAIN,
            |_| Reject::UnknownChain(UNKNOWN_CHAIN),
        ),
        ("account", |case| case.change().account_id = OUTSIDE, |_| Reject::BadAccount(OUTSIDE)),
        (
            "sub-account",
            |case| case.change().sub_account_id = SUB_OUTSIDE,
            |_| Reject::BadSubAccount(SUB_OUTSIDE),
        ),
        (
            "token",
            |case| case.change().fee_token = UNKNOWN_TOKEN,
            |_| Reject::UnknownToken(UNKNOWN_TOKEN),
        ),
        (
            "existence",
            |case| case.change().account_id = NOBODY,
            |_| Reject::AccountNotFound(NOBODY),
        ),
        (
            "nonce",
            |case| case.change().nonce = Nonce(5),
            |case| {
                let account = case.world.state.account(case.world.account(USER));
                let expected = account.expect("the user has an account").nonce;
                Reject::Nonce { expected, found: Nonce(5) }
            },
        ),
        ("key version", |case| case.change().key_version = OTHER_VERSION, wrong_version),
        (
            "authorisation",
            |case| case.world.authorised.0.clear(),
            |_| {
                Reject::KeyNotAuthorised(
                    "no final setAuthPubKey of this key and nonce was seen on that chain",
                )
            },
        ),
        ("signature", |case| case.signer = 8, |_| Reject::Signature),
        ("tampered", |case| case.tampered = true, |_| Reject::Signature),
        ("fee", Case::raise_fees, Case::fee_too_low),
        ("last nonce", Case::use_up_account_nonce, |_| Reject::NonceExhausted),
        ("last version", Case::use_up_key_version, |_| Reject::NonceExhausted),
        (
            "balance",
            |case| case.change().fee = Fee::closest(Amount(5000 * ONE)),
            |case| balance(case, Fee::closest(Amount(5000 * ONE)).amount().0),
        ),
    ];
    check_rules(&base, &rules);
}

/// Breaks a deposit, and what is then wanted.
type BrokenDeposit = (fn(&mut Deposit), Reject);

#[test]
fn deposits_name_the_first_broken_rule() {
    let mut world = Scenario::new();
    let base = match world.deposit(1, USDC, 1, 5).expect("the first deposit is in order") {
        Op::Deposit(deposit) => deposit,
        other => panic!("{other:?} is not a deposit"),
    };
    let rules: [BrokenDeposit; 7] = [
        (|op| op.chain = ChainId(64), Reject::UnknownChain(ChainId(64))),
        (|op| op.account = OUTSIDE, Reject::BadAccount(OUTSIDE)),
        (|op| op.sub_account = SUB_OUTSIDE, Reject::BadSubAccount(SUB_OUTSIDE)),
        (|op| op.owner = Owner::NONE, Reject::BadReceiver),
        (|op| op.owner.home = ChainId(64), Reject::BadReceiver),
        (|op| op.amount = Amount(1 << 126), Reject::AmountOverflow),
        (|op| op.account = AccountId(0), Reject::OwnerMismatch(AccountId(0))),
    ];
    for (first, (break_first, wanted)) in rules.iter().enumerate() {
        for (break_second, _) in &rules[first..] {
            let mut op = base;
            break_second(&mut op);
            break_first(&mut op);
            let before = world.state.clone();
            assert_eq!(Op::Deposit(op).apply(&mut world.state), Err(wanted.clone()));
            assert_eq!(world.state, before, "a rejection changes nothing");
        }
    }
}

#[test]
fn each_kind_of_transaction_has_its_least_fee() {
    let of = |thousandths| Fee::exact(Amount(thousandths * ONE / 1000)).expect("a round fee");
    let fees = LeastFees {
        transfer: of(1),
        transfer_to_new: of(20),
        withdraw: of(300),
        change_pub_key: of(400),
    };
    let table = FeeTable([(USDC, fees)].into());
    let mut world = cases::world();
    let key_change = cases::next_key_change(&mut world);
    let (known, new) = (Scenario::owner(USER), Scenario::owner(7));
    let cases = [
        (world.transfer(USER, known, ONE, 0), of(1)),
        (world.transfer(USER, new, ONE, 0), of(20)),
        (world.withdraw(USER, 1, USDC, ONE, 0), of(300)),
        (key_change, of(400)),
    ];
    for (mut tx, least) in cases {
        assert_eq!(table.least(&tx, &world.state), least, "{tx:?}");
        assert_eq!(FeeTable::default().least(&tx, &world.state), Fee::ZERO, "free by default");
        for (fee, taken) in [(Fee::closest(Amount(least.amount().0 - 1)), false), (least, true)] {
            match &mut tx {
                Tx::Transfer(tx) => tx.fee = fee,
                Tx::Withdraw(tx) => tx.max_fee = fee,
                Tx::ChangePubKey(tx) => tx.fee = fee,
            }
            let deployment = world.state.system.deployment;
            let signed = tx.clone().sign(&Scenario::key(USER), deployment, &world.network);
            let signed = signed.expect("it is well formed");
            let checked =
                CheckedTx::new(signed, deployment, &world.network).expect("it has a form");
            let admitted = table.admit(&checked, &world.state, &world.network, &world.authorised);
            let (paid, least) = (fee.amount(), least.amount());
            if taken {
                admitted.expect("it pays the least fee");
            } else {
                assert_eq!(admitted, Err(Reject::FeeTooLow { token: USDC, paid, least }));
            }
        }
    }
    let coin = world.transfer(USER, new, ONE, 0);
    let Tx::Transfer(coin) = coin else { unreachable!("transfers are transfers") };
    let coin = Tx::Transfer(zklink::tx::TransferTx { token: COIN, ..coin });
    assert_eq!(table.least(&coin, &world.state), Fee::ZERO, "the table is of each token");
}

#[test]
fn every_rejection_has_its_code() {
    let (available, needed) = (Amount(1), Amount(2));
    let (chain, token) = (ChainId(1), USDC);
    let codes = [
        (Reject::UnknownChain(chain), 100),
        (Reject::BadAccount(OUTSIDE), 101),
        (Reject::BadSubAccount(SUB_OUTSIDE), 102),
        (Reject::UnknownToken(token), 103),
        (Reject::BadReceiver, 106),
        (Reject::AmountOverflow, 106),
        (Reject::Dust { chain, decimals: 6 }, 106),
        (Reject::AccountNotFound(NOBODY), 201),
        (Reject::OwnerMismatch(NOBODY), 201),
        (Reject::AccountsFull, 201),
        (Reject::KeyNotSet(NOBODY), 204),
        (Reject::Nonce { expected: Nonce(1), found: Nonce(2) }, 205),
        (Reject::NonceExhausted, 205),
        (Reject::KeyNotAuthorised("why"), 108),
        (Reject::Signature, 110),
        (Reject::KeyVersion { expected: KeyVersion(1), found: KeyVersion(2) }, 110),
        (Reject::Balance { available, needed }, 206),
        (Reject::FeeTooLow { token, paid: available, least: needed }, 207),
        (Reject::Reserve { chain, token, available, needed }, 208),
        (Reject::Serial { chain, expected: 3 }, 205),
    ];
    for (reject, code) in codes {
        assert_eq!(reject.code(), code, "{reject:?}");
    }
}

#[test]
fn a_transaction_counts_once_and_on_its_own_deployment() {
    let mut world = cases::world();
    let tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    let elsewhere = tx.clone().sign(&Scenario::key(USER), DeploymentId([9; 31]), &world.network);
    let elsewhere = elsewhere.expect("it is well formed");
    assert_eq!(world.submit(&elsewhere), Err(Reject::Signature));
    let nonce = world.nonce(world.account(USER));
    let here = tx.sign(&Scenario::key(USER), world.state.system.deployment, &world.network);
    let here = here.expect("it is well formed");
    assert!(world.submit(&here).is_ok());
    let expected = nonce.next().expect("it is a small number");
    assert_eq!(world.submit(&here), Err(Reject::Nonce { expected, found: nonce }));
}

#[test]
fn nonces_have_no_gaps() {
    let mut world = cases::world();
    let mut tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    let expected = world.nonce(world.account(USER));
    let found = Nonce(expected.0 + 1);
    if let Tx::Transfer(tx) = &mut tx {
        tx.nonce = found;
    }
    assert_eq!(world.send(USER, tx), Err(Reject::Nonce { expected, found }));
}

#[test]
fn the_last_nonce_is_reached_and_not_passed() {
    let mut world = cases::world();
    let account = world.account(USER);
    edit_state(&mut world.state, |state| {
        state["accounts"]["2"]["sub_accounts"]["0"]["nonce"] = (u32::MAX - 1).into();
    });
    let tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    assert!(world.send(USER, tx).is_ok());
    assert_eq!(world.nonce(account), Nonce(u32::MAX));
    let tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    assert_eq!(world.send(USER, tx), Err(Reject::NonceExhausted));
}

#[test]
fn the_last_sub_account_and_account_are_inside() {
    let mut world = cases::world();
    let mut tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    if let Tx::Transfer(tx) = &mut tx {
        tx.to_sub_account_id = SubAccountId(31);
    }
    assert!(world.send(USER, tx).is_ok());
    let seven = world.account(7);
    assert_eq!(world.state.balance(seven, SubAccountId(31), USDC), Amount(ONE));
    let last = AccountId(AccountId::COUNT - 1);
    let mut tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    if let Tx::Transfer(tx) = &mut tx {
        tx.account_id = last;
    }
    assert_eq!(world.send(USER, tx), Err(Reject::AccountNotFound(last)));
}

#[test]
fn paying_oneself_moves_the_fee_only_and_needs_the_whole_sum() {
    let mut world = cases::world();
    let account = world.account(USER);
    let before = world.state.balance(account, SubAccountId(0), USDC);
    let tx = world.transfer(USER, Scenario::owner(USER), before.0, ONE);
    let needed = Amount(before.0 + ONE);
    assert_eq!(world.send(USER, tx), Err(Reject::Balance { available: before, needed }));
    let tx = world.transfer(USER, Scenario::owner(USER), before.0 - ONE, ONE);
    assert!(world.send(USER, tx).is_ok());
    let left = world.state.balance(account, SubAccountId(0), USDC);
    assert_eq!(left, Amount(before.0 - ONE));
    assert_eq!(zklink::audit::audit(&world.state), Ok(()));
}

#[test]
fn paying_the_fee_account_gives_it_amount_and_fee() {
    let mut world = cases::world();
    let fees = world.state.system.fee_account;
    let owner = world.state.account(fees).expect("it is there from genesis").owner;
    let tx = world.transfer(USER, owner, 3 * ONE, ONE);
    assert!(world.send(USER, tx).is_ok());
    assert_eq!(world.state.balance(fees, SubAccountId(0), USDC), Amount(3 * ONE));
    assert_eq!(world.state.fees(), &[(USDC, Amount(ONE))].into(), "fees wait for the end");
    assert_eq!(zklink::audit::audit(&world.state), Ok(()));
    world.seal(SMALL);
    assert!(world.state.fees().is_empty());
    assert_eq!(world.state.balance(fees, SubAccountId(0), USDC), Amount(4 * ONE));
    assert_eq!(zklink::audit::audit(&world.state), Ok(()));
}

#[test]
fn a_signature_is_not_taken_for_another_field() {
    let mut world = cases::world();
    let tx = world.transfer(USER, Scenario::owner(7), ONE, ONE / 100);
    let signed = tx.sign(&Scenario::key(USER), world.state.system.deployment, &world.network);
    let signed = signed.expect("it is well formed");
    let changes: [fn(&mut zklink::tx::TransferTx); 5] = [
        |tx| tx.amount.0 += 1,
        |tx| tx.fee = Fee::ZERO,
        |tx| tx.to = Scenario::owner(6),
        |tx| tx.to_sub_account_id = SubAccountId(1),
        |tx| tx.token = COIN,
    ];
    for change in changes {
        let mut changed = signed.clone();
        if let Tx::Transfer(tx) = &mut changed.tx {
            change(tx);
        }
        assert_eq!(world.submit(&changed), Err(Reject::Signature), "{:?}", changed.tx);
    }
    let junk = unsigned(signed.tx, USER);
    assert_eq!(world.submit(&junk), Err(Reject::Signature));
}

/// A transaction whose signature was checked on its way is not believed for another key than that under which it was
/// checked, and one that was not checked is checked at the state.
#[test]
fn a_checked_signature_counts_for_its_key_alone() {
    let mut world = Scenario::new();
    world.deposit(1, USDC, USER, 1_000_000_000).expect("a deposit");
    world.set_key(USER).expect("a key");
    let deployment = world.state.system.deployment;
    let tx = world.transfer(USER, Scenario::owner(USER), ONE, 0);
    let signed = tx.sign(&Scenario::key(USER), deployment, &world.network).expect("it has a form");
    let new = |signed: &SignedTx| {
        CheckedTx::new(signed.clone(), deployment, &world.network).expect("it has a form")
    };
    let at = |checked: &CheckedTx, state: &State| {
        checked.verify(state, &world.network, &world.authorised).map(drop)
    };
    let (own, other) = (Scenario::key(USER).public(), Scenario::key(9).public());
    assert_eq!(signed.signer(&world.state), Some(own));

    let unchecked = new(&signed);
    assert_eq!(at(&unchecked, &world.state), Ok(()));
    let mut checked = new(&signed);
    checked.check(&other).expect("it names another key, so that nothing is said");
    assert_eq!((&checked, at(&checked, &world.state)), (&unchecked, Ok(())));
    checked.check(&own).expect("it is right");
    assert_eq!(at(&checked, &world.state), Ok(()));

    // The key was changed between the check and the state.
    let mut changed = world.state.clone();
    edit_state(&mut changed, |state| {
        state["accounts"][&world.account(USER).0.to_string()]["key"] = String::from(other).into();
    });
    assert_eq!(at(&checked, &changed), Err(Reject::Signature));

    // Another signature by nobody.
    let mut wrong = signed.clone();
    wrong.signature.signature.s[0] ^= 1;
    let mut wrong = new(&wrong);
    assert_eq!(at(&wrong, &world.state), Err(Reject::Signature));
    assert_eq!(wrong.check(&own), Err(Reject::Signature));
    assert_eq!(at(&wrong, &world.state), Err(Reject::Signature), "what failed is not remembered");
    // One by another key, which it names.
    let tx = signed.tx.clone().sign(&Scenario::key(9), deployment, &world.network);
    let mut others = new(&tx.expect("it has a form"));
    others.check(&other).expect("it is right under that key");
    assert_eq!(at(&others, &world.state), Err(Reject::Signature));
}

/// Transactions that are checked together are refused one by one, each for its own signature.
#[test]
fn signatures_that_are_checked_together_count_each_for_itself() {
    let mut world = Scenario::new();
    world.deposit(1, USDC, USER, 1_000_000_000).expect("a deposit");
    world.set_key(USER).expect("a key");
    let deployment = world.state.system.deployment;
    let own = Scenario::key(USER).public();
    let sign = |tx: Tx, key| tx.sign(&key, deployment, &world.network).expect("it has a form");
    // More than are checked one by one. Every fifth is wrong, every seventh names another key.
    let mut signed = Vec::new();
    for place in 0..40u32 {
        let tx = world.transfer(USER, Scenario::owner(USER), u128::from(place) * ONE, 0);
        let key = Scenario::key(if place % 7 == 6 { 9 } else { USER });
        let mut signed_tx = sign(tx, key);
        if place % 5 == 4 {
            signed_tx.signature.signature.s[0] ^= 1;
        }
        signed.push(signed_tx);
    }
    // One has no form: an account that no tree has.
    let Tx::Transfer(mut nowhere) = signed[3].tx.clone() else { unreachable!("a transfer") };
    nowhere.account_id = AccountId(u32::MAX);
    signed[3].tx = Tx::Transfer(nowhere);

    let mut formed = CheckedTx::new_each(signed.clone(), deployment, &world.network);
    for (tx, signed) in formed.iter().zip(&signed) {
        assert_eq!(*tx, CheckedTx::new(signed.clone(), deployment, &world.network));
    }
    assert_eq!(formed[3], Err(Reject::BadAccount(AccountId(u32::MAX))));
    let known = formed.iter_mut().flatten().map(|tx| (tx, own));
    let results = CheckedTx::check_each(known);
    assert_eq!(results.len(), 39);
    signed.remove(3);
    for ((checked, result), signed) in formed.iter().flatten().zip(results).zip(&signed) {
        let mut alone = CheckedTx::new(signed.clone(), deployment, &world.network).expect("formed");
        assert_eq!((result, checked), (alone.check(&own), &alone), "{signed:?}");
    }
    assert_eq!(CheckedTx::check_each([]), []);
}
