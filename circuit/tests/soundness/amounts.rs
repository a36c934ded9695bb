//! Amounts that are not there, do not fit, or wrap around.

use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::id::{ChainId, SubAccountId};
use zklink::op::{Op, Withdraw};

use super::{HONEST, deposit_of, transfer_of, withdraw_of};
use crate::blocks::{FEE, world};
use crate::cheat::{Cheat, Subs};
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
fn a_transfer_between_sub_accounts_of_one_account_is_provable() {
    let world = world();
    let mut op = transfer(2, 2, ONE);
    op.to_sub_account = SubAccountId(31);
    let subs: Subs<'_> = &[(0, &[USDC]), (31, &[USDC])];
    let cheat = Cheat::open(&world, &[(0, super::USDC_ONLY), (2, subs)], &[]);
    let cheat = cheat.by(&world, 1, Op::Transfer(op)).settle();
    assert_eq!(cheat.failures(), HONEST);
    // And it leads to the root to which execution leads.
    let (mut state, mut tree) = (world.state.clone(), world.tree.clone());
    Op::Transfer(op).apply(&mut state).expect("it is covered");
    let number = state.system.number.next().expect("few blocks");
    state.end_block(number, cheat.witness.timestamp);
    tree.update(&state, &Op::Transfer(op).cells(state.system.fee_account));
    assert_eq!(cheat.published().vectors.onchain[1], tree.root());
}

#[test]
fn more_than_the_balance_is_refused() {
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 3, HELD - FEE + 1));
    let balance = "close/balance 1/range/recomposed";
    assert_eq!(cheat.caught(), ["signed/slot 0/left/recomposed", balance]);
}

#[test]
fn more_than_the_balance_is_refused_though_it_comes_back() {
    // To himself: at the end of the block nothing is missing but the fee.
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 2, HELD - FEE + 1));
    assert_eq!(cheat.caught(), ["signed/slot 0/left/recomposed"]);
}

#[test]
fn a_fee_above_the_balance_is_refused() {
    let world = world();
    let mut op = transfer(2, 2, 0);
    op.fee = zklink::amount::Fee(1 << 5 | 19);
    assert!(op.fee.amount().0 > HELD);
    let balance = "close/balance 1/range/recomposed";
    let pool = "signed/slot 0/left in the pool/recomposed";
    let caught = transfer_of(&world, op).caught();
    assert_eq!(caught, ["signed/slot 0/left/recomposed", pool, balance]);
}

#[test]
fn amount_and_fee_do_not_wrap() {
    let world = world();
    let cheat = transfer_of(&world, transfer(2, 2, u128::MAX));
    assert_eq!(cheat.caught(), ["signed/slot 0/left/recomposed"]);
}

#[test]
fn all_of_a_pool_can_be_withdrawn() {
    let world = world();
    // The pool holds what three users brought; user 1 gets all of it.
    let cheat = withdraw_of(&world, withdraw(2, 4_999_999, Scenario::owner(1)));
    assert_eq!(cheat.caught(), HONEST);
}

/// A withdrawal of one unit on chain 2, whose pool is empty.
fn from_an_empty_pool() -> Op {
    Op::Withdraw(Withdraw { chain: ChainId(2), ..withdraw(2, 1, Scenario::owner(1)) })
}

#[test]
fn more_than_the_pool_is_refused() {
    let world = world();
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(2, &[USDC])]);
    let caught = cheat.by(&world, 1, from_an_empty_pool()).caught();
    let pool = "close/pool 0/range/recomposed";
    assert_eq!(caught, ["signed/slot 0/left in the pool/recomposed", pool]);
}

#[test]
fn more_than_the_pool_is_refused_though_a_later_deposit_fills_it() {
    let world = world();
    let mut fill = deposit(2, ONE, Scenario::owner(1));
    fill.chain = ChainId(2);
    let accounts = [(0, super::USDC_ONLY), (2, super::USDC_ONLY)];
    let cheat = |at| {
        let cheat = Cheat::open(&world, &accounts, &[(2, &[USDC])]);
        cheat.by(&world, 1, from_an_empty_pool()).queue(fill, at)
    };
    assert_eq!(cheat(0).caught(), HONEST, "it came before");
    assert_eq!(cheat(1).caught(), ["signed/slot 0/left in the pool/recomposed"]);
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
    assert_eq!(scale(19, 0), ["signed/slot 0/moved/below 19"]);
    for too_large in [20, 22, 24, 28, 31] {
        let mut expected = vec!["signed/slot 0/moved/below 20"];
        if too_large & 3 == 3 {
            expected.push("signed/slot 0/moved/below 19");
        }
        assert_eq!(scale(too_large, 0), expected, "{too_large}");
    }
}

#[test]
fn only_a_withdrawal_has_a_scale() {
    let world = world();
    let slot = "signed/slot 0";
    let cheat = transfer_of(&world, transfer(2, 3, 0));
    let cheat = cheat.choose(&format!("{slot}/scale/bit0/bit"), zklink::hash::Fr::one());
    let cheat = cheat.sign_computed(0, &Scenario::key(1));
    assert_eq!(cheat.caught(), [format!("{slot}/moved/no scale")]);
}

#[test]
fn scaled_amount_of_129_bits_is_refused() {
    let world = world();
    let op = withdraw(2, u128::MAX / 10u128.pow(12) + 1, Scenario::owner(1));
    let caught = withdraw_of(&world, op).caught();
    assert_eq!(
        caught[..2],
        ["signed/slot 0/left/recomposed", "signed/slot 0/left in the pool/recomposed"]
    );
    let op = Withdraw { scale: 18, ..withdraw(2, u128::MAX, Scenario::owner(1)) };
    assert_eq!(withdraw_of(&world, op).caught()[..2], caught[..2]);
}

#[test]
fn an_amount_of_129_bits_is_refused() {
    // A deposit that fits, while the pool and the balance that it raises do not.
    let world = world();
    let caught = deposit_of(&world, deposit(2, u128::MAX, Scenario::owner(1))).caught();
    let (balance, pool) = ("close/balance 1/range/recomposed", "close/pool 0/range/recomposed");
    assert_eq!(caught, ["queue/slot 0/pool range/recomposed", balance, pool]);
}

#[test]
fn a_pool_of_122_bits_is_refused() {
    let world = world();
    let bound = 1 << zklink::amount::Amount::POOL_BITS;
    let held = 15 * ONE;
    let op = |amount| deposit_of(&world, deposit(2, amount, Scenario::owner(1)));
    assert_eq!(op(bound - held - 1).caught(), HONEST);
    assert_eq!(op(bound - held).caught(), ["queue/slot 0/pool range/recomposed"]);
}
