//! Who may set a key, whom tokens may be given, and which account an owner has.

#[path = "reject/cases.rs"]
#[allow(dead_code, reason = "only the world and the edits of states are used here")]
mod cases;

use cases::{USER, edit_state, world};
use k256::ecdsa::{RecoveryId, Signature as EcdsaSignature, SigningKey};
use zklink::amount::{Amount, Fee};
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::key::SecretKey;
use zklink::op::{Deposit, Op};
use zklink::reject::Reject;
use zklink::shape::SMALL;
use zklink::state::State;
use zklink::tx::{ChangePubKeyTx, KeyAuth, Tx, evm_address, keccak, recover};

const NOT_SEEN: Reject =
    Reject::KeyNotAuthorised("no final setAuthPubKey of this key and nonce was seen on that chain");
const BY_A_CALL: Reject =
    Reject::KeyNotAuthorised("a contract authorises a key by a call on its chain");
const ANOTHER_CHAIN: Reject = Reject::KeyNotAuthorised("the owner is a contract of another chain");
const SUB: SubAccountId = SubAccountId(0);

/// A key change of an account to the key of user `n`.
fn key_change(world: &Scenario, id: AccountId, chain: u8, n: u8) -> ChangePubKeyTx {
    let account = world.state.account(id).expect("it was made before");
    ChangePubKeyTx {
        chain_id: ChainId(chain),
        account_id: id,
        sub_account_id: SUB,
        new_pub_key: Scenario::key(n).public(),
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce: account.nonce,
        key_version: account.key_version,
        eth_auth_data: KeyAuth::Onchain,
    }
}

#[test]
fn a_booked_key_is_of_one_chain_owner_nonce_and_key() {
    let mut world = world();
    let id = world.account(USER);
    let nonce = world.state.account(id).expect("it has a key").nonce;
    let (chain, owner) = (ChainId(1), Scenario::owner(USER));
    let key = Scenario::key(9).public();
    let tx = key_change(&world, id, 1, 9);
    let others = [
        (ChainId(2), owner, nonce, key),
        (chain, Scenario::owner(2), nonce, key),
        (chain, Owner::contract(chain, [USER; 20]), nonce, key),
        (chain, owner, Nonce(nonce.0 + 1), key),
        (chain, owner, Nonce(nonce.0 - 1), key),
        (chain, owner, nonce, Scenario::key(8).public()),
    ];
    for (chain, owner, nonce, key) in others {
        world.authorised.insert(chain, owner, nonce, &key);
        assert_eq!(world.send(9, Tx::ChangePubKey(tx.clone())), Err(NOT_SEEN));
    }
    world.authorised.insert(chain, owner, nonce, &key);
    assert!(world.send(9, Tx::ChangePubKey(tx)).is_ok());
}

/// A world with a contract of chain 2 that owns account 3 and 10 USDC.
fn world_with_contract() -> (Scenario, Owner, AccountId) {
    let mut world = world();
    let owner = Owner::contract(ChainId(2), [0xaa; 20]);
    world.deposit_to(2, USDC, (owner, SUB), 10 * ONE).expect("it is in order");
    let id = world.state.account_of(owner).expect("it was just made");
    (world, owner, id)
}

#[test]
fn a_contract_sets_its_key_on_its_chain_only() {
    let (mut world, owner, id) = world_with_contract();
    let key = Scenario::key(9);
    let elsewhere = key_change(&world, id, 1, 9);
    // Whoever has the address of the contract on another chain is somebody else.
    world.authorised.insert(ChainId(1), owner, Nonce(0), &key.public());
    let key_pair = Owner::from_evm([0xaa; 20]);
    for chain in [1, 2] {
        world.authorised.insert(ChainId(chain), key_pair, Nonce(0), &key.public());
    }
    assert_eq!(world.send(9, Tx::ChangePubKey(elsewhere)), Err(ANOTHER_CHAIN));
    let home = Tx::ChangePubKey(key_change(&world, id, 2, 9));
    assert_eq!(world.send(9, home), Err(NOT_SEEN));
    let op = world.set_key_of(id, ChainId(2), &key).expect("its home has seen the call");
    assert_eq!(op.chain(), Some(ChainId(2)));
    let Op::ChangePubKey(change) = op else { panic!("{op:?} is not a key change") };
    assert_eq!(change.owner, owner);
}

