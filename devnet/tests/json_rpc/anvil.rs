//! The same story told to this chain and to anvil, answer by answer.
//!
//! anvil is another program, so its half runs where the environment variable `ANVIL` names it
//! (continuous integration does); this chain's half always runs.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use web3::Transport;
use web3::transports::Http;
use web3::types::{Address, Bytes, TransactionParameters, U256};
use zklink_devnet::{DevChain, DevChainConfig};

use crate::client::{CHAIN_ID, address, config, key, to};
use crate::code;

/// Asks a node and keeps what it said, block hashes and times left out.
struct Teller {
    web3: web3::Web3<Http>,
    said: Vec<(String, Value)>,
    /// Whether prices are kept: after blocks were taken back, anvil goes on with the base fee from
    /// before that.
    prices: bool,
}

impl Teller {
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let params = params.as_array().expect("parameters are a list").clone();
        match self.web3.transport().execute(method, params).await {
            Ok(answer) => answer,
            Err(web3::Error::Rpc(error)) => json!({ "code": error.code, "data": error.data }),
            Err(other) => panic!("{method}: {other}"),
        }
    }

    /// Asks, and keeps the answer, or only some fields of it.
    async fn keep(&mut self, method: &str, params: Value, fields: &[&str]) {
        let answer = self.ask(method, params.clone()).await;
        let kept = if fields.is_empty() || !answer.is_object() {
            answer
        } else {
            fields.iter().map(|field| (field.to_string(), answer[field].clone())).collect()
        };
        self.said.push((format!("{method} {params}"), kept));
    }

    async fn sign(&self, nonce: u64, tx: TransactionParameters) -> String {
        let tx = TransactionParameters { nonce: Some(nonce.into()), ..tx };
        let signed = self.web3.accounts().sign_transaction(tx, &key(1)).await.unwrap();
        alloy_primitives::hex::encode_prefixed(signed.raw_transaction.0)
    }

    /// Sends and mines a transaction, and keeps hash and receipt.
    async fn send(&mut self, nonce: u64, tx: TransactionParameters) {
        const RECEIPT: [&str; 9] = [
            "status",
            "gasUsed",
            "cumulativeGasUsed",
            "contractAddress",
            "logsBloom",
            "transactionIndex",
            "blockNumber",
            "type",
            "effectiveGasPrice",
        ];
        let raw = self.sign(nonce, tx).await;
        self.keep("eth_sendRawTransaction", json!([raw]), &[]).await;
        let hash = self.said.last().unwrap().1.clone();
        self.keep("evm_mine", json!([]), &[]).await;
        self.keep(
            "eth_getTransactionReceipt",
            json!([hash]),
            &RECEIPT[..8 + usize::from(self.prices)],
        )
        .await;
    }

    async fn keep_logs(&mut self) {
        let logs = self.ask("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
        let shape = |log: &Value| {
            let kept = ["address", "topics", "data", "blockNumber", "logIndex", "removed"];
            kept.iter().map(|field| (field.to_string(), log[field].clone())).collect()
        };
        let logs: Vec<Value> = logs.as_array().unwrap().iter().map(shape).collect();
        self.said.push(("all logs".to_string(), json!(logs)));
    }
}

async fn transactions(node: &mut Teller) -> Address {
    let me = address(&key(1));
    let hundred = format!("0x{:x}", 10_u128.pow(20));
    node.keep("evm_setAutomine", json!([false]), &[]).await;
    node.keep("anvil_setBalance", json!([me, hundred]), &[]).await;
    for method in ["eth_chainId", "net_version", "eth_syncing", "eth_blockNumber"] {
        node.keep(method, json!([]), &[]).await;
    }
    let data = Bytes(code::init(&code::counter()));
    let deploy = TransactionParameters { to: None, data, ..to(me) };
    node.send(0, TransactionParameters { gas: U256::from(200_000), ..deploy }).await;
    let counter = node.said.last().unwrap().1["contractAddress"].clone();
    let counter: Address = serde_json::from_value(counter).unwrap();
    for (nonce, kind) in [(1, None), (2, Some(1)), (3, Some(2))] {
        let dynamic = kind == Some(2);
        let gas_price = (!dynamic).then(|| U256::from(3_000_000_000_u64));
        let tx = TransactionParameters { gas_price, ..to(counter) };
        let transaction_type = kind.map(Into::into);
        node.send(nonce, TransactionParameters { transaction_type, ..tx }).await;
    }
    let fails = TransactionParameters { data: Bytes(vec![1, 2, 3, 4]), ..to(counter) };
    node.send(4, fails).await;
    node.keep_logs().await;
    counter
}

