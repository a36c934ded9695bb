//! Operations that reach for other cells than they say, and slots that are neither on nor off.

use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner};
use zklink::op::{Noop, Op, SlotKind, Transfer};

use super::{HONEST, OTHER_DATA, OTHER_ONCHAIN, USDC_ONLY, block, transfer_of, withdraw_of};
use crate::blocks::{edit, world};
use crate::cheat::Cheat;
use crate::ops::{deposit, signed, transfer, withdraw};

fn deposit_of(world: &Scenario, op: zklink::op::Deposit) -> Cheat {
    block(world).slot(SlotKind::Deposit, Op::Deposit(op), None)
}

#[test]
fn a_deposit_goes_to_its_owner_or_to_a_new_account() {
    let world = world();
    assert_eq!(deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).caught(), HONEST);
    let accounts = [(0, USDC_ONLY), (5, USDC_ONLY)];
    let cheat = Cheat::open(&world, &accounts, &[(1, &[USDC])]);
    let op = Op::Deposit(deposit(5, ONE, Owner([0xee; 32])));
    assert_eq!(cheat.slot(SlotKind::Deposit, op, None).caught(), HONEST);
}

#[test]
fn a_deposit_to_another_owners_account_is_refused() {
    let world = world();
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(2)));
    assert_eq!(cheat.caught(), ["slot 0/kept: same low"]);
    // Nor can he claim that the account is new.
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(2))).settle();
    let mut cs = cheat.synthesize();
    cs.tamper("slot 0/created", Fr::one());
    assert_eq!(cs.failures(), ["slot 0/created: no low"]);
}

#[test]
fn both_parts_of_an_owner_count() {
    // Two owners that differ in the first byte alone, and one of whom only that byte is not zero.
    let mut world = world();
    let (mut first_byte, mut other) = ([0; 32], [0xee; 32]);
    (first_byte[0], other[0]) = (1, 2);
    edit(&mut world, |json| {
        let owner = |bytes: &[u8; 32]| serde_json::to_value(Owner(*bytes)).expect("it is text");
        json["accounts"]["3"]["owner"] = owner(&[0xee; 32]);
        json["accounts"]["4"]["owner"] = owner(&first_byte);
    });
    assert_eq!(deposit_of(&world, deposit(3, ONE, Owner([0xee; 32]))).caught(), HONEST);
    let cheat = deposit_of(&world, deposit(3, ONE, Owner(other)));
    assert_eq!(cheat.caught(), ["slot 0/kept: same top"]);
    let mut cs = deposit_of(&world, deposit(4, ONE, Owner(first_byte))).settle().synthesize();
    cs.tamper("slot 0/created", Fr::one());
    assert_eq!(cs.failures(), ["slot 0/created: no top"]);
    let op = Transfer { new_owner: Some(Scenario::owner(9)), ..transfer(2, 4, ONE) };
    assert_eq!(transfer_of(&world, op).caught(), ["slot 0/new receiver/nobody's top"]);
}

#[test]
fn a_deposit_for_nobody_is_refused() {
    let world = world();
    let cheat = Cheat::open(&world, &[(5, USDC_ONLY)], &[(1, &[USDC])]);
    let op = Op::Deposit(deposit(5, ONE, Owner::NONE));
    assert_eq!(cheat.slot(SlotKind::Deposit, op, None).caught(), ["slot 0/somebody if on"]);
}

#[test]
fn a_deposit_on_chain_zero_is_refused() {
    let world = world();
    let mut op = deposit(2, ONE, Scenario::owner(1));
    op.chain = ChainId(0);
    let cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[(0, &[USDC])]);
    let cheat = cheat.slot(SlotKind::Deposit, Op::Deposit(op), None);
    assert_eq!(cheat.caught(), ["open/chain 0/a chain/nonzero"]);
}

#[test]
fn the_pool_of_another_chain_is_refused() {
    // The deposit arrived on chain 1; the operator raises what chain 2 owes.
    let world = world();
    let cheat = Cheat::open(&world, &[(2, USDC_ONLY)], &[(2, &[USDC])]);
    let op = Op::Deposit(deposit(2, ONE, Scenario::owner(1)));
    let mut cheat = cheat.slot(SlotKind::Deposit, op, None);
    cheat.witness.slots[0].pool = Some(0);
    assert_eq!(cheat.caught(), OTHER_ONCHAIN);
}

#[test]
fn the_pool_of_another_token_is_refused() {
    let world = world();
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY)];
    let open = || Cheat::open(&world, &accounts, &[(1, &[COIN])]);
    let op = Op::Deposit(deposit(2, ONE, Scenario::owner(1)));
    let mut cheat = open().slot(SlotKind::Deposit, op, None);
    cheat.witness.slots[0].pool = Some(0);
    assert_eq!(cheat.caught(), ["slot 0/one token"]);
    let mut cheat = withdraw_of(&world, withdraw(2, 7, Scenario::owner(1)));
    let slot = cheat.witness.slots.remove(0);
    cheat = open().slot(SlotKind::Withdraw, slot.op, slot.signature);
    cheat.witness.slots[0].pool = Some(0);
    assert_eq!(cheat.caught(), ["slot 0/one token"]);
}

