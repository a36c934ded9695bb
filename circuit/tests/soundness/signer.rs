//! Operations that nobody, or somebody else, has signed.

use zklink::amount::Amount;
use zklink::fixtures::{COIN, ONE, Scenario};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::key::{PublicKey, SecretKey, sign};
use zklink::op::{ChangePubKey, Op, Transfer, Withdraw};
use zklink::state::DeploymentId;

use super::{BAD_SIGNATURE, HONEST, MEMORY, block, change_of, over, transfer_of, withdraw_of};
use crate::blocks::world;
use crate::cheat::Cheat;
use crate::ops::{Said, change_key, transfer, withdraw};

/// A block of one operation with a signature over something else.
fn signed_other(world: &Scenario, op: Op, n: u8, other: &Op, said: Said) -> Cheat {
    let to = Said::next(world, &op).to;
    block(world).signed(op, said.by(n, other), to)
}

#[test]
fn what_the_owner_signed_passes() {
    let world = world();
    assert_eq!(transfer_of(&world, transfer(2, 3, ONE)).caught(), HONEST);
    assert_eq!(withdraw_of(&world, withdraw(2, 7, Scenario::owner(8))).caught(), HONEST);
    assert_eq!(change_of(&world, change_key(&world, 2, 7), 7).caught(), HONEST);
}

#[test]
fn the_new_key_must_sign() {
    // zkSync Lite: any key could sign a change of key. Here not even the old key of the account can.
    let world = world();
    for signer in [1, 2] {
        assert_eq!(change_of(&world, change_key(&world, 2, 7), signer).caught(), BAD_SIGNATURE);
    }
}

#[test]
fn a_receiver_cannot_be_redirected() {
    // zkSync Lite: the receiver that was signed and the one that was credited were two witnesses. User 1 signs for user
    // 2, the operator credits user 3, and all that he publishes fits.
    let world = world();
    let op = Op::Transfer(transfer(2, 4, ONE));
    let said = Said { to: Scenario::owner(2), ..Said::next(&world, &op) };
    assert_eq!(signed_other(&world, op.clone(), 1, &op, said).caught(), BAD_SIGNATURE);
    // He names the one who was signed for: then the account is not his.
    assert_eq!(block(&world).saying(1, op, said).caught(), MEMORY);
}

#[test]
fn a_new_receiver_cannot_be_redirected() {
    let world = world();
    let op = Op::Transfer(Transfer { new_owner: Some(Scenario::owner(66)), ..transfer(2, 5, ONE) });
    let said = Said { to: Scenario::owner(9), ..Said::next(&world, &op) };
    let cheat = over(&world, &[0, 2, 5]);
    let cheat = cheat.signed(op.clone(), said.by(1, &op), Scenario::owner(66));
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
}

#[test]
fn another_user_cannot_sign() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    assert_eq!(block(&world).by(&world, 2, op).caught(), BAD_SIGNATURE);
    let op = Op::Withdraw(withdraw(2, 7, Scenario::owner(2)));
    assert_eq!(block(&world).by(&world, 2, op).caught(), BAD_SIGNATURE);
}

#[test]
fn an_operation_cannot_use_the_dummy_key() {
    // The key that signs for idle slots is known to everybody.
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let mut one = [0; 32];
    one[0] = 1;
    let dummy = SecretKey::from_bytes(&one).expect("one is a secret key");
    let said = Said::next(&world, &op);
    let cheat = block(&world).signed(op.clone(), sign(&dummy, said.message(&op)), said.to);
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
}

#[test]
fn an_account_without_a_key_cannot_sign() {
    let world = world();
    assert_eq!(world.state.account(AccountId(4)).expect("it exists").key, None);
    let op = Op::Transfer(transfer(4, 3, ONE));
    let caught = block(&world).by(&world, 3, op).caught();
    assert_eq!(caught[0], "signed/slot 0/signature/c A/montgomery/v");
}

#[test]
fn a_used_or_skipped_nonce_is_refused() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let said = Said::next(&world, &op);
    for other in [said.nonce.0 + 1, said.nonce.0 + (1 << 31)] {
        let said = Said { nonce: Nonce(other), ..said };
        assert_eq!(block(&world).saying(1, op.clone(), said).caught(), BAD_SIGNATURE);
    }
    // The same signature twice in a block.
    let caught = block(&world).by(&world, 1, op.clone()).by(&world, 1, op.clone()).caught();
    assert_eq!(caught, BAD_SIGNATURE.map(|path| path.replace("slot 0", "slot 1")));
    // In order they pass.
    let second = Said { nonce: Nonce(said.nonce.0 + 1), ..said };
    let cheat = block(&world).by(&world, 1, op.clone()).saying(1, op, second);
    assert_eq!(cheat.caught(), HONEST);
}

