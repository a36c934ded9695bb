//! Strangers at the gateway: every request has a typed answer or a closed door, and the node does
//! not change.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zklink_client::code;
use zklink_node::gateway::Limits;
use zklink_node::node::Node;

use crate::world::{World, embedded};

/// Requests of the flood, and connections that send them.
const FLOOD: u64 = 10_000;
const CONNECTIONS: u64 = 16;

async fn post(http: &reqwest::Client, url: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = http.post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn call(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

async fn malformed(http: &reqwest::Client, url: &str) {
    for body in ["", "{", "\u{0}", "[]", "[[[[[[[[[[[[[[[[", "\"text\"", "{\"jsonrpc\":\"2.0\"}"] {
        let (_, answer) = post(http, url, body).await;
        let code = answer["error"]["code"].as_i64().unwrap_or_default();
        assert!(code == -32700 || code == -32600, "{body:?}: {answer}");
    }
    let deep = "[".repeat(100_000);
    let (_, answer) = post(http, url, call("getAccount", json!([deep]))).await;
    assert_eq!(answer["error"]["code"], code::PARAMS, "{answer}");
    let nested = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let (_, answer) = post(http, url, nested).await;
    assert_eq!(answer[0]["error"]["code"], -32600, "{answer}");
    let cases = [
        ("getAccount", json!([-1])),
        ("getAccount", json!({ "account": 1.5 })),
        ("getAccountBalances", json!(["0x00"])),
        ("getTransactionByHash", json!(["0x12"])),
        ("getBlockByNumber", json!([4294967296u64])),
        ("getTokenReserve", json!([65536])),
        ("sendTransaction", json!([{ "type": "Transfer", "amount": "1e9" }])),
        ("sendTransaction", json!([null])),
    ];
    for (method, params) in cases {
        let (_, answer) = post(http, url, call(method, params.clone())).await;
        assert_eq!(answer["error"]["code"], code::PARAMS, "{method} {params}: {answer}");
    }
    let (_, answer) = post(http, url, call("noSuchMethod", json!([]))).await;
    assert_eq!(answer["error"]["code"], -32601);
}

async fn oversized(http: &reqwest::Client, url: &str, limits: &Limits) {
    let one: Value = serde_json::from_str(&call("getLatestBlockNumber", json!([]))).unwrap();
    let batch = |calls: u32| Value::from(vec![one.clone(); calls as usize]).to_string();
    let (_, answer) = post(http, url, batch(limits.batch_max)).await;
    assert_eq!(answer.as_array().map(Vec::len), Some(limits.batch_max as usize));
    let (_, answer) = post(http, url, batch(limits.batch_max + 1)).await;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    let (status, answer) = post(http, url, vec![b' '; limits.request_bytes_max as usize + 1]).await;
    assert!(status == 413 || answer["error"]["code"].is_i64(), "{status} {answer}");
}

/// One connection's part of the flood; returns how many were served, and how many were told to
/// wait.
async fn flood(url: String) -> (u64, u64) {
    let http = reqwest::Client::builder().pool_max_idle_per_host(1).build().unwrap();
    let (mut served, mut later) = (0, 0);
    for number in 0..FLOOD / CONNECTIONS {
        let (_, answer) = match number % 3 {
            0 => post(&http, &url, call("getNetwork", json!([]))).await,
            1 => post(&http, &url, call("getAccount", json!([number]))).await,
            _ => post(&http, &url, call("getPendingBlock", json!([0, true, false, 100]))).await,
        };
        match answer["error"]["code"].as_i64() {
            Some(code) if code == i64::from(code::LIMIT) => {
                assert!(answer["error"]["data"]["retryAfterMs"].as_u64() > Some(0), "{answer}");
                later += 1;
            }
            Some(code) => {
                assert_eq!(code, i64::from(code::ACCOUNT_NOT_FOUND), "{answer}");
                served += 1;
            }
            None => served += 1,
        }
    }
    (served, later)
}

/// Opens more connections than one address may have, each with half a request; returns those that
/// were let in.
async fn slow(address: std::net::SocketAddr, limits: &Limits) -> Vec<TcpStream> {
    let (mut open, mut shut) = (Vec::new(), 0);
    for _ in 0..limits.connections_per_address_max + 20 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        drop(socket.write_all(b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n").await);
        let mut byte = [0];
        let end = tokio::time::timeout(Duration::from_millis(5), socket.read(&mut byte)).await;
        if end.is_ok() { shut += 1 } else { open.push(socket) }
    }
    assert!(shut >= 20, "{shut} were shut out");
    open
}

async fn story() {
    let (_chains, urls) = embedded(2, Duration::from_millis(200), 2).await;
    let world = World::deploy(&urls).await;
    let data = tempfile::tempdir().unwrap();
    let mut setup = world.setup(data.path(), 0);
    let limits = Limits { connections_per_address_max: 64, ..Limits::default() };
    setup.limits = limits.clone();
    let mut node = Node::start(setup).await.unwrap();
    let before = node.view().read().state.clone();
    let (url, http) = (format!("http://{}", node.rpc()), reqwest::Client::new());

    malformed(&http, &url).await;
    // The bucket of this connection fills again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    oversized(&http, &url, &limits).await;
    let floods: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(flood(url.clone()))).collect();
    let (mut served, mut later) = (0, 0);
    for flood in floods {
        let (of_one, waits) = flood.await.unwrap();
        (served, later) = (served + of_one, later + waits);
    }
    println!("{served} of {FLOOD} requests were served, {later} told to wait");
    assert!(later > 0 && served >= CONNECTIONS * u64::from(limits.burst));
    drop(http);
    let open = slow(node.rpc(), &limits).await;
    drop(open);
    tokio::time::sleep(Duration::from_millis(200)).await;

    let http = reqwest::Client::new();
    let (status, answer) = post(&http, &url, call("getNetwork", json!([]))).await;
    assert_eq!((status, &answer["result"]["dev"]), (200, &json!(false)), "{answer}");
    assert_eq!(node.view().read().state, before, "nothing has changed");
    tokio::select! {
        reason = node.finished() => panic!("the node stopped: {reason}"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    node.stop("the story is over").await;
}

#[test]
fn strangers_at_the_gateway_change_nothing() {
    zklink_mechanism::shell::run(story());
}
