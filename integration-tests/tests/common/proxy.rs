//! An RPC endpoint that stands before a chain and can be told to misbehave.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
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
    /// With this HTTP status and body, whatever is asked.
    Status(u16, &'static str),
    /// With this JSON-RPC error, whatever is asked.
    Error(i64, &'static str),
    /// As two replicas behind one address, one of them so many blocks behind: they take turns.
    Replicas(u64),
    /// Without any event, every second time.
    HideSometimes,
    /// But for events of more than so many blocks.
    RangeLimit(u64),
    /// Without the state of any block but the newest sixteen.
    Pruned,
    /// Without the methods that ask for fees of EIP-1559.
    NoFeeHistory,
    /// But for transactions that give the producer less than this for a unit of gas, wei.
    LeastTip(u128),
    /// With no receipt the first times that one is asked for.
    LateReceipts(u64),
}

/// See the module.
pub struct Proxy {
    pub url: String,
    mode: Arc<Mutex<Mode>>,
    asked: Arc<AtomicU64>,
}

/// What the answers of one proxy depend on besides the question.
struct Shared {
    mode: Arc<Mutex<Mode>>,
    upstream: String,
    /// Requests so far.
    asked: Arc<AtomicU64>,
}

impl Proxy {
    /// Stands before the chain at `upstream`.
    pub async fn start(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mode = Arc::new(Mutex::new(Mode::Honest));
        let (upstream, asked) = (upstream.to_owned(), Arc::<AtomicU64>::default());
        let shared = Shared { mode: Arc::clone(&mode), upstream, asked: Arc::clone(&asked) };
        let shared = Arc::new(shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { serve(socket, &shared).await });
            }
        });
        Proxy { url, mode, asked }
    }

    /// Requests so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(SeqCst)
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

/// Serves the requests of one connection, as long as it can be read.
async fn serve(mut socket: TcpStream, shared: &Shared) -> Option<()> {
    let http = reqwest::Client::new();
    let mut bytes = Vec::new();
    loop {
        let request: Value = serde_json::from_slice(&body(&mut socket, &mut bytes).await?).ok()?;
        let number = shared.asked.fetch_add(1, SeqCst);
        let now = shared.mode.lock().unwrap().clone();
        let mut status = 200;
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
            Mode::Status(code, body) => {
                status = *code;
                body.as_bytes().to_vec()
            }
            Mode::Error(code, message) => refused(&request, *code, message).to_string().into(),
            lie => bend(&http, &shared.upstream, request, lie, number).await?.to_string().into(),
        };
        let length = answer.len();
        let head = format!("HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n");
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

/// What is answered instead of the chain, if something is.
async fn instead(
    http: &reqwest::Client,
    upstream: &str,
    request: &Value,
    mode: &Mode,
    number: u64,
) -> Option<Value> {
    let empty =
        |result: Value| Some(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }));
    let is_second = number % 2 == 1;
    match (mode, request["method"].as_str()?) {
        (Mode::Replicas(behind), _) if is_second => {
            replica(http, upstream, request.clone(), *behind).await
        }
        (Mode::HideSometimes, "eth_getLogs") if is_second => empty(json!([])),
        (Mode::LateReceipts(times), "eth_getTransactionReceipt")
            if !number.is_multiple_of(*times) =>
        {
            empty(Value::Null)
        }
        _ => refusal(http, upstream, request, mode).await,
    }
}