#[test]
fn a_signature_for_another_version_of_the_key_is_refused() {
    // A key that is set again revives nothing that was signed for it earlier.
    let world = world();
    let transfer = Op::Transfer(transfer(2, 3, ONE));
    let withdraw = Op::Withdraw(withdraw(2, 7, Scenario::owner(1)));
    for op in [transfer.clone(), withdraw] {
        let said = Said::next(&world, &op);
        assert_eq!(said.version, KeyVersion(1));
        for version in [0, 2] {
            let said = Said { version: KeyVersion(version), ..said };
            assert_eq!(block(&world).saying(1, op.clone(), said).caught(), BAD_SIGNATURE);
        }
    }
    // Within a block: the same key again, and what was signed before.
    let change = Op::ChangePubKey(change_key(&world, 2, 1));
    let cheat = block(&world).by(&world, 1, change.clone()).by(&world, 1, transfer.clone());
    assert_eq!(cheat.caught(), BAD_SIGNATURE.map(|path| path.replace("slot 0", "slot 1")));
    let said = Said { version: KeyVersion(2), ..Said::next(&world, &transfer) };
    let cheat = block(&world).by(&world, 1, change).saying(1, transfer, said);
    assert_eq!(cheat.caught(), HONEST);
}

#[test]
fn a_skipped_nonce_of_a_key_change_is_refused() {
    // zkSync Lite: the equality of the nonce was computed and did not count.
    let world = world();
    let honest = change_key(&world, 2, 7);
    let skipped = ChangePubKey { nonce: Nonce(honest.nonce.0 + 1), ..honest.clone() };
    // The nonce that is published is the one of the account, whatever was signed.
    assert_eq!(change_of(&world, skipped.clone(), 7).caught(), BAD_SIGNATURE);
    let mut cheat = change_of(&world, honest.clone(), 7).settle();
    let mut published = cheat.published();
    let words = Op::ChangePubKey(skipped).words(0);
    published.all[3..].copy_from_slice(&words);
    published.vectors.onchain[3..].copy_from_slice(&words);
    cheat.witness.inputs = published.inputs();
    assert_eq!(cheat.failures(), [super::OTHER_DIGEST, super::OTHER_ONCHAIN]);
}

#[test]
fn the_last_nonce_cannot_be_passed() {
    // The nonce after the last one would be zero again, or spill into the number beside it.
    let mut world = world();
    crate::blocks::edit_counters(&mut world, u32::MAX, 0);
    let caught = transfer_of(&world, transfer(2, 3, ONE)).caught();
    assert_eq!(caught, ["close/sub-account 1/nonce range/recomposed"]);
    let caught = change_of(&world, change_key(&world, 2, 7), 7).caught();
    assert_eq!(caught, ["close/account 1/nonce range/recomposed"]);
    crate::blocks::edit(&mut world, |json| {
        json["accounts"]["2"]["nonce"] = 0.into();
        json["accounts"]["2"]["key_version"] = u32::MAX.into();
    });
    let caught = change_of(&world, change_key(&world, 2, 7), 7).caught();
    assert_eq!(caught, ["close/account 1/version range/recomposed"]);
}