#[test]
fn a_credit_in_another_token_is_refused() {
    let world = world();
    let coins: crate::cheat::Subs<'_> = &[(0, &[COIN])];
    let accounts = [(0, USDC_ONLY), (2, USDC_ONLY), (3, coins)];
    let honest = transfer_of(&world, transfer(2, 3, ONE)).witness.slots.remove(0);
    let cheat = Cheat::open(&world, &accounts, &[]);
    let mut cheat = cheat.slot(SlotKind::Transfer, honest.op, honest.signature);
    cheat.witness.slots[0].to_balance = Some(2);
    assert_eq!(cheat.caught(), ["slot 0/one token"]);
}

#[test]
fn a_fee_in_another_token_is_refused() {
    let world = world();
    let coins: crate::cheat::Subs<'_> = &[(0, &[COIN])];
    let accounts = [(0, coins), (2, USDC_ONLY), (3, USDC_ONLY)];
    let honest = transfer_of(&world, transfer(2, 3, ONE)).witness.slots.remove(0);
    let cheat = Cheat::open(&world, &accounts, &[]);
    let mut cheat = cheat.slot(SlotKind::Transfer, honest.op, honest.signature);
    cheat.witness.slots[0].fee_balance = Some(0);
    assert_eq!(cheat.caught(), ["slot 0/pay fee/fee token"]);
}

#[test]
fn a_fee_for_another_account_is_refused() {
    let world = world();
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.slots[0].fee_balance = Some(3);
    assert_eq!(cheat.caught(), ["slot 0/pay fee/fee account"]);
    // Another sub-account of the fee account is another place, too.
    let world = crate::blocks::world();
    let second: crate::cheat::Subs<'_> = &[(1, &[USDC])];
    let accounts = [(0, second), (2, USDC_ONLY), (3, USDC_ONLY)];
    let honest = transfer_of(&world, transfer(2, 3, ONE)).witness.slots.remove(0);
    let cheat = Cheat::open(&world, &accounts, &[]);
    let mut cheat = cheat.slot(SlotKind::Transfer, honest.op, honest.signature);
    cheat.witness.slots[0].fee_balance = Some(0);
    assert_eq!(cheat.caught(), ["slot 0/pay fee/fee account"]);
}

#[test]
fn a_fee_for_nobody_is_refused() {
    let world = world();
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.slots[0].fee_balance = None;
    let caught = cheat.caught();
    assert_eq!(caught[0], "slot 0/pay fee/select/one if on");
}

#[test]
fn a_transfer_without_debit_or_credit_is_refused() {
    let world = world();
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.slots[0].to_balance = None;
    assert_eq!(cheat.caught()[0], "slot 0/to/one if on");
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.slots[0].balance = None;
    assert_eq!(cheat.caught()[0], "slot 0/from/one if on");
    let mut cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1)));
    cheat.witness.slots[0].pool = None;
    assert_eq!(cheat.caught()[0], "slot 0/pool/one if on");
}

#[test]
fn two_cells_cannot_be_selected() {
    let world = world();
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    let mut cs = cheat.synthesize();
    assert!(cs.is_satisfied());
    cs.tamper("slot 0/balance/place 2/bit", Fr::one());
    assert_eq!(cs.first_failure(), Some("slot 0/balance/one if on"));
    // Half of one and half of another add up to one, but are no bits.
    let half = Fr::from(2).invert().expect("the field is odd");
    cs.tamper("slot 0/balance/place 1/bit", half);
    cs.tamper("slot 0/balance/place 2/bit", half);
    assert_eq!(cs.first_failure(), Some("slot 0/balance/place 1/bit"));
}

#[test]
fn another_account_than_published_is_refused() {
    // He credits account 3 and publishes account 2.
    let world = world();
    let mut cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1)));
    cheat.witness.slots[0].balance = Some(2);
    let caught = cheat.caught();
    let expected = ["slot 0/kept: same low", OTHER_ONCHAIN[0], OTHER_ONCHAIN[1]];
    assert_eq!(caught, expected);
    let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
    cheat.witness.slots[0].to_balance = Some(3);
    let caught = cheat.caught();
    assert_eq!(caught[..1], super::BAD_SIGNATURE);
    assert_eq!(caught[1..], OTHER_DATA);
}

#[test]
fn a_new_account_must_be_nobodys() {
    let world = world();
    let op = Transfer { new_owner: Some(Scenario::owner(9)), ..transfer(2, 4, ONE) };
    assert_eq!(transfer_of(&world, op).caught(), ["slot 0/new receiver/nobody's low"]);
}

