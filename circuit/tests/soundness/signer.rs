//! Operations that nobody, or somebody else, has signed.

use zklink::fixtures::{ONE, Scenario};
use zklink::id::{AccountId, ChainId, Nonce, Owner};
use zklink::key::{PublicKey, SecretKey, sign};
use zklink::op::{ChangePubKey, Op, SlotKind, Transfer};
use zklink::state::DeploymentId;

use super::{BAD_SIGNATURE, HONEST, OTHER_ONCHAIN, block, transfer_of, withdraw_of};
use crate::blocks::world;
use crate::ops::{change_key, message, signed, transfer, withdraw};

fn owner_of(world: &Scenario, account: u32) -> Owner {
    world.state.account(AccountId(account)).expect("it exists").owner
}

/// A change of the key of account 2, signed by user `signer`.
fn change_signed_by(world: &Scenario, op: ChangePubKey, signer: u8) -> crate::cheat::Cheat {
    let op = Op::ChangePubKey(op);
    let signature = signed(world, signer, &op, Owner::NONE, Nonce(0));
    block(world).slot(SlotKind::ChangePubKey, op, signature)
}

#[test]
fn what_the_owner_signed_passes() {
    let world = world();
    assert_eq!(transfer_of(&world, transfer(2, 3, ONE)).caught(), HONEST);
    assert_eq!(withdraw_of(&world, withdraw(2, 7, Scenario::owner(8))).caught(), HONEST);
    assert_eq!(change_signed_by(&world, change_key(&world, 2, 7), 7).caught(), HONEST);
}

#[test]
fn the_new_key_must_sign() {
    // zkSync Lite: any key could sign a change of key. Here not even the old key of the account can.
    let world = world();
    for signer in [1, 2] {
        let caught = change_signed_by(&world, change_key(&world, 2, 7), signer).caught();
        assert_eq!(caught, BAD_SIGNATURE);
    }
}

#[test]
fn a_receiver_cannot_be_redirected() {
    // zkSync Lite: the receiver that was signed and the one that was credited were two witnesses. User 1 signs for user
    // 2, the operator credits user 3, and all that he publishes fits.
    let world = world();
    let op = Op::Transfer(transfer(2, 4, ONE));
    let signature = signed(&world, 1, &op, owner_of(&world, 3), world.nonce(AccountId(2)));
    let cheat = block(&world).slot(SlotKind::Transfer, op, signature);
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
}

#[test]
fn a_new_receiver_cannot_be_redirected() {
    let world = world();
    let op = Op::Transfer(Transfer { new_owner: Some(Scenario::owner(66)), ..transfer(2, 5, ONE) });
    let signature = signed(&world, 1, &op, Scenario::owner(9), world.nonce(AccountId(2)));
    let accounts = [0, 2, 5].map(|id| (id, super::USDC_ONLY));
    let cheat = crate::cheat::Cheat::open(&world, &accounts, &[]);
    assert_eq!(cheat.slot(SlotKind::TransferToNew, op, signature).caught(), BAD_SIGNATURE);
}

#[test]
fn another_user_cannot_sign() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let signature = signed(&world, 2, &op, owner_of(&world, 3), world.nonce(AccountId(2)));
    assert_eq!(block(&world).slot(SlotKind::Transfer, op, signature).caught(), BAD_SIGNATURE);
}

#[test]
fn an_operation_cannot_use_the_dummy_key() {
    // The key that signs for idle slots is known to everybody.
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let mut one = [0; 32];
    one[0] = 1;
    let dummy = SecretKey::from_bytes(&one).expect("one is a secret key");
    let nonce = world.nonce(AccountId(2)).0;
    let said = message(world.state.system.deployment, &op, owner_of(&world, 3), nonce);
    let cheat = block(&world).slot(SlotKind::Transfer, op, Some(sign(&dummy, said)));
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
}

#[test]
fn an_account_without_a_key_cannot_sign() {
    let world = world();
    assert_eq!(world.state.account(AccountId(4)).expect("it exists").key, None);
    let op = Op::Transfer(transfer(4, 3, ONE));
    let signature = signed(&world, 3, &op, owner_of(&world, 3), Nonce(0));
    let caught = block(&world).slot(SlotKind::Transfer, op, signature).caught();
    assert_eq!(caught[0], "slot 0/signature/c A/montgomery/v");
}

#[test]
fn a_used_or_skipped_nonce_is_refused() {
    let world = world();
    let nonce = world.nonce(AccountId(2)).0;
    for other in [nonce + 1, nonce + (1 << 31)] {
        let op = Op::Transfer(transfer(2, 3, ONE));
        let signature = signed(&world, 1, &op, owner_of(&world, 3), Nonce(other));
        let cheat = block(&world).slot(SlotKind::Transfer, op, signature);
        assert_eq!(cheat.caught(), BAD_SIGNATURE);
    }
    // The same signature twice in a block.
    let cheat = transfer_of(&world, transfer(2, 3, ONE));
    let again = cheat.witness.slots[0].clone();
    let caught = cheat.slot(SlotKind::Transfer, again.op, again.signature).caught();
    assert_eq!(caught, ["slot 1/signature/T/small order"]);
}

