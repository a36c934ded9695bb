//! Amounts that are not there, do not fit, or wrap around.

use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::id::{ChainId, Owner, SubAccountId};
use zklink::op::{Op, SlotKind};

use super::{HONEST, block, transfer_of, withdraw_of};
use crate::blocks::{FEE, world};
use crate::cheat::{Cheat, Subs};
use crate::ops::{deposit, signed, transfer, withdraw};

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
fn a_transfer_between_sub_accounts_of_one_account_is_provable() {
    // No shape has room for two sub-accounts of one account yet; the circuit can prove it already.
    let world = world();
    let mut op = transfer(2, 2, ONE);
    op.to_sub_account = SubAccountId(31);
    let subs: Subs<'_> = &[(0, &[USDC]), (31, &[USDC])];
    let signature =
        signed(&world, 1, &Op::Transfer(op), Scenario::owner(1), world.nonce(op.account));
    let cheat = Cheat::open(&world, &[(0, super::USDC_ONLY), (2, subs)], &[]);
    let cheat = cheat.slot(SlotKind::Transfer, Op::Transfer(op), signature).settle();
    assert_eq!(cheat.failures(), HONEST);
    // And it leads to the root to which execution leads.
    let (mut state, mut tree) = (world.state.clone(), world.tree.clone());
    Op::Transfer(op).apply(&mut state).expect("it is covered");
    state.system.number = state.system.number.next().expect("few blocks");
    state.system.timestamp = cheat.witness.timestamp;
    tree.update(&state, &Op::Transfer(op).cells(state.system.fee_account));
    assert_eq!(cheat.witness.public.onchain[1], tree.root());
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
    op.chain = ChainId(2);
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(2, &[USDC])]);
    let op = Op::Withdraw(op);
    let signature = signed(&world, 1, &op, Owner::NONE, world.nonce(world.account(1)));
    let cheat = cheat.slot(SlotKind::Withdraw, op, signature);
    let pool = "close/chain 0/pool 0/range/recomposed";
    assert_eq!(cheat.caught(), ["slot 0/left in the pool/recomposed", pool]);
}

#[test]
fn more_than_the_pool_is_refused_though_a_later_deposit_fills_it() {
    let world = world();
    let mut op = withdraw(2, 1, Scenario::owner(1));
    op.chain = ChainId(2);
    let mut fill = deposit(2, ONE, Scenario::owner(1));
    fill.chain = op.chain;
    let op = Op::Withdraw(op);
    let signature = signed(&world, 1, &op, Owner::NONE, world.nonce(world.account(1)));
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(2, &[USDC])])
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
        let mut expected = vec!["slot 0/scaled/below 20"];
        if too_large & 3 == 3 {
            expected.push("slot 0/scaled/below 19");
        }
        assert_eq!(scale(too_large, 0), expected, "{too_large}");
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
    // A deposit that fits, while the pool and the balance that it raises do not.
    let world = world();
    let op = Op::Deposit(deposit(2, u128::MAX, Scenario::owner(1)));
    let cheat = block(&world).slot(SlotKind::Deposit, op, None);
    let (balance, pool) = (
        "close/account 1/sub-account 1/balance 0/range/recomposed",
        "close/chain 0/pool 0/range/recomposed",
    );
    assert_eq!(cheat.caught(), ["slot 0/pool range/recomposed", balance, pool]);
}
