//! Honest blocks for the tests of the circuit, and their constraint systems.

// Every test file takes from here what it needs.
#![allow(dead_code)]

use bellman::Circuit;
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::fixtures::{COIN, ONE, Scenario, Sealed, USDC};
use zklink::id::{ChainId, Owner, ShapeId, SubAccountId};
use zklink::key::Signature;
use zklink::op::Op;
use zklink::shape::{NANO, SMALL, Shape};
use zklink::state::State;
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, Tx};
use zklink_circuit::block::BlockCircuit;
use zklink_circuit::check::CheckSystem;
use zklink_circuit::witness::Witness;

/// The fee of the signed operations below: it has a mantissa and an exponent.
pub(crate) const FEE: u128 = 1_230_000;

/// The witness of a sealed block.
pub(crate) fn witness(sealed: &Sealed) -> Witness {
    let (mut state, mut tree) = (sealed.before.clone(), sealed.tree.clone());
    let witness = Witness::build(&sealed.block, &sealed.signed, &mut state, &mut tree)
        .expect("what execution accepts has a witness");
    assert_eq!(tree.root(), sealed.block.head.new_root);
    witness
}

/// The constraint system of a shape with a witness.
pub(crate) fn synthesize(shape: &Shape, witness: &Witness) -> CheckSystem {
    let mut cs = CheckSystem::new();
    BlockCircuit { shape, witness: Some(witness) }
        .synthesize(&mut cs)
        .expect("all values are there");
    cs
}

/// The constraint system of a sealed block; its public inputs are those that the contract computes.
pub(crate) fn check(sealed: &Sealed) -> CheckSystem {
    let shape = sealed.block.shape().expect("a known shape");
    let cs = synthesize(shape, &witness(sealed));
    assert_eq!(cs.public_inputs(), sealed.block.public_inputs().expect("it fits"));
    cs
}

/// A rollup in which users 1 to 3 have the accounts 2 to 4 and five USDC each on chain 1, user 1 also four coins there,
/// and users 1 and 2 a key. Account 5 and all above belong to nobody.
pub(crate) fn world() -> Scenario {
    let mut world = Scenario::new();
    for user in 1..=3 {
        world.deposit(1, USDC, user, 5_000_000).expect("a deposit");
    }
    world.seal(SMALL);
    world.deposit(1, COIN, 1, 4 * ONE).expect("a deposit");
    world.set_key(1).expect("a key");
    world.set_key(2).expect("a key");
    world.seal(SMALL);
    world
}

/// A transaction with the signature of user `n`, not checked and not applied.
pub(crate) fn sign(world: &Scenario, n: u8, tx: Tx) -> SignedTx {
    let deployment = world.state.system.deployment;
    tx.sign(&Scenario::key(n), deployment, &world.network).expect("its fields are in range")
}

/// The L2 signature of user `n`.
pub(crate) fn signature(world: &Scenario, n: u8, tx: Tx) -> Option<Signature> {
    Some(sign(world, n, tx).signature.signature)
}

/// A change of user `n`'s key to the key of user `key`, with the next nonce and a fee.
pub(crate) fn change_key(world: &Scenario, n: u8, key: u8) -> ChangePubKeyTx {
    let account_id = world.account(n);
    let account = world.state.account(account_id).expect("it exists");
    ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id,
        sub_account_id: SubAccountId(0),
        new_pub_key: Scenario::key(key).public(),
        fee_token: USDC,
        fee: Fee::closest(Amount(FEE)),
        nonce: account.nonce,
        key_version: account.key_version,
        eth_auth_data: KeyAuth::Onchain,
    }
}

/// Authorises a key change as the contract of its chain would, signs it with the key of user `key` and applies it.
pub(crate) fn apply_key(world: &mut Scenario, n: u8, key: u8) -> Op {
    let tx = change_key(world, n, key);
    world.authorised.insert(tx.chain_id, Scenario::owner(n), tx.nonce, &tx.new_pub_key);
    let signed = sign(world, key, Tx::ChangePubKey(tx));
    world.submit(&signed).expect("authorised and signed by the new key")
}

/// A nano block in which every slot holds an operation, over all types.
pub(crate) fn full() -> Sealed {
    let mut world = world();
    let tx = world.transfer(1, Scenario::owner(1), ONE, FEE);
    world.send(1, tx).expect("to oneself");
    world.deposit(1, USDC, 1, 250_000).expect("a deposit");
    apply_key(&mut world, 1, 1);
    world.deposit(1, USDC, 9, 250_000).expect("a deposit that makes an account");
    world.refuse(1, USDC, 9, 7).expect("a refused deposit");
    let tx = world.transfer(1, Scenario::owner(9), ONE / 3, FEE);
    world.send(1, tx).expect("to the new account");
    let tx = world.withdraw(1, 1, USDC, ONE / 2, FEE);
    world.send(1, tx).expect("a withdrawal");
    world.deposit(1, USDC, 1, 0).expect("a deposit of nothing");
    world.seal(NANO)
}

/// A small block in which every slot holds an operation.
pub(crate) fn full_small() -> Sealed {
    let mut world = world();
    world.deposit(1, USDC, 1, 1).expect("a deposit");
    world.deposit(1, USDC, 2, 0).expect("a deposit of nothing");
    apply_key(&mut world, 1, 1);
    apply_key(&mut world, 2, 2);
    let tx = world.transfer(1, Scenario::owner(2), ONE, FEE);
    world.send(1, tx).expect("between users");
    let tx = world.transfer(2, Owner::contract(ChainId(3), [0xee; 20]), ONE, FEE);
    world.send(2, tx).expect("to a new owner that is a contract");
    let tx = world.withdraw(1, 1, USDC, ONE, FEE);
    world.send(1, tx).expect("a withdrawal");
    let tx = world.transfer(2, Scenario::owner(1), 1, 0);
    world.send(2, tx).expect("the least amount without a fee");
    world.deposit(2, USDC, 1, 7).expect("on another chain");
    let tx = world.withdraw(1, 2, USDC, 7, 0);
    world.send(1, tx).expect("what just arrived there");
    world.seal(SMALL)
}

/// A block without operations.
pub(crate) fn idle(shape: ShapeId) -> Sealed {
    world().seal(shape)
}

/// Changes the stored form of the state, of which the trees are made anew.
pub(crate) fn edit(world: &mut Scenario, edit: impl FnOnce(&mut serde_json::Value)) {
    let mut json = serde_json::to_value(&world.state).expect("a state is data");
    edit(&mut json);
    let mut state: State = serde_json::from_value(json).expect("the form is kept");
    state.rebuild_index();
    world.tree = StateTree::of(&state);
    world.state = state;
    // Sealing an empty block makes the edited state the one before the next block.
    world.seal(SMALL);
}

/// Changes the counters of user 1.
pub(crate) fn edit_counters(world: &mut Scenario, nonce: u32, epoch: u32) {
    edit(world, |json| {
        let account = &mut json["accounts"]["2"];
        account["nonce"] = nonce.into();
        account["sub_accounts"]["0"]["nonce"] = nonce.into();
        account["sub_accounts"]["0"]["epoch"] = epoch.into();
    });
}
