//! An RPC endpoint that stands before a chain and can be told to misbehave.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::U256;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zklink_chain::contracts::{rollup_events, sent_event};

/// How the endpoint answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// As the chain does.
    Honest,
    /// Never.
    Hang,
    /// By closing the connection.
    Close,
    /// With bytes that are no JSON.
    Garbage,
    /// With JSON of another shape than was asked for.
    Absurd,
    /// With many megabytes.
    Huge,
    /// With the heads of another time: nothing is newer than this block.
    Lag(u64),
    /// With a final block that the chain does not have.
    Ahead,
    /// With the tip as the final block.
    Hasty,
    /// With a hash of its own for every block.
    OtherChain,
    /// Without any event.
    Hide,
    /// With an event of a deposit that nobody made; its serial and its owner's address.
    Invent(u64, [u8; 20]),
    /// With another amount in each deposit.
    Inflate,
    /// Without the events of messages to other chains.
    HideMessages,
    /// With another payload in each message to another chain.
    ForgeMessages,
}

/// See the module.
pub struct Proxy {
    pub url: String,
    mode: Arc<Mutex<Mode>>,
}

impl Proxy {
    /// Stands before the chain at `upstream`.
    pub async fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mode = Arc::new(Mutex::new(Mode::Honest));
        let (shared, upstream) = (Arc::clone(&mode), upstream.to_owned());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (mode, upstream) = (Arc::clone(&shared), upstream.clone());
                tokio::spawn(async move { serve(socket, mode, upstream).await });
            }
        });
        Proxy { url, mode }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

/// Serves the requests of one connection, as long as it can be read.
async fn serve(mut socket: TcpStream, mode: Arc<Mutex<Mode>>, upstream: String) -> Option<()> {
    let http = reqwest::Client::new();
    let mut bytes = Vec::new();
    loop {
        let request: Value = serde_json::from_slice(&body(&mut socket, &mut bytes).await?).ok()?;
        let now = mode.lock().unwrap().clone();
        let answer = match &now {
            Mode::Hang => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return None;
            }
            Mode::Close => return None,
            Mode::Garbage => b"\x00<html>502 Bad Gateway</html>\xff".to_vec(),
            Mode::Absurd => {
                let result = json!({ "number": [], "gas": -1 });
                json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })
                    .to_string()
                    .into()
            }
            Mode::Huge => vec![b'['; 48 << 20],
            lie => bend(&http, &upstream, request, lie).await?.to_string().into(),
        };
        let length = answer.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let head = format!("{head}content-length: {length}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.ok()?;
        socket.write_all(&answer).await.ok()?;
    }
}

/// Reads one request; what follows it stays in `bytes`.
async fn body(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(start) = end {
            let head = String::from_utf8_lossy(&bytes[..start]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
            let length: usize = length.trim().parse().ok()?;
            if bytes.len() >= start + length {
                let body = bytes[start..start + length].to_vec();
                bytes.drain(..start + length);
                return Some(body);
            }
        }
        if socket.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn forward(http: &reqwest::Client, upstream: &str, request: &Value) -> Option<Value> {
    http.post(upstream).json(request).send().await.ok()?.json().await.ok()
}

/// What the chain answers, bent as the mode says.
async fn bend(
    http: &reqwest::Client,
    upstream: &str,
    mut request: Value,
    mode: &Mode,
) -> Option<Value> {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let tag = request["params"][0].as_str().unwrap_or_default().to_owned();
    let is_header = method == "eth_getBlockByNumber";
    if is_header && matches!(tag.as_str(), "latest" | "safe" | "finalized") {
        match mode {
            Mode::Lag(number) => request["params"][0] = json!(format!("0x{number:x}")),
            Mode::Hasty => request["params"][0] = json!("latest"),
            _ => {}
        }
    }
    let mut answer = forward(http, upstream, &request).await?;
    match mode {
        Mode::Ahead if is_header && tag == "finalized" => {
            answer["result"]["number"] = json!("0xffffff");
        }
        Mode::OtherChain if is_header && answer["result"].is_object() => {
            answer["result"]["hash"] = json!(format!("0x{}", "ab".repeat(32)));
        }
        Mode::Hide if method == "eth_getLogs" => answer["result"] = json!([]),
        Mode::Invent(serial, owner) if method == "eth_getLogs" => {
            let block = request["params"][0]["toBlock"].clone();
            let asks_rollup = request.to_string().contains(&hex::encode(rollup_events()[0]));
            if asks_rollup && answer["result"] == json!([]) {
                let address = request["params"][0]["address"].clone();
                let address = address.as_array().map_or(address.clone(), |all| all[0].clone());
                let params = json!([block, false]);
                let ask = json!({
                    "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": params
                });
                let header = forward(http, upstream, &ask).await?;
                let hash = header["result"]["hash"].clone();
                answer["result"] = json!([invented(&address, &block, &hash, *serial, *owner)]);
            }
        }
        Mode::Inflate if method == "eth_getLogs" => {
            for log in answer["result"].as_array_mut().into_iter().flatten() {
                // The amount is the third word of the data.
                if log["topics"][0] == json!(hex0x(&rollup_events()[0])) {
                    let data = log["data"].as_str().unwrap_or_default().to_owned();
                    log["data"] =
                        json!(format!("{}f{}", &data[..2 + 128 + 40], &data[2 + 128 + 41..]));
                }
            }
        }
        Mode::HideMessages if method == "eth_getLogs" => {
            if let Some(logs) = answer["result"].as_array_mut() {
                logs.retain(|log| log["topics"][0] != json!(hex0x(&sent_event())));
            }
        }
        Mode::ForgeMessages if method == "eth_getLogs" => {
            for log in answer["result"].as_array_mut().into_iter().flatten() {
                if log["topics"][0] == json!(hex0x(&sent_event())) {
                    // The end of a payload is the content that the message is about.
                    let data = log["data"].as_str().unwrap_or_default().to_owned();
                    log["data"] = json!(format!("{}0badcafe", &data[..data.len() - 8]));
                }
            }
        }
        _ => {}
    }
    Some(answer)
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn word(value: u64) -> String {
    hex::encode(U256::from(value).to_be_bytes::<32>())
}

/// The event of a deposit of a million tokens, in a block that exists.
fn invented(address: &Value, block: &Value, hash: &Value, serial: u64, owner: [u8; 20]) -> Value {
    let amount = U256::from(10).pow(U256::from(24));
    let amount = hex::encode(amount.to_be_bytes::<32>());
    let owner = format!("{}{}", "00".repeat(12), hex::encode(owner));
    json!({
        "address": address,
        "topics": [
            hex0x(&rollup_events()[0]),
            format!("0x{}", word(serial)),
            format!("0x{}", word(crate::world::USDC.0.into())),
            format!("0x{owner}"),
        ],
        "data": format!("0x{}{}{amount}{owner}", word(0), word(0)),
        "blockNumber": block,
        "blockHash": hash,
        "transactionHash": hex0x(&[0x66; 32]),
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": false,
    })
}
