//! Transactions that are slow, lost or displaced.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use zklink::tx::keccak;

use super::*;
use crate::client::{Answer, FeeMarket, Hash, Header, Log, Receipt};

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
