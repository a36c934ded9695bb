//! Processes of anvil, the development node that others build and trust. They end with this
//! program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use zklink::id::ChainId;

use crate::world::{ONE, Urls, funder, validator};

/// `finalized` is this many blocks below `latest`: more than the deepest reorganisation of the
/// tests.
pub const FINALITY_LAG: u64 = 10;

/// A chain.
pub struct Anvil {
    _child: Child,
    url: String,
    http: reqwest::Client,
}

/// Chains numbered from 1, on which [`funder`] and [`validator`] have coins.
pub async fn anvils(count: u8) -> (Vec<Anvil>, Urls) {
    let (mut chains, mut urls) = (Vec::new(), Urls::new());
    for id in 1..=count {
        let evm_chain_id = 92_000 + u64::from(id);
        let chain = Anvil::start(evm_chain_id).await;
        for key in [funder(), validator()] {
            let address = format!("0x{}", hex::encode(key.address()));
            let coins = format!("0x{:x}", 10_000 * ONE);
            chain.ask("anvil_setBalance", json!([address, coins])).await;
        }
        urls.insert(ChainId(id), (evm_chain_id, chain.url.clone()));
        chains.push(chain);
    }
    (chains, urls)
}

/// The program itself and not npm's wrapper: a wrapper that is ended leaves its child behind.
fn program() -> PathBuf {
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let machine = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules");
    let program = modules.join(format!("@foundry-rs/anvil-{system}-{machine}/bin/anvil"));
    assert!(program.is_file(), "{} is missing: run npm ci in contracts", program.display());
    program
}

impl Anvil {
    async fn start(evm_chain_id: u64) -> Anvil {
        let slots = (FINALITY_LAG / 2).to_string();
        let mut child = Command::new(program())
            .args(["--port", "0", "--chain-id", &evm_chain_id.to_string()])
            .args(["--hardfork", "prague", "--slots-in-an-epoch", &slots])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    return address.trim().to_owned();
                }
            }
            panic!("anvil ended before it listened");
        };
        let patience = Duration::from_secs(20);
        let address = tokio::time::timeout(patience, listening).await.expect("anvil listens");
        // Nobody reads what else it says, and a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Anvil { _child: child, url: format!("http://{address}"), http: reqwest::Client::new() }
    }

    /// Calls a method, which must not fail.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.http.post(&self.url).json(&body).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        assert_eq!(answer.get("error"), None, "{method} {body}");
        answer["result"].take()
    }

    pub async fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", json!([format!("0x{blocks:x}")])).await;
    }

    pub async fn latest(&self) -> u64 {
        number(&self.ask("eth_blockNumber", json!([])).await)
    }

    /// Whether a transaction starts a block of its own as soon as it comes.
    pub async fn automine(&self, on: bool) {
        self.ask("evm_setAutomine", json!([on])).await;
    }

    /// Hashes and senders of the transactions of a block.
    pub async fn transactions(&self, block: u64) -> Vec<(String, String)> {
        let params = json!([format!("0x{block:x}"), true]);
        let block = self.ask("eth_getBlockByNumber", params).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let transactions = block["transactions"].as_array().unwrap();
        transactions.iter().map(|tx| (text(&tx["hash"]), text(&tx["from"]))).collect()
    }

    /// Replaces the last blocks by as many others, which hold these transactions, each in the block
    /// of its number counted from zero, and no others.
    pub async fn reorg(&self, depth: u64, kept: &[(String, u64)]) {
        let mut pairs = Vec::new();
        for (hash, block) in kept {
            let raw = self.ask("eth_getRawTransactionByHash", json!([hash])).await;
            pairs.push(json!([raw, block]));
        }
        self.ask("anvil_reorg", json!([depth, pairs])).await;
    }
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
