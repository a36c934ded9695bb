//! Subscriptions over WebSocket.

use std::time::Duration;

use jsonrpsee::core::client::{ClientT, Subscription, SubscriptionClientT};
use jsonrpsee::rpc_params;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde_json::{Value, json};
use web3::types::{Address, TransactionParameters};

use crate::client::{Client, config, to};
use crate::code;

async fn connect(client: &Client) -> WsClient {
    WsClientBuilder::default().build(client.chain.ws_url()).await.unwrap()
}

async fn subscribe(ws: &WsClient, params: Vec<Value>) -> Subscription<Value> {
    let mut array = jsonrpsee::core::params::ArrayParams::new();
    for param in params {
        array.insert(param).unwrap();
    }
    ws.subscribe("eth_subscribe", array, "eth_unsubscribe").await.unwrap()
}

async fn next(subscription: &mut Subscription<Value>) -> Value {
    let next = tokio::time::timeout(Duration::from_secs(10), subscription.next()).await;
    next.expect("an event in time").expect("the stream goes on").unwrap()
}

#[tokio::test]
async fn heads_and_logs_are_streamed_and_reorgs_remove_logs() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let ws = connect(&client).await;
    let mut heads = subscribe(&ws, vec![json!("newHeads")]).await;
    let mut logs = subscribe(&ws, vec![json!("logs"), json!({ "address": counter })]).await;
    let stray = json!({ "address": Address::repeat_byte(1) });
    let mut none = subscribe(&ws, vec![json!("logs"), stray]).await;

    let tx = TransactionParameters { nonce: Some(1.into()), ..to(counter) };
    client.send(tx).await.unwrap();
    client.chain.mine(1).unwrap();
    let head = next(&mut heads).await;
    assert_eq!(head["number"], "0x2");
    let log = next(&mut logs).await;
    assert_eq!(log["blockHash"], head["hash"]);
    assert_eq!(log["removed"], false);

    client.chain.reorg(1).unwrap();
    let removed = next(&mut logs).await;
    assert_eq!(removed["removed"], true);
    assert_eq!(removed["blockHash"], head["hash"]);
    let again = next(&mut logs).await;
    assert_eq!(again["removed"], false);
    let new_head = next(&mut heads).await;
    assert_eq!(new_head["number"], "0x2");
    assert_eq!(new_head["parentHash"], head["parentHash"]);
    assert_ne!(new_head["hash"], head["hash"]);
    assert_eq!(again["blockHash"], new_head["hash"]);
    assert_eq!(again["transactionHash"], removed["transactionHash"]);

    let silence = tokio::time::timeout(Duration::from_millis(50), none.next()).await;
    assert!(silence.is_err(), "a log of another contract was streamed");
    heads.unsubscribe().await.unwrap();
}

#[tokio::test]
async fn unknown_and_too_many_subscriptions_are_refused() {
    let limits = zklink_devnet::Limits { subscriptions: 2, ..Default::default() };
    let client = Client::start(zklink_devnet::DevChainConfig { limits, ..config() }).await;
    let ws = connect(&client).await;
    let refused =
        ws.subscribe::<Value, _>("eth_subscribe", rpc_params!["syncing"], "eth_unsubscribe").await;
    assert!(refused.unwrap_err().to_string().contains("newHeads and logs"));
    let _first = subscribe(&ws, vec![json!("newHeads")]).await;
    let _second = subscribe(&ws, vec![json!("newHeads")]).await;
    let third =
        ws.subscribe::<Value, _>("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe").await;
    assert!(third.is_err());
    // Plain calls work on the same connection, as do requests over HTTP on the same port.
    let id: Value = ws.request("eth_chainId", rpc_params![]).await.unwrap();
    assert_eq!(id, "0x2329");
    assert_eq!(client.rpc("eth_chainId", vec![]).await.unwrap(), id);
}
