//! Every variable of a block, changed one at a time: each change must break a constraint.
//!
//! Six changes are tried on each (one more, one minus it, its negation, zero, one, far away). What survives is listed
//! here with the reason why it harms nobody. Changes of several variables at once, with all that follows from them, are
//! the subject of `soundness.rs`; some that need no recomputation stand at the end.

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/cheat.rs"]
mod cheat;
#[path = "support/ops.rs"]
mod ops;

use blocks::{check, full, idle, world};
use cheat::{Cheat, Subs};
use ops::{change_key, deposit, signed, transfer, withdraw};
use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, Nonce, Owner};
use zklink::layout::power_of_two;
use zklink::op::{Op, SlotKind, Transfer};
use zklink::shape::NANO;

const USDC_ONLY: Subs<'_> = &[(0, &[USDC])];

/// Nothing survives.
const NONE: &[&str] = &[];

#[test]
fn every_variable_of_a_full_block_is_pinned() {
    let mut cs = check(&full());
    assert!(cs.aux_count() > 60_000);
    // The first byte of an EVM address is zero, and a zero has no inverse: its witness is free, nothing depends on it.
    let free = [
        "slot 0/no top/inverse",
        "slot 1/no top/inverse",
        "slot 2/known receiver/no top/inverse",
        "slot 3/new receiver/no top/inverse",
        "slot 4/a receiver/no top/inverse",
    ];
    assert_eq!(cs.survivors(), free);
}

#[test]
fn every_variable_of_an_idle_block_is_pinned() {
    let mut cs = check(&idle(NANO));
    let survivors = cs.survivors();
    let ending = |suffix: &str| survivors.iter().filter(|path| path.ends_with(suffix)).count();
    let within = |part: &str| survivors.iter().filter(|path| path.contains(part)).count();
    // Padding: where a sub-account or a balance that is not in use is opened, any other such place of the same
    // sub-tree is as good, since it has the same leaf and the same siblings. Nothing is read there or written.
    let padding = within("/sub-account 0/id/bit") + within("/token/bit");
    assert_eq!(padding, 3 * 5 + 4 * 16);
    // Inverses of zeros, as above: now of the low parts and of the chain as well.
    let inverses = ending("/inverse");
    assert_eq!(inverses, 2 * 5 + 1);
    // Whether an idle deposit makes an account: the owner that it would add is zero.
    let created = ending("slot 0/created");
    assert_eq!(created, 1);
    assert_eq!(survivors.len(), padding + inverses + created, "{survivors:#?}");
}

/// A block of one slot over the accounts of these numbers.
fn block(world: &Scenario, accounts: &[u32], kind: SlotKind, op: Op, by: Option<u8>) -> Cheat {
    let receiver = match &op {
        Op::Transfer(op) => {
            let known = world.state.account(op.to_account).map(|account| account.owner);
            op.new_owner.or(known).unwrap_or_default()
        }
        _ => Owner::NONE,
    };
    let signature = by.and_then(|n| signed(world, n, &op, receiver, world.nonce(AccountId(2))));
    let accounts: Vec<_> = accounts.iter().map(|id| (*id, USDC_ONLY)).collect();
    let chains: &[(u8, &[_])] = match kind {
        SlotKind::Deposit | SlotKind::Withdraw => &[(1, &[USDC])],
        _ => &[],
    };
    Cheat::open(world, &accounts, chains).slot(kind, op, signature).settle()
}

#[test]
fn every_variable_of_a_deposit_is_pinned() {
    let world = world();
    let op = Op::Deposit(deposit(2, ONE, Scenario::owner(1)));
    let cheat = block(&world, &[2], SlotKind::Deposit, op, None);
    assert_eq!(cheat.synthesize().survivors(), ["slot 0/no top/inverse"]);
    // An owner without a zero part leaves nothing free.
    let op = Op::Deposit(deposit(5, ONE, Owner([0xee; 32])));
    let cheat = block(&world, &[5], SlotKind::Deposit, op, None);
    assert_eq!(cheat.synthesize().survivors(), NONE);
}

#[test]
fn every_variable_of_a_transfer_is_pinned() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let cheat = block(&world, &[0, 2, 3], SlotKind::Transfer, op, Some(1));
    let free = ["slot 0/known receiver/no top/inverse"];
    assert_eq!(cheat.synthesize().survivors(), free);
    let op = Op::Transfer(Transfer { new_owner: Some(Owner([7; 32])), ..transfer(2, 5, ONE) });
    let cheat = block(&world, &[0, 2, 5], SlotKind::TransferToNew, op, Some(1));
    assert_eq!(cheat.synthesize().survivors(), NONE);
}

