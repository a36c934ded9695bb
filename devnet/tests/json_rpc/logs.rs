//! `eth_getLogs`.

use serde_json::{Value, json};
use web3::types::{Address, H256, TransactionParameters};
use zklink_devnet::{DevChainConfig, Limits};

use crate::client::{Client, config, text, to};
use crate::code;

/// A chain with two counters: the first counts in blocks 3, 5 and 5, the second in 4.
async fn counted(limits: Limits) -> (Client, Address, Address) {
    let client = Client::start(DevChainConfig { limits, ..config() }).await;
    let first = client.deploy(&code::counter()).await;
    let second = client.deploy(&code::counter()).await;
    for (nonce, target, mine) in
        [(2, first, true), (3, second, true), (4, first, false), (5, first, true)]
    {
        let tx = TransactionParameters { nonce: Some(nonce.into()), ..to(target) };
        client.send(tx).await.unwrap();
        client.chain.mine(u64::from(mine)).unwrap();
    }
    (client, first, second)
}

async fn places(client: &Client, filter: Value) -> Vec<(String, String)> {
    let logs = client.rpc("eth_getLogs", vec![filter]).await.unwrap();
    let place = |log: &Value, key: &str| log[key].as_str().unwrap().to_string();
    let logs = logs.as_array().unwrap().iter();
    logs.map(|log| (place(log, "blockNumber"), place(log, "logIndex"))).collect()
}

fn expected(places: &[(&str, &str)]) -> Vec<(String, String)> {
    places.iter().map(|(block, log)| (block.to_string(), log.to_string())).collect()
}

#[tokio::test]
async fn logs_are_selected_by_range_address_topic_and_block_hash() {
    let (client, first, second) = counted(Limits::default()).await;
    let topic = H256::from_low_u64_be(code::COUNTED.into());
    let all = [("0x3", "0x0"), ("0x4", "0x0"), ("0x5", "0x0"), ("0x5", "0x1")];
    for (filter, wanted) in [
        (json!({ "fromBlock": "0x0" }), &all[..]),
        (json!({ "fromBlock": "earliest", "toBlock": "latest" }), &all),
        (json!({}), &all[2..]),
        (json!({ "fromBlock": "0x4", "toBlock": "0x4" }), &all[1..2]),
        (json!({ "fromBlock": "0x5", "toBlock": "0xffff" }), &all[2..]),
        (json!({ "fromBlock": "0x6", "toBlock": "0xffff" }), &[]),
        (json!({ "fromBlock": "earliest", "toBlock": "finalized" }), &[]),
        (json!({ "fromBlock": "earliest", "toBlock": "safe" }), &all[..1]),
        (json!({ "fromBlock": "0x0", "address": second }), &all[1..2]),
        (json!({ "fromBlock": "0x0", "address": [first, second] }), &all),
        (json!({ "fromBlock": "0x0", "address": [] }), &all),
        (json!({ "fromBlock": "0x0", "topics": [topic] }), &all),
        (json!({ "fromBlock": "0x0", "topics": [[topic, H256::zero()]] }), &all),
        (json!({ "fromBlock": "0x0", "topics": [null] }), &all),
        (json!({ "fromBlock": "0x0", "topics": [H256::zero()] }), &[]),
    ] {
        assert_eq!(places(&client, filter.clone()).await, expected(wanted), "{filter}");
    }
    let params = vec![json!("0x5"), json!(false)];
    let block = client.rpc("eth_getBlockByNumber", params).await.unwrap();
    let by_hash = json!({ "blockHash": block["hash"] });
    assert_eq!(places(&client, by_hash).await, expected(&all[2..]));
    let logs = client.rpc("eth_getLogs", vec![json!({})]).await.unwrap();
    assert_eq!(logs[1]["transactionHash"], block["transactions"][1]);
    assert_eq!(logs[1]["transactionIndex"], "0x1");
    assert_eq!(logs[1]["blockHash"], block["hash"]);
    assert_eq!(logs[1]["removed"], false);
}

#[tokio::test]
async fn log_queries_are_bounded() {
    let limits = Limits { log_blocks: 5, log_results: 3, ..Limits::default() };
    let (client, ..) = counted(limits).await;
    let ask = async |filter: Value| text(client.rpc("eth_getLogs", vec![filter]).await);
    assert_eq!(
        ask(json!({ "fromBlock": "0x0" })).await,
        "query covers 6 blocks, more than the limit of 5. Ask in parts"
    );
    assert_eq!(
        ask(json!({ "fromBlock": "0x1" })).await,
        "query returns more than 3 results. Ask in parts"
    );
    assert_eq!(
        ask(json!({ "fromBlock": "0x3", "toBlock": "0x2" })).await,
        "invalid block range: from 3 to 2"
    );
    let unknown = format!("{:?}", H256::repeat_byte(1));
    assert_eq!(ask(json!({ "blockHash": unknown })).await, format!("header not found: {unknown}"));
    let both = json!({ "blockHash": unknown, "fromBlock": "0x1" });
    assert!(client.rpc("eth_getLogs", vec![both]).await.is_err());
    let addresses: Vec<Address> = (0..1001).map(Address::from_low_u64_be).collect();
    assert!(ask(json!({ "address": addresses })).await.contains("at most 1000 alternatives"));
    let few = json!({ "fromBlock": "0x1", "toBlock": "0xffffffffffffffff", "address": [] });
    assert!(ask(few).await.contains("more than 3 results"));
}