async fn questions(node: &mut Teller, counter: Address) {
    let me = address(&key(1));
    let stray = Address::repeat_byte(3);
    for at in ["latest", "0x2", "earliest", "pending", "safe", "finalized"] {
        node.keep("eth_getTransactionCount", json!([me, at]), &[]).await;
        node.keep("eth_getStorageAt", json!([counter, "0x0", at]), &[]).await;
        node.keep("eth_getCode", json!([counter, at]), &[]).await;
    }
    node.keep("eth_call", json!([{ "to": counter }, "latest"]), &[]).await;
    node.keep("eth_call", json!([{ "to": counter, "data": "0xdeadbeef" }, "latest"]), &[]).await;
    node.keep("eth_call", json!([{ "to": stray }, "latest"]), &[]).await;
    node.keep("eth_estimateGas", json!([{ "to": counter, "data": "0xdead" }]), &[]).await;
    node.keep("eth_estimateGas", json!([{ "from": me, "to": stray }]), &[]).await;
    let nothing = format!("0x{:064x}", 7);
    node.keep("eth_getTransactionByHash", json!([nothing]), &[]).await;
    node.keep("eth_getTransactionReceipt", json!([nothing]), &[]).await;
    node.keep("eth_getBlockByHash", json!([nothing, false]), &[]).await;
    node.keep("eth_getBlockByNumber", json!(["0x1000", false]), &[]).await;
    let same = ["number", "gasUsed", "baseFeePerGas", "transactions", "transactionsRoot"];
    let same = [&same[..], &["receiptsRoot", "logsBloom", "sha3Uncles", "difficulty"]].concat();
    for number in ["0x1", "0x2", "0x4"] {
        node.keep("eth_getBlockByNumber", json!([number, false]), &same).await;
    }
    let history = ["oldestBlock", "baseFeePerGas", "gasUsedRatio", "reward"];
    node.keep("eth_feeHistory", json!(["0x4", "latest", [10, 90]]), &history).await;
    let pairing = format!("0x{}", "00".repeat(384));
    let precompile = Address::from_low_u64_be(0x0f);
    node.keep("eth_call", json!([{ "to": precompile, "data": pairing }, "latest"]), &[]).await;
}

async fn controls(node: &mut Teller, counter: Address) {
    node.keep("anvil_mine", json!(["0x3"]), &[]).await;
    node.send(5, to(counter)).await;
    node.send(6, to(counter)).await;
    let again = node.sign(5, to(counter)).await;
    node.keep("anvil_reorg", json!([2, [[again, 1]]]), &[]).await;
    node.keep("eth_blockNumber", json!([]), &[]).await;
    node.keep("eth_getStorageAt", json!([counter, "0x0", "latest"]), &[]).await;
    node.keep_logs().await;
    node.keep("anvil_rollback", json!([1]), &[]).await;
    node.keep("anvil_rollback", json!([null]), &[]).await;
    node.keep("eth_blockNumber", json!([]), &[]).await;
    node.keep_logs().await;
    node.keep("evm_increaseTime", json!([500]), &[]).await;
    node.keep("evm_mine", json!([]), &[]).await;
    node.prices = false;
    node.keep("evm_snapshot", json!([]), &[]).await;
    let snapshot = node.said.last().unwrap().1.clone();
    node.send(5, to(counter)).await;
    node.keep("evm_revert", json!([snapshot]), &[]).await;
    node.keep("evm_revert", json!([snapshot]), &[]).await;
    node.keep("eth_blockNumber", json!([]), &[]).await;
    node.keep("eth_getStorageAt", json!([counter, "0x0", "latest"]), &[]).await;
}

async fn story(url: &str) -> Vec<(String, Value)> {
    let web3 = web3::Web3::new(Http::new(url).unwrap());
    let mut node = Teller { web3, said: Vec::new(), prices: true };
    let counter = transactions(&mut node).await;
    questions(&mut node, counter).await;
    controls(&mut node, counter).await;
    node.said
}

/// anvil on a port of its own, started like this chain. anvil gives block 1 the base fee of block
/// 0 instead of the one that EIP-1559 derives from it, so it is started with that one.
/// Killed when dropped.
async fn start_anvil(program: &str) -> (Child, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(program)
        .args(["--hardfork", "prague", "--slots-in-an-epoch", "2", "--silent"])
        .args(["--block-base-fee-per-gas", "875000000"])
        .args(["--chain-id", &CHAIN_ID.to_string(), "--port", &port.to_string()])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let web3 = web3::Web3::new(Http::new(&url).unwrap());
    for _ in 0..200 {
        if web3.eth().block_number().await.is_ok() {
            return (child, url);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{program} does not answer on port {port}");
}

#[tokio::test]
async fn both_chains_tell_the_same_story() {
    // anvil's `safe` is one epoch behind the latest block and `finalized` two.
    let like_anvil = DevChainConfig { funded: Vec::new(), ..config() };
    let chain = DevChain::start(like_anvil).await.unwrap();
    let ours = story(&chain.http_url()).await;
    assert!(ours.len() > 60, "the story has only {} answers", ours.len());
    let Ok(program) = std::env::var("ANVIL") else {
        eprintln!("ANVIL is not set: the story was told to the embedded chain only");
        return;
    };
    let (_anvil, url) = start_anvil(&program).await;
    let theirs = story(&url).await;
    let pairs = ours.iter().zip(&theirs);
    let differences: Vec<_> = pairs.filter(|(ours, theirs)| ours != theirs).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(ours.len(), theirs.len());
}