#[test]
fn a_known_receiver_must_exist() {
    let world = world();
    let accounts = [0, 2, 5].map(|id| (id, USDC_ONLY));
    let op = Op::Transfer(transfer(2, 5, ONE));
    let signature = signed(&world, 1, &op, Owner::NONE, world.nonce(AccountId(2)));
    let cheat = Cheat::open(&world, &accounts, &[]).slot(SlotKind::Transfer, op, signature);
    assert_eq!(cheat.caught(), ["slot 0/known receiver/somebody if on"]);
    // Nor is an account made for nobody.
    let op = Op::Transfer(Transfer { new_owner: Some(Owner::NONE), ..transfer(2, 5, ONE) });
    let signature = signed(&world, 1, &op, Owner::NONE, world.nonce(AccountId(2)));
    let cheat = Cheat::open(&world, &accounts, &[]).slot(SlotKind::TransferToNew, op, signature);
    assert_eq!(cheat.caught(), ["slot 0/new receiver/somebody if on"]);
}

#[test]
fn a_key_change_of_an_account_that_does_not_exist_is_refused() {
    let world = world();
    let accounts = [0, 5].map(|id| (id, USDC_ONLY));
    let mut op = crate::ops::change_key(&world, 5, 7);
    op.fee = zklink::amount::Fee::ZERO;
    let op = Op::ChangePubKey(op);
    let signature = signed(&world, 7, &op, Owner::NONE, Nonce(0));
    let cheat = Cheat::open(&world, &accounts, &[]).slot(SlotKind::ChangePubKey, op, signature);
    assert_eq!(cheat.caught(), ["slot 0/somebody if on"]);
}

#[test]
fn a_key_change_on_chain_zero_is_refused() {
    let world = world();
    let mut op = crate::ops::change_key(&world, 2, 7);
    op.chain = ChainId(0);
    let op = Op::ChangePubKey(op);
    let signature = signed(&world, 7, &op, Owner::NONE, Nonce(0));
    let cheat = block(&world).slot(SlotKind::ChangePubKey, op, signature);
    assert_eq!(cheat.caught(), ["slot 0/a chain if on"]);
}

#[test]
fn a_slot_cannot_be_off_and_publish() {
    let world = world();
    let honest = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    let mut cheat = honest.clone();
    cheat.witness.slots[0].op = Op::Noop(Noop { slot: SlotKind::Deposit });
    (cheat.witness.slots[0].balance, cheat.witness.slots[0].pool) = (None, None);
    let mut cheat = cheat.settle();
    assert_eq!(cheat.failures(), HONEST);
    cheat.witness.public.onchain[3..].copy_from_slice(&honest.witness.public.onchain[3..]);
    assert_eq!(cheat.failures(), OTHER_ONCHAIN);
}

#[test]
fn a_slot_cannot_be_on_and_publish_nothing() {
    let world = world();
    let mut cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1))).settle();
    cheat.witness.public.onchain[3..].fill(Fr::zero());
    assert_eq!(cheat.failures(), OTHER_ONCHAIN);
}

#[test]
fn an_idle_slot_touches_nothing() {
    let world = world();
    for kind in SlotKind::ALL {
        let cheat = block(&world).idle(kind).settle();
        assert_eq!(cheat.failures(), HONEST, "{kind:?}");
        // With any cell selected it would read, write or publish: no selector may be set.
        let mut cheat = cheat;
        let slot = &mut cheat.witness.slots[0];
        slot.balance = Some(1);
        let caught = cheat.caught();
        assert!(caught[0].ends_with("/one if on"), "{kind:?}: {caught:?}");
    }
}

#[test]
fn every_number_of_an_idle_slot_is_zero() {
    // A number that were not zero would be published, or signed, or paid.
    let world = world();
    for kind in SlotKind::ALL {
        let mut cs = block(&world).idle(kind).settle().synthesize();
        let mut names: Vec<String> = cs.aux_paths().to_vec();
        names.retain(|path| path.starts_with("slot 0/") && path.ends_with("/bit0/bit"));
        names.retain(|path| !path.contains("/signature/") && !path.contains("/left"));
        names.retain(|path| !path.ends_with("range/bit0/bit"));
        let numbers = match kind {
            // The amount and both parts of the owner.
            SlotKind::Deposit => 3,
            // Amount and fee.
            SlotKind::Transfer => 2,
            // Amount, fee, and both parts of the owner.
            SlotKind::TransferToNew => 4,
            // Amount, scale, fee, and both parts of the receiver.
            SlotKind::Withdraw => 5,
            // Chain and fee.
            SlotKind::ChangePubKey => 2,
        };
        assert_eq!(names.len(), numbers, "{kind:?}: {names:?}");
        for bit in names {
            cs.tamper(&bit, Fr::one());
            let number = bit.strip_suffix("/bit0/bit").expect("it was filtered");
            let rule = format!("{number}/zero if off");
            assert!(cs.failures().contains(&rule.as_str()), "{rule}");
            cs.tamper(&bit, Fr::zero());
        }
    }
}
