//! Fees that were not signed, that go to somebody else, or to nobody.

use zklink::amount::Fee;
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, SubAccountId};
use zklink::op::{Op, Transfer, Withdraw};

use super::{BAD_SIGNATURE, HONEST, MEMORY, USDC_ONLY, block, transfer_of, withdraw_of};
use crate::blocks::{FEE, world};
use crate::cheat::{Cheat, Subs};
use crate::ops::{Said, fee, transfer, withdraw};

/// A fee by its parts.
fn float(mantissa: u16, exponent: u16) -> Fee {
    Fee(mantissa << 5 | exponent)
}

/// A withdrawal that takes one fee, of which the user signed another as the most.
fn taking(taken: Fee, most: Fee) -> Cheat {
    let world = world();
    let op = Op::Withdraw(Withdraw { fee: taken, ..withdraw(2, 7, Scenario::owner(1)) });
    let said = Said { max_fee: Some(most), ..Said::next(&world, &op) };
    let mut cheat = block(&world).saying(1, op, said);
    cheat.witness.signed[0].max_fee = most;
    cheat
}

#[test]
fn of_a_withdrawal_less_than_signed_can_be_taken() {
    assert_eq!(taking(float(7, 3), float(7, 3)).caught(), HONEST);
    assert_eq!(taking(float(6, 3), float(7, 3)).caught(), HONEST);
    assert_eq!(taking(float(0, 3), float(7, 3)).caught(), HONEST);
    assert_eq!(taking(float(0, 3), float(2047, 3)).caught(), HONEST);
}

#[test]
fn more_than_signed_is_refused() {
    let range = ["signed/slot 0/fee/at most what is signed/recomposed"];
    assert_eq!(taking(float(8, 3), float(7, 3)).caught(), range);
    assert_eq!(taking(float(1, 3), float(0, 3)).caught(), range);
    assert_eq!(taking(float(2047, 3), float(0, 3)).caught(), range);
}

#[test]
fn another_exponent_is_refused() {
    // 1 * 10^2 is not more than 10 * 10^1; but the two share an exponent, so that mantissas can be compared.
    assert_eq!(taking(float(1, 2), float(10, 1)).caught(), BAD_SIGNATURE);
    assert_eq!(taking(float(1, 3), float(1, 2)).caught(), BAD_SIGNATURE);
    assert_eq!(taking(float(1, 2), float(1, 3)).caught(), BAD_SIGNATURE);
}

#[test]
fn of_other_types_exactly_what_was_signed_is_taken() {
    let world = world();
    let pay = Op::Transfer(Transfer { fee: float(6, 3), ..transfer(2, 3, ONE) });
    let mut change = crate::ops::change_key(&world, 2, 7);
    change.fee = float(6, 3);
    for (op, n) in [(pay, 1), (Op::ChangePubKey(change), 7)] {
        let said = Said { max_fee: Some(float(7, 3)), ..Said::next(&world, &op) };
        let cheat = block(&world).saying(n, op, said);
        let cheat = cheat.choose_bits("signed/slot 0/fee/most", 7, 11);
        assert_eq!(cheat.caught(), ["signed/slot 0/fee/what is signed"]);
    }
}

#[test]
fn another_form_of_the_same_fee_is_refused() {
    // 10 * 10^1 and 1 * 10^2 are one amount, and two floats: what is published must be what was signed.
    let world = world();
    assert_eq!(float(10, 1).amount(), float(1, 2).amount());
    let op = Op::Transfer(Transfer { fee: float(1, 2), ..transfer(2, 3, ONE) });
    let said = Said { max_fee: Some(float(10, 1)), ..Said::next(&world, &op) };
    assert_eq!(block(&world).saying(1, op, said).caught(), BAD_SIGNATURE);
}

#[test]
fn a_fee_in_a_token_that_is_not_collected_is_refused() {
    let world = world();
    let both: Subs<'_> = &[(0, &[USDC, COIN])];
    let accounts = [(0, both), (2, USDC_ONLY), (3, USDC_ONLY)];
    let cheat = || {
        let cheat = Cheat::open(&world, &accounts, &[]);
        cheat.by(&world, 1, Op::Transfer(transfer(2, 3, ONE))).fee_tokens(&[Some(COIN)])
    };
    let slot = "signed/slot 0/fee";
    // He does not collect it.
    assert_eq!(cheat().caught(), [format!("{slot}/none if it does not pay")]);
    // He collects it as one of the others.
    let end = end(&cheat());
    let as_coin = cheat()
        .choose(&format!("{slot}/pays"), Fr::one())
        .choose(&format!("{slot}/token/place 0/bit"), Fr::one())
        .touch("close/balance 1/new", &[Fr::from(FEE as u64)], end);
    assert_eq!(as_coin.caught(), [format!("{slot}/its token")]);
    // He collects it as none.
    let nowhere = cheat().choose(&format!("{slot}/pays"), Fr::one()).caught();
    assert_eq!(nowhere, [format!("{slot}/token/one if on"), format!("{slot}/its token")]);
}

