//! Transactions that are slow, lost or displaced.

use std::sync::atomic::AtomicBool;

use zklink::tx::keccak;

use super::*;
use crate::client::{Answer, FeeMarket, Hash, Header, Log, Receipt};
use crate::testing::{Asked, Reply, scripted_proxy};

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_transaction_is_replaced_with_a_higher_fee() {
    let chain = dev_chain(9100, 1).await;
    let client = endpoint(&chain.http_url());
    chain.set_mining(Mining::Manual).unwrap();
    let policy = SendPolicy { poll_ms: 5, polls_before_raise: 4, ..quick() };
    let sender = Arc::new(Sender::new(client.clone(), key("alice"), 9100, policy.clone()));
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    let sending = {
        let (sender, call) = (Arc::clone(&sender), call.clone());
        tokio::spawn(async move { sender.send(call).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    chain.mine(1).unwrap();
    let receipt = sending.await.unwrap().unwrap();
    assert!(receipt.success);
    // The base fee of block 1 after an empty block 0, and a tip that was raised by a quarter at
    // least once.
    assert!(receipt.gas_price > 875_000_000 + 12_000_000, "not raised: {}", receipt.gas_price);
    assert_eq!(client.balance([1; 20], At::Latest).await.unwrap(), 5, "and it went out once");

    let patient = SendPolicy { raises: 1, ..policy.clone() };
    let sender = Sender::new(client.clone(), key("bob"), 9100, patient);
    let stuck = sender.send(call.clone()).await.unwrap_err();
    assert!(matches!(stuck, SendError::Stuck { nonce: 0, .. }), "{stuck}");

    let poor = SendPolicy { max_fee_per_gas: 1_000, ..policy };
    let error = Sender::new(client, key("alice"), 9100, poor).send(call).await.unwrap_err();
    assert!(matches!(error, SendError::TooExpensive { limit: 1_000, .. }), "{error}");
}

/// A client that takes the first transaction and forgets it, as a pool does after a reorganisation.
struct Forgetful(Arc<dyn ChainClient>, AtomicBool);

impl ChainClient for Forgetful {
    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        if self.1.swap(true, SeqCst) {
            return self.0.send_raw(raw);
        }
        Box::pin(async move { Ok(keccak(&[&raw])) })
    }

    same! {
        chain_id() -> u64;
        header(at: At) -> Option<Header>;
        logs(query: LogQuery) -> Vec<Log>;
        call(call: Call, at: At) -> Vec<u8>;
        code(address: [u8; 20], at: At) -> Vec<u8>;
        balance(address: [u8; 20], at: At) -> u128;
        nonce(address: [u8; 20]) -> u64;
        estimate_gas(call: Call) -> u64;
        fee_market() -> FeeMarket;
        blob_base_fee() -> Option<u128>;
        receipt(tx_hash: Hash) -> Option<Receipt>;
        input(tx_hash: Hash) -> Option<Vec<u8>>;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_an_endpoint_forgot_is_handed_in_again_at_the_same_price() {
    let chain = dev_chain(9110, 1).await;
    let client = endpoint(&chain.http_url());
    let forgetful = Arc::new(Forgetful(client.clone(), AtomicBool::new(false)));
    // It would take a minute until the fee is raised.
    let policy = SendPolicy { poll_ms: 5, polls_before_raise: 12_000, ..quick() };
    let sender = Sender::new(forgetful, key("alice"), 9110, policy);
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    let sent = tokio::time::timeout(Duration::from_secs(20), sender.send(call)).await;
    assert!(sent.expect("it is not handed in again").unwrap().success);
    assert_eq!(client.balance([1; 20], At::Latest).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_predecessor_vanished_is_given_up_at_once() {
    let chain = dev_chain(9111, 5).await;
    let client = endpoint(&chain.http_url());
    let policy = SendPolicy { poll_ms: 5, polls_before_raise: 12_000, ..quick() };
    let sender = Arc::new(Sender::new(client.clone(), key("alice"), 9111, policy));
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    sender.send(call.clone()).await.unwrap();
    chain.set_mining(Mining::Manual).unwrap();
    let sending = {
        let (sender, call) = (Arc::clone(&sender), call.clone());
        tokio::spawn(async move { sender.send(call).await })
    };
    tokio::time::sleep(Duration::from_millis(60)).await;
    // The block with nonce 0 goes, and nonce 1 waits for ever.
    chain.rollback(1).unwrap();
    let given_up = tokio::time::timeout(Duration::from_secs(20), sending).await;
    let error = given_up.expect("it waits").unwrap().unwrap_err();
    assert_eq!(error, SendError::Displaced { nonce: 1, next: 0 });
    // The next attempt uses the nonce that is free again.
    chain.set_mining(Mining::Auto).unwrap();
    assert!(sender.send(call).await.unwrap().success);
}

/// A sender on a new chain through a script.
async fn scripted(
    id: u64,
    policy: SendPolicy,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (zklink_devnet::DevChainHandle, Sender) {
    let chain = dev_chain(id, 1).await;
    let url = scripted_proxy(chain.http_url(), script).await;
    let sender = Sender::new(endpoint(&url), key("alice"), id, policy);
    (chain, sender)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_lags_behind_the_nonce_is_waited_for() {
    let script = |asked: &Asked| match asked.is("eth_getTransactionReceipt") && asked.count < 30 {
        true => Reply::Result(serde_json::Value::Null),
        false => Reply::Pass,
    };
    // Fewer polls than that before the fee would be raised.
    let policy = SendPolicy { polls_before_raise: 3, raises: 0, ..quick() };
    let (_chain, sender) = scripted(9140, policy, script).await;
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    assert!(sender.send(call).await.unwrap().success);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_requests_that_fail_do_not_end_a_send() {
    // Once the transaction is handed in, two of three requests fail, each in another way.
    let script = |asked: &Asked| {
        let reads = ["eth_getTransactionReceipt", "eth_getTransactionCount", "eth_feeHistory"];
        let spared = !reads.contains(&asked.method.as_str())
            || asked.count == 1 && !asked.is("eth_getTransactionReceipt");
        match asked.count % 3 {
            _ if spared => Reply::Pass,
            0 => Reply::Pass,
            1 => Reply::Status(502, "<html>bad gateway</html>".to_owned()),
            _ => Reply::error(-32005, "limit exceeded"),
        }
    };
    let policy = SendPolicy { poll_ms: 5, polls_before_raise: 3, ..quick() };
    let (chain, sender) = scripted(9141, policy, script).await;
    chain.set_mining(Mining::Manual).unwrap();
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    let sending = tokio::spawn(async move { sender.send(call).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    chain.mine(1).unwrap();
    assert!(sending.await.unwrap().unwrap().success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_answer_is_lost_is_looked_for() {
    let script = |asked: &Asked| match asked.is("eth_sendRawTransaction") {
        true if asked.count == 1 => Reply::Lost,
        _ => Reply::Pass,
    };
    let (chain, sender) = scripted(9142, quick(), script).await;
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    assert!(sender.send(call).await.unwrap().success);
    // And one that never arrived is handed in again.
    let script = |asked: &Asked| match asked.is("eth_sendRawTransaction") {
        true if asked.count == 1 => Reply::Status(503, String::new()),
        _ => Reply::Pass,
    };
    let (other, sender) = scripted(9143, quick(), script).await;
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    assert!(sender.send(call).await.unwrap().success);
    for chain in [chain, other] {
        let client = endpoint(&chain.http_url());
        assert_eq!(client.balance([1; 20], At::Latest).await, Ok(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_does_not_answer_any_more_ends_a_send() {
    let script = |asked: &Asked| match asked.is("eth_getTransactionReceipt") {
        true => Reply::Status(502, String::new()),
        false => Reply::Pass,
    };
    let (_chain, sender) = scripted(9144, quick(), script).await;
    let error = sender.send(Call { to: Some([1; 20]), ..Call::default() }).await.unwrap_err();
    assert!(matches!(&error, SendError::Client(error) if error.is_outage()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_another_sender_used_is_told_after_the_receipt_was_waited_for() {
    let script = |asked: &Asked| {
        if !asked.is("eth_sendRawTransaction") {
            return Reply::Pass;
        }
        // Taken, and never passed on.
        let raw = hex::decode(&asked.params[0].as_str().unwrap()[2..]).unwrap();
        Reply::Result(format!("0x{}", hex_of(&keccak(&[&raw]))).into())
    };
    let (chain, sender) = scripted(9145, quick(), script).await;
    let other = Sender::new(endpoint(&chain.http_url()), key("alice"), 9145, quick());
    let call = Call { to: Some([1; 20]), value: 5, ..Call::default() };
    let of_other = Call { value: 6, ..call.clone() };
    let (lost, sent) = tokio::join!(sender.send(call), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        other.send(of_other).await
    });
    assert!(sent.unwrap().success);
    assert_eq!(lost.unwrap_err(), SendError::Overtaken(0));
}