#[test]
fn every_signed_field_counts() {
    let world = world();
    let honest = transfer(2, 3, ONE);
    let fee = zklink::amount::Fee(honest.fee.0 + 32);
    let changed = [
        Transfer { amount: Amount(ONE + 1), ..honest },
        Transfer { fee, ..honest },
        Transfer { account: AccountId(3), ..honest },
        Transfer { sub_account: SubAccountId(1), ..honest },
        Transfer { to_sub_account: SubAccountId(1), ..honest },
        Transfer { token: COIN, ..honest },
    ];
    for other in changed {
        // User 1 signs something else than what is executed.
        let said = Said::next(&world, &Op::Transfer(honest));
        let cheat = signed_other(&world, Op::Transfer(honest), 1, &Op::Transfer(other), said);
        assert_eq!(cheat.caught(), BAD_SIGNATURE, "{other:?}");
    }
    let honest = withdraw(2, 7, Scenario::owner(1));
    let changed = [
        Withdraw { l1_amount: 8, ..honest },
        Withdraw { scale: 11, ..honest },
        Withdraw { chain: ChainId(2), ..honest },
        Withdraw { to: Scenario::owner(66), ..honest },
        Withdraw { to: Owner { home: ChainId(0), address: [1; 32] }, ..honest },
    ];
    for other in changed {
        let said = Said::next(&world, &Op::Withdraw(other));
        let cheat = signed_other(&world, Op::Withdraw(honest), 1, &Op::Withdraw(other), said);
        assert_eq!(cheat.caught(), BAD_SIGNATURE, "{other:?}");
    }
    let honest = change_key(&world, 2, 7);
    let changed = [
        ChangePubKey { chain: ChainId(2), ..honest.clone() },
        ChangePubKey { fee, ..honest.clone() },
        ChangePubKey { fee_token: COIN, ..honest.clone() },
        ChangePubKey { key: Scenario::key(8).public(), ..honest.clone() },
    ];
    for other in changed {
        let said = Said::next(&world, &Op::ChangePubKey(honest.clone()));
        let (honest, other) = (Op::ChangePubKey(honest.clone()), Op::ChangePubKey(other));
        let cheat = signed_other(&world, honest, 7, &other, said);
        assert_eq!(cheat.caught(), BAD_SIGNATURE, "{other:?}");
    }
}

#[test]
fn a_signature_for_another_deployment_is_refused() {
    let world = world();
    let op = Op::Transfer(transfer(2, 3, ONE));
    let said = Said { deployment: DeploymentId([7; 31]), ..Said::next(&world, &op) };
    assert_eq!(block(&world).saying(1, op, said).caught(), BAD_SIGNATURE);
}

#[test]
fn a_transfer_is_not_a_withdrawal() {
    // Amount and receiver stand at the same places of both messages; the type tells them apart.
    let world = world();
    let signed = Op::Transfer(transfer(2, 3, 7));
    let said = Said { to: Scenario::owner(2), ..Said::next(&world, &signed) };
    let op = Op::Withdraw(withdraw(2, 7, Scenario::owner(2)));
    assert_eq!(signed_other(&world, op, 1, &signed, said).caught(), BAD_SIGNATURE);
}

#[test]
fn a_withdrawal_pays_an_address_of_its_chain() {
    let world = world();
    let op = withdraw(2, 7, Owner::contract(ChainId(1), [8; 20]));
    assert_eq!(withdraw_of(&world, op).caught(), ["signed/slot 0/moved/no home"]);
    // A withdrawal has no receiving account, and a key change neither.
    let cheat = withdraw_of(&world, withdraw(2, 7, Scenario::owner(8)));
    let cheat = cheat.choose_bits("signed/slot 0/to/sub", 1, 5);
    let cheat = cheat.sign_computed(0, &Scenario::key(1));
    assert_eq!(cheat.caught(), ["signed/slot 0/transfer/no receiving account"]);
    let cheat = change_of(&world, change_key(&world, 2, 7), 7);
    let cheat = cheat.choose_bits("signed/slot 0/to/sub", 1, 5);
    let cheat = cheat.sign_computed(0, &Scenario::key(7));
    assert_eq!(cheat.caught(), ["signed/slot 0/transfer/no receiving account"]);
    // A transfer has no chain, a key change no amount.
    let cheat = transfer_of(&world, transfer(2, 3, ONE));
    let cheat = cheat.choose_bits("signed/slot 0/chain", 1, 6);
    let cheat = cheat.sign_computed(0, &Scenario::key(1));
    assert_eq!(cheat.caught(), ["signed/slot 0/change key/no chain of a transfer"]);
    let cheat = change_of(&world, change_key(&world, 2, 7), 7);
    let cheat = cheat.choose_bits("signed/slot 0/amount", 1, 128);
    let cheat = cheat.sign_computed(0, &Scenario::key(7));
    let caught = cheat.caught();
    assert_eq!(caught[0], "signed/slot 0/change key/no amount");
}

#[test]
fn a_key_outside_of_the_subgroup_is_refused() {
    let world = world();
    let key = Scenario::key(7).public();
    // The key plus the point of order two: on the curve, and `8 * eighth` is another point.
    let shifted = PublicKey::from_state(-key.x(), -key.y()).expect("it is on the curve");
    let op = ChangePubKey { key: shifted, ..change_key(&world, 2, 7) };
    let caught = change_of(&world, op, 7).caught();
    let whole = "signed/slot 0/change key/prime order/whole";
    assert_eq!(caught[..2], [format!("{whole}/x"), format!("{whole}/y")]);
}
