//! One story on embedded chains with real proofs: a deposit on one chain leaves on another.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "common/world.rs"]
mod world;

use std::time::{Duration, Instant};

use world::{ONE, USDC, World, account, embedded, until};
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::id::{ChainId, Owner, SubAccountId};
use zklink::state::State;
use zklink_client::wallet::{Payment, Payout};
use zklink_client::{Client, Wallet};
use zklink_mechanism::port::Port;
use zklink_node::events::Event;
use zklink_node::node::{LoneReplica, Node, Setup};
use zklink_store::replica::Followed;
use zklink_transport::{Remote, Role, Token, Workers};

async fn story() {
    let (_chains, urls) = embedded(2, Duration::from_millis(500), 2).await;
    let world = World::deploy(&urls).await;
    let (data, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let token = Token::from_hex(&"5a".repeat(32)).unwrap();
    let mut workers = Workers::default();
    workers.add("copy", Role::Replica, &token).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let setup = Setup { workers: Some((listen, workers)), ..world.setup(data.path(), 1) };
    let mut node = Node::start(setup).await.unwrap();
    let url = format!("ws://{}", node.workers().expect("it listens for workers"));
    let remote = Remote::new(&url, &token, world.deployment.deployment_id).unwrap();
    let replica = LoneReplica::start(copy.path(), &world.deployment, Port::new(remote)).await;
    let replica = replica.unwrap();
    let rpc = Client::connect(&format!("http://{}", node.rpc())).await.unwrap();

    let alice = world.depositor(ChainId(1), "alice", 100).await;
    let bob = world.depositor(ChainId(2), "bob", 50).await;
    let alice_key = world.set_key(&rpc, &alice, "alice l2").await;
    let alice_owner = Owner::from_evm(alice.address());
    let wallet = Wallet::connect(&rpc, alice_owner, alice_key).await.unwrap();
    let payment = Payment {
        from: SubAccountId(0),
        to: Owner::from_evm([0x77; 20]),
        to_sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(7 * ONE),
        fee: Fee::closest(Amount(ONE / 100)),
    };
    let hash = rpc.send(&wallet.transfer(&rpc, payment).await.unwrap()).await.unwrap();
    rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();

    // Bob's deposit must be on L2 before chain 2 can pay.
    until("bob's deposit", async || account(&rpc, Owner::from_evm(bob.address())).await).await;
    let payout = Payout {
        chain: ChainId(2),
        from: SubAccountId(0),
        to: alice_owner,
        token: USDC,
        amount: Amount(20 * ONE),
        max_fee: Fee::ZERO,
    };
    let hash = rpc.send(&wallet.withdraw(&rpc, payout).await.unwrap()).await.unwrap();
    rpc.wait_executed(hash, Duration::from_secs(10)).await.unwrap();
    let greedy = Payout { amount: Amount(40 * ONE), ..payout };
    let refused = rpc.send(&wallet.withdraw(&rpc, greedy).await.unwrap()).await.unwrap_err();
    assert_eq!(refused.code(), Some(208), "{refused}");

    let (eve, token) = (world.wallet(ChainId(2), &alice), world.token(ChainId(2)));
    until("the payout", async || {
        let paid = eve.balance(token, alice.address()).await.unwrap();
        (paid == 20 * ONE).then_some(())
    })
    .await;
    tokio::select! {
        reason = node.finished() => panic!("the node stopped: {reason}"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    let before = node.view().read().state.clone();
    until("the replica has all", async || {
        let Followed { records, of_node, .. } = *replica.followed.borrow();
        let heads = [&replica.archive, node.archive()].map(|archive| archive.head().unwrap());
        (of_node == Some(records) && heads[0] == heads[1]).then_some(())
    })
    .await;
    node.stop("the story is over").await;
    replica.stop().await;

    // The same data folder gives the same state again, and so does the folder of the replica.
    for folder in [&data, &copy] {
        let node = Node::start(world.setup(folder.path(), 1)).await.unwrap();
        assert_eq!(node.view().read().state, before);
        check_root(&node, &before).await;
        node.stop("done").await;
    }
}

/// The node finds the root of the state, which it makes behind the journal.
async fn check_root(node: &Node, state: &State) {
    let known = async || node.archive().root(state.system.number).unwrap();
    assert_eq!(until("the root", known).await, StateTree::of(state).root());
}

#[test]
fn a_deposit_on_one_chain_leaves_on_another() {
    drop(tracing_subscriber::fmt().with_env_filter("info").with_test_writer().try_init());
    zklink_mechanism::shell::run(story());
}

/// The program ends with its runtime: neither may wait for the proof that is under way.
#[test]
fn a_stop_during_a_proof_does_not_wait_for_it() {
    let stopped = zklink_mechanism::shell::run(async {
        let (_chains, urls) = embedded(2, Duration::from_millis(250), 2).await;
        let world = World::deploy(&urls).await;
        let data = tempfile::tempdir().unwrap();
        let node = Node::start(world.setup(data.path(), 1)).await.unwrap();
        let mut events = node.events().listen();
        world.depositor(ChainId(1), "alice", 100).await;
        let begun = async { while !matches!(events.recv().await, Ok(Event::Proving { .. })) {} };
        tokio::time::timeout(Duration::from_secs(120), begun).await.expect("a proof begins");
        let asked = Instant::now();
        node.stop("a test").await;
        asked
    });
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
}