#[test]
fn a_contract_authorises_by_a_recorded_call_only() {
    let (mut world, owner, id) = world_with_contract();
    let mut tx = key_change(&world, id, 2, 9);
    world.authorised.insert(ChainId(2), owner, Nonce(0), &Scenario::key(9).public());
    for signature in [[0; 65], [27; 65]] {
        tx.eth_auth_data = KeyAuth::EthEcdsa { signature };
        assert_eq!(world.send(9, Tx::ChangePubKey(tx.clone())), Err(BY_A_CALL));
    }
}

/// Not even a good signature of a key pair with the address of the contract counts.
#[test]
fn the_key_pair_with_the_address_of_a_contract_is_not_the_contract() {
    let mut world = world();
    let signer = SigningKey::from_slice(&[0x42; 32]).expect("it is in range");
    let address = evm_address(signer.verifying_key());
    let accounts = [Owner::from_evm(address), Owner::contract(ChainId(1), address)];
    let outcomes = accounts.map(|owner| {
        world.deposit_to(1, USDC, (owner, SUB), 10).expect("it is in order");
        let id = world.state.account_of(owner).expect("it was just made");
        let mut tx = key_change(&world, id, 1, 9);
        let chain = world.network.chain(ChainId(1)).expect("it is connected");
        tx.eth_auth_data =
            KeyAuth::EthEcdsa { signature: eth_sign(&signer, &tx.eth_digest(chain)) };
        world.send(9, Tx::ChangePubKey(tx)).map(drop)
    });
    assert_eq!(outcomes, [Ok(()), Err(BY_A_CALL)]);
}

fn eth_sign(key: &SigningKey, digest: &[u8; 32]) -> [u8; 65] {
    let (signature, recovery) = key.sign_prehash_recoverable(digest).expect("the key can sign");
    packed(&signature, recovery)
}

fn packed(signature: &EcdsaSignature, recovery: RecoveryId) -> [u8; 65] {
    let mut packed = [0; 65];
    packed[..64].copy_from_slice(&signature.to_bytes());
    packed[64] = 27 + recovery.to_byte();
    packed
}

#[test]
fn an_ethereum_signature_has_one_form() {
    let key = SigningKey::from_slice(&[0x42; 32]).expect("it is in range");
    let address = evm_address(key.verifying_key());
    for seed in 0..8u8 {
        let digest = keccak(&[&[seed]]);
        let good = eth_sign(&key, &digest);
        assert_eq!(recover(&digest, &good), Some(address));
        // The other root of the same equation: high s, the other parity.
        let (low, recovery) = key.sign_prehash_recoverable(&digest).expect("the key can sign");
        let (r, s) = low.split_scalars();
        let high = EcdsaSignature::from_scalars(r, -*s).expect("it is in range");
        let other = RecoveryId::new(!recovery.is_y_odd(), false);
        assert!(high.normalize_s().is_some(), "s is high");
        assert_eq!(recover(&digest, &packed(&high, other)), None);
        assert_eq!(recover(&digest, &packed(&high, recovery)), None);
        for v in [0, 1, 26, 29, 30, 31, 255] {
            let mut strange = good;
            strange[64] = v;
            assert_eq!(recover(&digest, &strange), None, "v {v}");
        }
        let mut other = good;
        other[64] = 27 + 28 - other[64];
        assert_ne!(recover(&digest, &other), Some(address));
    }
    assert_eq!(recover(&[1; 32], &[0; 65]), None);
}