#[test]
fn a_skipped_nonce_of_a_key_change_is_refused() {
    // zkSync Lite: the equality of the nonce was computed and did not count.
    let world = world();
    let honest = change_key(&world, 2, 7);
    let skipped = ChangePubKey { nonce: Nonce(honest.nonce.0 + 1), ..honest.clone() };
    let caught = change_signed_by(&world, skipped.clone(), 7).caught();
    let mut both = BAD_SIGNATURE.to_vec();
    both.extend(OTHER_ONCHAIN);
    assert_eq!(caught, both);
    // He publishes the right nonce over a signature with another one.
    let signature = signed(&world, 7, &Op::ChangePubKey(skipped), Owner::NONE, Nonce(0));
    let cheat = block(&world).slot(SlotKind::ChangePubKey, Op::ChangePubKey(honest), signature);
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
}

#[test]
fn the_last_nonce_cannot_be_passed() {
    // The nonce after the last one would be zero again, or spill into the number beside it.
    let mut world = world();
    crate::blocks::edit_counters(&mut world, u32::MAX, 0);
    let caught = transfer_of(&world, transfer(2, 3, ONE)).caught();
    assert_eq!(caught, ["close/account 1/sub-account 1/new nonce range/recomposed"]);
    let caught = change_signed_by(&world, change_key(&world, 2, 7), 7).caught();
    assert_eq!(caught, ["close/account 1/new nonce range/recomposed"]);
}

#[test]
fn every_signed_field_counts() {
    let world = world();
    let nonce = world.nonce(AccountId(2));
    let honest = transfer(2, 3, ONE);
    let fee = zklink::amount::Fee(honest.fee.0 + 32);
    let changed = [
        Transfer { amount: zklink::amount::Amount(ONE + 1), ..honest },
        Transfer { fee, ..honest },
        Transfer { account: AccountId(3), ..honest },
        Transfer { to_sub_account: zklink::id::SubAccountId(1), ..honest },
        Transfer { token: zklink::fixtures::COIN, ..honest },
    ];
    for other in changed {
        // User 1 signs something else than what is executed.
        let signature = signed(&world, 1, &Op::Transfer(other), owner_of(&world, 3), nonce);
        let cheat = block(&world).slot(SlotKind::Transfer, Op::Transfer(honest), signature);
        assert_eq!(cheat.caught(), BAD_SIGNATURE, "{other:?}");
    }
    let honest = withdraw(2, 7, Scenario::owner(1));
    let changed = [
        zklink::op::Withdraw { l1_amount: 8, ..honest },
        zklink::op::Withdraw { scale: 11, ..honest },
        zklink::op::Withdraw { chain: ChainId(2), ..honest },
        zklink::op::Withdraw { to: Scenario::owner(66), ..honest },
        zklink::op::Withdraw { to: Owner([1; 32]), ..honest },
    ];
    for other in changed {
        let signature = signed(&world, 1, &Op::Withdraw(other), Owner::NONE, nonce);
        let cheat = block(&world).slot(SlotKind::Withdraw, Op::Withdraw(honest), signature);
        assert_eq!(cheat.caught(), BAD_SIGNATURE, "{other:?}");
    }
}

#[test]
fn another_form_of_the_same_fee_is_refused() {
    // 10 * 10^1 and 1 * 10^2 are one amount, and two floats: what is published must be what was signed.
    let world = world();
    let fee = |mantissa: u16, exponent: u16| zklink::amount::Fee(mantissa << 5 | exponent);
    assert_eq!(fee(10, 1).amount(), fee(1, 2).amount());
    let op = Transfer { fee: fee(10, 1), ..transfer(2, 3, ONE) };
    let signature =
        signed(&world, 1, &Op::Transfer(op), owner_of(&world, 3), world.nonce(AccountId(2)));
    let op = Op::Transfer(Transfer { fee: fee(1, 2), ..op });
    assert_eq!(block(&world).slot(SlotKind::Transfer, op, signature).caught(), BAD_SIGNATURE);
}

#[test]
fn a_signature_for_another_deployment_is_refused() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let nonce = world.nonce(AccountId(2)).0;
    let said = message(DeploymentId([7; 31]), &op, owner_of(&world, 3), nonce);
    let signature = Some(sign(&Scenario::key(1), said));
    assert_eq!(block(&world).slot(SlotKind::Transfer, op, signature).caught(), BAD_SIGNATURE);
}

#[test]
fn a_transfer_is_not_a_withdrawal() {
    // Amount and receiver stand at the same places of both messages; the type tells them apart.
    let world = world();
    let op = Op::Transfer(transfer(2, 3, 7));
    let signature = signed(&world, 1, &op, Scenario::owner(2), world.nonce(AccountId(2)));
    let op = Op::Withdraw(withdraw(2, 7, Scenario::owner(2)));
    assert_eq!(block(&world).slot(SlotKind::Withdraw, op, signature).caught(), BAD_SIGNATURE);
}

#[test]
fn a_key_outside_of_the_subgroup_is_refused() {
    let world = world();
    let key = Scenario::key(7).public();
    // The key plus the point of order two: on the curve, and `8 * eighth` is another point.
    let shifted = PublicKey::from_state(-key.x(), -key.y()).expect("it is on the curve");
    let op = Op::ChangePubKey(ChangePubKey { key: shifted, ..change_key(&world, 2, 7) });
    let signature = signed(&world, 7, &op, Owner::NONE, Nonce(0));
    let caught = block(&world).slot(SlotKind::ChangePubKey, op, signature).caught();
    assert_eq!(caught[..2], ["slot 0/prime order/whole/x", "slot 0/prime order/whole/y"]);
}
