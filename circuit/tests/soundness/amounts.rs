//! Amounts that are not there, do not fit, or wrap around.

use zklink::fixtures::{ONE, Scenario};
use zklink::id::Owner;
use zklink::op::{Op, SlotKind};

use super::{HONEST, block, transfer_of, withdraw_of};
use crate::blocks::{FEE, world};
use crate::cheat::Cheat;
use crate::ops::{deposit, transfer, withdraw};

/// What user 1 holds of USDC, and each of users 2 and 3.
const HELD: u128 = 5 * ONE;

#[test]
fn all_of_a_balance_can_be_spent() {
    let world = world();
    assert_eq!(transfer_of(&world, transfer(2, 3, HELD - FEE)).caught(), HONEST);
    let all = transfer_of(&world, transfer(2, 2, HELD - FEE));
    assert_eq!(all.caught(), HONEST, "to himself");
}

#[test]
fn more_than_the_balance_is_refused() {
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 3, HELD - FEE + 1));
    let balance = "close/account 1/sub-account 1/balance 0/range/recomposed";
    assert_eq!(cheat.caught(), ["slot 0/left/recomposed", balance]);
}

#[test]
fn more_than_the_balance_is_refused_though_it_comes_back() {
    // To himself: at the end of the block nothing is missing but the fee.
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 2, HELD - FEE + 1));
    assert_eq!(cheat.caught(), ["slot 0/left/recomposed"]);
}

#[test]
fn a_fee_above_the_balance_is_refused() {
    let world = world();
    let mut op = transfer(2, 2, 0);
    op.fee = zklink::amount::Fee(1 << 5 | 19);
    assert!(op.fee.amount().0 > HELD);
    let balance = "close/account 1/sub-account 1/balance 0/range/recomposed";
    assert_eq!(transfer_of(&world, op).caught(), ["slot 0/left/recomposed", balance]);
}

#[test]
fn amount_and_fee_do_not_wrap() {
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 2, u128::MAX));
    assert_eq!(cheat.caught(), ["slot 0/left/recomposed"]);
}

#[test]
fn all_of_a_pool_can_be_withdrawn() {
    let world = world();
    // The pool holds what three users brought; user 1 gets all of it.
    let cheat = withdraw_of(&world, withdraw(2, 4_999_999, Scenario::owner(1)));
    assert_eq!(cheat.caught(), HONEST);
}

#[test]
fn more_than_the_pool_is_refused() {
    let world = world();
    let mut op = withdraw(2, 1, Scenario::owner(1));
    op.chain = zklink::id::ChainId(2);
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(2, &[zklink::fixtures::USDC])]);
    let op = Op::Withdraw(op);
    let signature = crate::ops::signed(&world, 1, &op, Owner::NONE, world.nonce(world.account(1)));
    let cheat = cheat.slot(SlotKind::Withdraw, op, signature);
    let pool = "close/chain 0/pool 0/range/recomposed";
    assert_eq!(cheat.caught(), ["slot 0/left in the pool/recomposed", pool]);
}

#[test]
fn more_than_the_pool_is_refused_though_a_later_deposit_fills_it() {
    let world = world();
    let mut op = withdraw(2, 1, Scenario::owner(1));
    op.chain = zklink::id::ChainId(2);
    let mut fill = deposit(2, ONE, Scenario::owner(1));
    fill.chain = op.chain;
    let op = Op::Withdraw(op);
    let signature = crate::ops::signed(&world, 1, &op, Owner::NONE, world.nonce(world.account(1)));
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(2, &[zklink::fixtures::USDC])])
        .slot(SlotKind::Withdraw, op, signature)
        .slot(SlotKind::Deposit, Op::Deposit(fill), None);
    assert_eq!(cheat.caught(), ["slot 0/left in the pool/recomposed"]);
}

#[test]
fn scales_above_18_are_refused() {
    let world = world();
    let scale = |scale, l1_amount| {
        let mut op = withdraw(2, l1_amount, Scenario::owner(1));
        op.scale = scale;
        withdraw_of(&world, op).caught()
    };
    assert_eq!(scale(0, 5), HONEST);
    assert_eq!(scale(18, 4), HONEST);
    // With an amount of zero nothing else can fail.
    assert_eq!(scale(19, 0), ["slot 0/scaled/below 19"]);
    for too_large in [20, 22, 24, 28, 31] {
        let caught = scale(too_large, 0);
        assert_eq!(caught[0], "slot 0/scaled/below 20", "{too_large}");
    }
}

#[test]
fn scaled_amount_of_129_bits_is_refused() {
    let world = world();
    let op = withdraw(2, u128::MAX / 10u128.pow(12) + 1, Scenario::owner(1));
    let caught = withdraw_of(&world, op).caught();
    assert_eq!(caught[0], "slot 0/scaled/range/recomposed");
}

#[test]
fn an_amount_of_129_bits_is_refused() {
    // Two deposits of which each fits, while their sum does not.
    let world = world();
    let op = Op::Deposit(deposit(2, u128::MAX, Scenario::owner(1)));
    let cheat = block(&world).slot(SlotKind::Deposit, op, None);
    let (balance, pool) = (
        "close/account 1/sub-account 1/balance 0/range/recomposed",
        "close/chain 0/pool 0/range/recomposed",
    );
    assert_eq!(cheat.caught(), [balance, pool]);
}