/// A key that is set again revives nothing that was signed for it before.
#[test]
fn a_key_set_again_revives_no_signature() {
    let mut world = world();
    let id = world.account(USER);
    let (first, other) = (Scenario::key(USER), Scenario::key(9));
    let pay = |world: &Scenario| world.transfer(USER, Scenario::owner(7), ONE, 0);
    let take = |world: &Scenario| world.withdraw(USER, 1, USDC, ONE, 0);
    let old =
        [pay(&world), take(&world)].map(|tx| world.sign(tx, &first).expect("it can be signed"));
    let change = Tx::ChangePubKey(key_change(&world, id, 1, 9));
    let old_change = world.sign(change, &other).expect("it can be signed");
    assert_eq!(world.key_version(id), KeyVersion(1));
    world.set_key_of(id, ChainId(1), &other).expect("A to B");
    world.set_key_of(id, ChainId(1), &first).expect("B to A");
    assert_eq!(world.state.account(id).expect("it is there").key, Some(first.public()));
    let (expected, found) = (KeyVersion(3), KeyVersion(1));
    for signed in old {
        assert_eq!(world.submit(&signed), Err(Reject::KeyVersion { expected, found }));
    }
    let (expected, found) = (Nonce(3), Nonce(1));
    assert_eq!(world.submit(&old_change), Err(Reject::Nonce { expected, found }));
    // The version is signed, so nobody else can raise it; with the present one the payment is good.
    let signed = world.sign(pay(&world), &first).expect("it can be signed");
    let mut lowered = signed.clone();
    if let Tx::Transfer(tx) = &mut lowered.tx {
        tx.amount = Amount(2 * ONE);
    }
    assert_eq!(world.submit(&lowered), Err(Reject::Signature));
    assert!(world.submit(&signed).is_ok());
}

/// What is signed binds the version itself: another version is another message.
#[test]
fn every_field_of_a_message_is_signed() {
    let world = world();
    let deployment = world.state.system.deployment;
    let message = |tx: &Tx| tx.message(deployment, &world.network).expect("it is in range");
    let Tx::Transfer(pay) = world.transfer(USER, Scenario::owner(7), ONE, ONE / 100) else {
        unreachable!("transfers are transfers")
    };
    let pays: [fn(&mut zklink::tx::TransferTx); 11] = [
        |_| (),
        |tx| tx.account_id.0 += 1,
        |tx| tx.from_sub_account_id.0 += 1,
        |tx| tx.to = Owner { home: ChainId(1), ..tx.to },
        |tx| tx.to.address[0] = 1,
        |tx| tx.to.address[31] += 1,
        |tx| tx.to_sub_account_id.0 += 1,
        |tx| tx.token = COIN,
        |tx| tx.amount.0 += 1,
        |tx| tx.nonce.0 += 1,
        |tx| tx.key_version.0 += 1,
    ];
    let mut seen =
        vec![message(&Tx::Transfer(zklink::tx::TransferTx { fee: Fee::ZERO, ..pay.clone() }))];
    seen.extend(pays.map(|edit| {
        let mut tx = pay.clone();
        edit(&mut tx);
        message(&Tx::Transfer(tx))
    }));
    let Tx::Withdraw(take) = world.withdraw(USER, 1, USDC, ONE, ONE / 100) else {
        unreachable!("withdrawals are withdrawals")
    };
    let takes: [fn(&mut zklink::tx::WithdrawTx); 8] = [
        |_| (),
        |tx| tx.sub_account_id.0 += 1,
        // The same amount in other units.
        |tx| tx.to_chain_id = ChainId(2),
        |tx| tx.to.address[31] += 1,
        |tx| tx.max_fee = Fee::ZERO,
        |tx| tx.amount.0 *= 2,
        |tx| tx.nonce.0 += 1,
        |tx| tx.key_version.0 += 1,
    ];
    seen.extend(takes.map(|edit| {
        let mut tx = take.clone();
        edit(&mut tx);
        message(&Tx::Withdraw(tx))
    }));
    let change = key_change(&world, world.account(USER), 1, 9);
    let changes: [fn(&mut ChangePubKeyTx); 8] = [
        |_| (),
        |tx| tx.chain_id = ChainId(2),
        |tx| tx.account_id.0 += 1,
        |tx| tx.sub_account_id.0 += 1,
        |tx| tx.new_pub_key = Scenario::key(8).public(),
        |tx| tx.fee = Fee::closest(Amount(ONE)),
        |tx| tx.nonce.0 += 1,
        |tx| tx.key_version.0 += 1,
    ];
    seen.extend(changes.map(|edit| {
        let mut tx = change.clone();
        edit(&mut tx);
        message(&Tx::ChangePubKey(tx))
    }));
    let different: std::collections::BTreeSet<_> = seen.iter().map(|m| m.to_bytes()).collect();
    assert_eq!(different.len(), seen.len(), "no two share a message");
}