/// What the chain answers, bent as the mode says.
async fn bend(
    http: &reqwest::Client,
    upstream: &str,
    mut request: Value,
    mode: &Mode,
    number: u64,
) -> Option<Value> {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    if let Some(answer) = instead(http, upstream, &request, mode, number).await {
        return Some(answer);
    }
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

/// A refusal in the form of JSON-RPC.
fn refused(request: &Value, code: i64, message: &str) -> Value {
    let error = json!({ "code": code, "message": message });
    json!({ "jsonrpc": "2.0", "id": request["id"], "error": error })
}

async fn tip(http: &reqwest::Client, upstream: &str) -> Option<u64> {
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": [] });
    quantity(&forward(http, upstream, &ask).await?["result"])
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// What a replica answers that is behind: it does not have the newest blocks, and their events are not there.
async fn replica(
    http: &reqwest::Client,
    upstream: &str,
    mut request: Value,
    behind: u64,
) -> Option<Value> {
    let tip = tip(http, upstream).await?.saturating_sub(behind);
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let at = if method == "eth_getBlockByNumber" { 0 } else { 1 };
    match method.as_str() {
        "eth_getLogs" => {
            let to = quantity(&request["params"][0]["toBlock"])?;
            request["params"][0]["toBlock"] = json!(format!("0x{:x}", to.min(tip)));
            if quantity(&request["params"][0]["fromBlock"])? > tip {
                return Some(json!({ "jsonrpc": "2.0", "id": request["id"], "result": [] }));
            }
        }
        "eth_getBlockByNumber" | "eth_call" | "eth_getBalance" | "eth_getTransactionCount" => {
            match quantity(&request["params"][at]) {
                Some(number) if number > tip && at == 0 => {
                    return Some(json!({ "jsonrpc": "2.0", "id": request["id"], "result": null }));
                }
                Some(number) if number > tip => {
                    return Some(refused(&request, -32000, "header not found"));
                }
                Some(_) => {}
                None if request["params"][at] == json!("finalized") => {}
                None => request["params"][at] = json!(format!("0x{tip:x}")),
            }
        }
        _ => {}
    }
    forward(http, upstream, &request).await
}

/// What an endpoint with a limit, without old state, without a method or with a least tip refuses.
async fn refusal(
    http: &reqwest::Client,
    upstream: &str,
    request: &Value,
    mode: &Mode,
) -> Option<Value> {
    let method = request["method"].as_str().unwrap_or_default();
    match (mode, method) {
        (Mode::RangeLimit(limit), "eth_getLogs") => {
            let from = quantity(&request["params"][0]["fromBlock"])?;
            let blocks = quantity(&request["params"][0]["toBlock"])?.checked_sub(from)? + 1;
            let text = format!("ranges over {limit} blocks are not supported");
            (blocks > *limit).then(|| refused(request, -32005, &text))
        }
        (Mode::Pruned, "eth_call" | "eth_getBalance" | "eth_getCode") => {
            let at = quantity(&request["params"][1])?;
            let is_old = at + 16 < tip(http, upstream).await?;
            is_old.then(|| {
                refused(request, -32000, "missing trie node 5f2c (path ) state is not available")
            })
        }
        (Mode::NoFeeHistory, "eth_feeHistory" | "eth_maxPriorityFeePerGas") => {
            Some(refused(request, -32601, "the method does not exist/is not available"))
        }
        (Mode::LeastTip(least), "eth_sendRawTransaction") => {
            let raw = request["params"][0].as_str()?.strip_prefix("0x")?;
            let text = format!("transaction underpriced: minimum needed {least}");
            (tip_of(&hex::decode(raw).ok()?)? < *least).then(|| refused(request, -32000, &text))
        }
        _ => None,
    }
}

/// What a transaction of EIP-1559 gives the producer: the third item of its list.
fn tip_of(raw: &[u8]) -> Option<u128> {
    let mut rest = raw.strip_prefix(&[2])?;
    let long = usize::from(*rest.first()?).checked_sub(0xf7)?;
    rest = rest.get(1 + long..)?;
    let mut item = &rest[..0];
    for _ in 0..3 {
        let head = usize::from(*rest.first()?);
        let length = head.saturating_sub(0x80);
        item = if head < 0x80 { &rest[..1] } else { rest.get(1..=length)? };
        rest = rest.get(1 + length..)?;
    }
    Some(item.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)))
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