/// What the fee account holds of USDC before the block.
fn held(world: &Scenario) -> Fr {
    Fr::from(world.state.balance(AccountId(0), SubAccountId(0), USDC).0 as u64)
}

/// When the first token of fees is credited, in a block of one signed slot.
fn end(cheat: &Cheat) -> u64 {
    cheat.moment(1)
}

#[test]
fn a_fee_that_is_collected_is_credited() {
    let world = world();
    let held = held(&world);
    let fees = "fee tokens/fee token 0";
    let off = transfer_of(&world, transfer(2, 3, ONE)).choose(&format!("{fees}/on"), Fr::zero());
    let off = off.touch("close/balance 0/new", &[held], 0);
    assert_eq!(off.caught(), ["credit fees/fee token 0/nothing if off"]);
    // Credited, and not written.
    let kept = transfer_of(&world, transfer(2, 3, ONE)).touch("close/balance 0/new", &[held], 0);
    assert_eq!(kept.caught(), MEMORY);
    // Twice as much.
    let cheat = transfer_of(&world, transfer(2, 3, ONE));
    let end = end(&cheat);
    let more = held + Fr::from(2 * FEE as u64);
    assert_eq!(cheat.touch("close/balance 0/new", &[more], end).caught(), MEMORY);
}

#[test]
fn a_fee_for_another_account_is_refused() {
    let world = world();
    let op = || Op::Transfer(transfer(2, 3, ONE));
    // Without a balance of the fee account; another sub-account of it; another token.
    let second: Subs<'_> = &[(1, &[USDC])];
    let coins: Subs<'_> = &[(0, &[COIN])];
    for fee_account in [second, coins] {
        let accounts = [(0, fee_account), (2, USDC_ONLY), (3, USDC_ONLY)];
        assert_eq!(Cheat::open(&world, &accounts, &[]).by(&world, 1, op()).caught(), MEMORY);
    }
    let accounts = [(2, USDC_ONLY), (3, USDC_ONLY)];
    assert_eq!(Cheat::open(&world, &accounts, &[]).by(&world, 1, op()).caught(), MEMORY);
    // Which account it is stands in the old root.
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.system.fee_account = AccountId(4);
    let cheat = cheat.settle();
    assert_eq!(cheat.failures(), HONEST);
    assert_ne!(cheat.published().vectors.onchain[0], world.tree.clone().root());
}

#[test]
fn a_token_of_fees_may_stand_twice() {
    // Each fee goes to one of them, and both are credited.
    let world = world();
    for place in [0, 1] {
        let cheat = block(&world)
            .by(&world, 1, Op::Transfer(transfer(2, 3, ONE)))
            .fee_tokens(&[Some(USDC), Some(USDC)]);
        let cheat = if place == 0 { cheat } else { elsewhere(cheat) };
        assert_eq!(cheat.caught(), HONEST);
    }
}

/// Collects the fee as the second of two tokens.
fn elsewhere(cheat: Cheat) -> Cheat {
    let place = |at: usize| format!("signed/slot 0/fee/token/place {at}/bit");
    let end = end(&cheat);
    let before = cheat.synthesize().value("credit fees/fee token 0/value 0/held");
    let after = before + Fr::from(FEE as u64);
    cheat
        .choose(&place(0), Fr::zero())
        .choose(&place(1), Fr::one())
        .choose("credit fees/fee token 1/value 0/held", before)
        .touch("close/balance 0/new", &[after], end + 1)
}

#[test]
fn fees_do_not_cancel() {
    let world = world();
    let cheat = withdraw_of(&world, Withdraw { fee: fee(), ..withdraw(2, 7, Scenario::owner(1)) });
    let part = "signed/slot 0/fee/part 0/part";
    // What is collected is less than what is taken.
    let held = held(&world);
    let end = end(&cheat);
    let cheat =
        cheat.choose(part, Fr::one()).touch("close/balance 0/new", &[held + Fr::one()], end);
    assert_eq!(cheat.caught(), [part]);
}