#[test]
fn an_address_of_the_wrong_form_receives_nothing() {
    let mut world = world();
    let mut right = [0; 32];
    right[..20].copy_from_slice(&[7; 20]);
    let mut one_above = Owner::from_evm([7; 20]);
    one_above.address[11] = 1;
    let contract_of_no_chain = Owner::contract(ChainId(9), [7; 20]);
    let padded_on_the_right = Owner { home: ChainId(0), address: right };
    for to in [padded_on_the_right, one_above, contract_of_no_chain, Owner::NONE] {
        let pay = world.transfer(USER, to, ONE, 0);
        assert_eq!(world.send(USER, pay), Err(Reject::BadReceiver), "{to}");
        let mut take = world.withdraw(USER, 1, USDC, ONE, 0);
        if let Tx::Withdraw(tx) = &mut take {
            tx.to = to;
        }
        assert_eq!(world.send(USER, take), Err(Reject::BadReceiver), "{to}");
    }
}

#[test]
fn what_belongs_to_the_deployment_receives_nothing() {
    let network = zklink::fixtures::network();
    let evm = Owner::from_evm;
    let on = |chain| move |address| Owner::contract(ChainId(chain), address);
    // Vault, reserved contract and token of chain 1; the zero address is the coin.
    for address in [[0xc1; 20], [0xb1; 20], [0x71; 20]] {
        assert_eq!(network.check_owner(evm(address)), Err(Reject::BadReceiver));
        assert_eq!(network.check_owner(on(1)(address)), Err(Reject::BadReceiver));
        assert_eq!(network.check_owner(on(2)(address)), Ok(()), "somebody else lives there");
        assert_eq!(network.check_payee(ChainId(1), evm(address)), Err(Reject::BadReceiver));
        assert_eq!(network.check_payee(ChainId(2), evm(address)), Ok(()));
        assert_eq!(network.check_payee(ChainId(2), on(2)(address)), Err(Reject::BadReceiver));
    }
    assert_eq!(network.check_owner(evm([0x55; 20])), Ok(()));
    assert_eq!(network.check_owner(on(3)([0x55; 20])), Ok(()));
    assert_eq!(network.check_owner(on(4)([0x55; 20])), Err(Reject::BadReceiver));
    assert_eq!(network.check_owner(on(3)([0; 20])), Err(Reject::BadReceiver));
    let mut world = world();
    let vault = evm([0xc2; 20]);
    let pay = world.transfer(USER, vault, ONE, 0);
    assert_eq!(world.send(USER, pay), Err(Reject::BadReceiver));
    for (chain, outcome) in [(1, true), (2, false)] {
        let mut take = world.withdraw(USER, chain, USDC, ONE, 0);
        if let Tx::Withdraw(tx) = &mut take {
            tx.to = vault;
        }
        assert_eq!(world.send(USER, take).is_ok(), outcome, "chain {chain}");
    }
}

