//! Bad input, and a lot of it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zklink_devnet::{DevChainConfig, Limits};

use crate::client::{Client, config};

/// Posts a body as it is, and returns the status line and the body of the answer.
async fn post(client: &Client, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(client.chain.address()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server may answer and close before it has read a body that is too large.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.lines().next().unwrap_or("").to_string(), body.to_string())
}

async fn code(client: &Client, body: &str) -> i64 {
    let (status, answer) = post(client, body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{status}"));
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}

#[tokio::test]
async fn malformed_requests_get_errors_and_the_chain_lives_on() {
    let client = Client::start(config()).await;
    for (body, expected) in [
        ("", -32700),
        ("{", -32700),
        ("\u{0}\u{1}", -32700),
        ("[1,2", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_call"}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[7]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["newest"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0xzz"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x"]}"#, -32000),
        (r#"{"jsonrpc":"2.0","id":1,"method":"evm_increaseTime","params":[-1]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"anvil_mine","params":["0xffffffff"]}"#, -32005),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_feeHistory","params":["0x1","latest",[9,1]]}"#,
            -32602,
        ),
    ] {
        assert_eq!(code(&client, body).await, expected, "{body}");
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let refused = code(&client, &deep).await;
    assert!([-32700, -32600, -32602].contains(&refused), "{refused}");
    assert_eq!(client.rpc("eth_blockNumber", vec![]).await.unwrap(), json!("0x0"));
}

#[tokio::test]
async fn requests_and_batches_are_bounded() {
    let limits = Limits { request_bytes: 10_000, batch_calls: 3, ..Limits::default() };
    let client = Client::start(DevChainConfig { limits, ..config() }).await;
    let (status, _) = post(&client, &" ".repeat(10_001)).await;
    assert!(status.contains("413"), "{status}");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let batch = |calls: usize| format!("[{}]", vec![call; calls].join(","));
    assert!(post(&client, &batch(3)).await.1.contains("0x2329"));
    assert_eq!(code(&client, &batch(4)).await, -32010);
    assert_eq!(client.rpc("eth_blockNumber", vec![]).await.unwrap(), json!("0x0"));
}

#[tokio::test]
async fn a_call_that_never_ends_is_stopped_by_its_gas() {
    let client = Client::start(config()).await;
    // JUMPDEST, PUSH 0, JUMP.
    let endless = client.deploy(&[0x5b, 0x60, 0, 0x56]).await;
    let call = json!({ "to": endless, "gas": "0xffffffffffffffff" });
    let refused = client.rpc("eth_call", vec![call]).await;
    assert_eq!(crate::client::text(refused), "out of gas");
}

#[tokio::test]
async fn many_empty_blocks_cost_little() {
    let limits = Limits { mine_blocks: 50_000, ..Limits::default() };
    let config = DevChainConfig { limits, ..config() };
    let client = Client::start(config).await;
    let before = resident_bytes();
    client.chain.mine(50_000).unwrap();
    let grown = resident_bytes().saturating_sub(before);
    assert_eq!(client.chain.latest().unwrap(), 50_000);
    assert!(grown < 50_000_000, "50,000 empty blocks took {grown} bytes");
}

/// Memory of this process, bytes; 0 where the system does not tell in this way.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