#[test]
fn every_variable_of_a_withdrawal_is_pinned() {
    let world = world();
    let op = Op::Withdraw(withdraw(2, 7, Scenario::owner(1)));
    let cheat = block(&world, &[0, 2], SlotKind::Withdraw, op, Some(1));
    assert_eq!(cheat.synthesize().survivors(), ["slot 0/a receiver/no top/inverse"]);
}

#[test]
fn every_variable_of_a_key_change_is_pinned() {
    let world = world();
    let op = Op::ChangePubKey(change_key(&world, 2, 7));
    let cheat = block(&world, &[0, 2], SlotKind::ChangePubKey, op, Some(7));
    assert_eq!(cheat.synthesize().survivors(), ["slot 0/no top/inverse"]);
}

#[test]
fn a_zero_cannot_be_called_something() {
    // The receiver does not exist; the operator claims that its owner is not zero.
    let world = world();
    let op = Op::Transfer(transfer(2, 5, ONE));
    let cheat = block(&world, &[0, 2, 5], SlotKind::Transfer, op, Some(1));
    let mut cs = cheat.synthesize();
    assert_eq!(cs.failures(), ["slot 0/known receiver/somebody if on"]);
    cs.tamper("slot 0/known receiver/no low/is zero", Fr::zero());
    for inverse in [0u64, 1, 77] {
        cs.tamper("slot 0/known receiver/no low/inverse", Fr::from(inverse));
        assert_eq!(cs.failures(), ["slot 0/known receiver/no low/one if zero"]);
    }
}

#[test]
fn a_carry_between_packed_numbers_is_refused() {
    // Two numbers share a lane of a hash. Taking 2^32 of one and one of the other leaves the lane as it is, and so does
    // one of the first and a fraction of the second: only the ranges keep them apart.
    let sub = "open/account 1/sub-account 0";
    let pairs = [
        ("system/fee account".to_owned(), "system/insurance".to_owned()),
        ("system/number".to_owned(), "system/old time".to_owned()),
        (format!("{sub}/nonce"), format!("{sub}/epoch")),
    ];
    let fraction = power_of_two(32).invert().expect("the field is odd");
    for (low, high) in &pairs {
        for (by, carry, catches) in
            [(power_of_two(32), Fr::one(), low), (Fr::one(), fraction, high)]
        {
            let mut cs = check(&full());
            let (low_value, high_value) = (cs.value(low), cs.value(high));
            cs.tamper(low, low_value + by);
            cs.tamper(high, high_value - carry);
            let failures = cs.failures();
            let expected = format!("{catches} range/recomposed");
            assert!(failures.contains(&expected.as_str()), "{expected}: {failures:?}");
            // The hashes do not notice.
            let hashed = |path: &&&str| path.contains("old/box") || path.contains("old leaf/");
            assert_eq!(failures.iter().find(hashed), None);
        }
    }
}

#[test]
fn a_digit_of_two_is_no_bit() {
    // 2 * 2^k instead of 2^(k + 1): the sum is the same.
    let mut cs = check(&full());
    let amount = "slot 0/amount";
    let bits: Vec<Fr> = (0..128).map(|at| cs.value(&format!("{amount}/bit{at}/bit"))).collect();
    let at = (1..128).find(|at| bits[*at] == Fr::one() && bits[*at - 1] == Fr::zero());
    let at = at.expect("the amount is not 2^k - 1");
    cs.tamper(&format!("{amount}/bit{at}/bit"), Fr::zero());
    cs.tamper(&format!("{amount}/bit{}/bit", at - 1), Fr::from(2));
    assert_eq!(cs.failures(), [format!("{amount}/bit{}/bit", at - 1)]);
}

#[test]
fn the_eighth_of_a_key_has_eight_values() {
    // Why a key is of prime order is shown by a point whose eightfold it is. Adding a point of small order gives
    // another such point: the witness is ambiguous, and the key is not.
    let world = world();
    let op = Op::ChangePubKey(change_key(&world, 2, 7));
    let cheat = block(&world, &[0, 2], SlotKind::ChangePubKey, op, Some(7));
    let mut cs = cheat.synthesize();
    for coordinate in ["slot 0/prime order/eighth/x", "slot 0/prime order/eighth/y"] {
        let value = cs.value(coordinate);
        cs.tamper(coordinate, -value);
    }
    assert_eq!(cs.first_failure(), None);
}

#[test]
fn no_nonce_is_signed_twice() {
    // The nonce that is signed is the one of the leaf: the witness of the operation does not have one.
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let later = signed(&world, 1, &op, Scenario::owner(2), Nonce(1));
    let accounts = [0, 2, 3].map(|id| (id, USDC_ONLY));
    let cheat = Cheat::open(&world, &accounts, &[])
        .slot(SlotKind::Transfer, op.clone(), signed(&world, 1, &op, Scenario::owner(2), Nonce(0)))
        .slot(SlotKind::Transfer, op, later);
    assert_eq!(cheat.caught(), NONE, "in order they pass");
}