/// A deposit that names a free place although its owner has an account: only an operator can do that.
fn second_account(state: &mut State, id: u32) {
    let op = Op::Deposit(Deposit {
        chain: ChainId(1),
        account: AccountId(id),
        sub_account: SUB,
        token: USDC,
        amount: Amount(ONE),
        owner: Scenario::owner(USER),
        refused: false,
    });
    op.apply(state).expect("the place is free");
}

#[test]
fn an_owner_of_several_accounts_is_known_by_the_first_place() {
    let mut world = Scenario::new();
    let owner = Scenario::owner(USER);
    for (id, known) in [(500, 500), (700, 500), (300, 300), (400, 300)] {
        second_account(&mut world.state, id);
        assert_eq!(world.state.account_of(owner), Some(AccountId(known)));
        // Whoever reads the state from a store knows the same one.
        let mut restored = world.state.clone();
        restored.rebuild_index();
        assert_eq!(restored, world.state);
        let stored = serde_json::to_string(&world.state).expect("a state can be stored");
        let mut stored: State = serde_json::from_str(&stored).expect("it was just stored");
        assert_eq!(stored.account_of(owner), None, "the index is not stored");
        stored.rebuild_index();
        assert_eq!(stored, world.state);
    }
    world.deposit(1, USDC, USER, 1_000_000).expect("it is in order");
    assert_eq!(world.state.balance(AccountId(300), SUB, USDC), Amount(2 * ONE));
}

#[test]
fn the_last_place_being_taken_does_not_mean_that_none_is_free() {
    let mut world = world();
    assert_eq!(world.state.next_account(), Ok(AccountId(3)));
    second_account(&mut world.state, AccountId::COUNT - 2);
    assert_eq!(world.state.next_account(), Ok(AccountId(AccountId::COUNT - 1)));
    second_account(&mut world.state, AccountId::COUNT - 1);
    assert_eq!(world.state.next_account(), Ok(AccountId(3)));
    let pay = world.transfer(USER, Scenario::owner(7), ONE, 0);
    world.send(USER, pay).expect("there is a place");
    assert_eq!(world.account(7), AccountId(3));
    assert_eq!(world.state.next_account(), Ok(AccountId(4)));
    assert_eq!(State::default().next_account(), Ok(AccountId(0)));
}

#[test]
fn what_is_signed_for_a_withdrawal_is_the_most_that_the_fee_may_be() {
    let mut world = world();
    let tx = world.withdraw(USER, 1, USDC, ONE, ONE / 10);
    let most = Fee::closest(Amount(ONE / 10));
    assert_eq!(tx.fee(), (USDC, most));
    let signed = world.sign(tx, &Scenario::key(USER)).expect("it can be signed");
    let lower = Fee::closest(Amount(ONE / 100));
    let before = world.state.balance(world.account(USER), SUB, USDC);
    let op = world.submit_for(&signed, lower).expect("it is covered");
    let Op::Withdraw(op) = op else { panic!("{op:?} is not a withdrawal") };
    assert_eq!(op.fee, most.at_most(Amount(ONE / 100)));
    assert_eq!(op.fee.amount(), lower.amount());
    let left = world.state.balance(world.account(USER), SUB, USDC);
    assert_eq!(left, Amount(before.0 - ONE - ONE / 100));
    let sealed = world.seal(SMALL);
    assert_eq!(sealed.signed.last(), Some(&signed));
    assert_eq!(world.state.balance(AccountId(0), SUB, USDC), Amount(ONE / 100));
}

#[test]
fn an_account_without_an_evm_address_sets_no_key() {
    let mut world = world();
    edit_state(&mut world.state, |state| {
        state["accounts"]["2"]["owner"] = format!("0x{}", "ab".repeat(32)).into();
    });
    let id = AccountId(2);
    let key = SecretKey::from_seed(&[1; 32]);
    let refused = world.set_key_of(id, ChainId(1), &key);
    assert_eq!(refused, Err(Reject::KeyNotAuthorised("the owner is not an EVM address")));
}
