//! Processes of anvil. They end with this program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use zklink_chain::account::EthKey;

/// EIP-155 id of the first process; the others follow it.
const FIRST_ID: u64 = 31_337;
/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first account that anvil funds; everybody knows its key.
const FIRST_ACCOUNT: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A process.
pub(super) struct Anvil {
    child: Child,
    address: String,
}

/// The key that pays on anvil's chains.
pub(super) fn funder() -> EthKey {
    EthKey::from_hex(FIRST_ACCOUNT).expect("it is anvil's well-known key")
}

/// Starts so many processes with different chain ids, on free ports.
pub(super) async fn start_three(count: usize) -> Result<Vec<Anvil>> {
    let program = find()?;
    let mut started = Vec::new();
    for id in (FIRST_ID..).take(count) {
        started.push(Anvil::start(&program, id).await?);
    }
    Ok(started)
}

impl Anvil {
    async fn start(program: &OsString, chain_id: u64) -> Result<Anvil> {
        let mut child = Command::new(program)
            .args(["--port", "0", "--chain-id", &chain_id.to_string()])
            .args(["--hardfork", "prague", "--slots-in-an-epoch", "2", "--block-time", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let output = child.stdout.take().context("anvil's output is a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    return Ok(address.trim().to_owned());
                }
            }
            bail!("anvil for chain {chain_id} ended before it listened: run it by hand to see why")
        };
        let address = tokio::time::timeout(PATIENCE, listening)
            .await
            .with_context(|| format!("anvil for chain {chain_id} does not listen"))??;
        // Nobody reads what else it says, and a full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Anvil { child, address })
    }

    /// Where it answers.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it answers over a WebSocket.
    pub(super) fn ws(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Ends the process.
    pub(super) async fn stop(mut self) {
        // It may have ended by itself, which is as well.
        drop(self.child.kill().await);
    }
}

/// The program that npm installed for the contracts, or the one of the search path. The program itself is preferred to
/// npm's wrapper, because a wrapper that is ended leaves its child behind.
fn find() -> Result<OsString> {
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let machine = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let package = format!("@foundry-rs/anvil-{system}-{machine}/bin/anvil");
    let modules = Path::new("contracts/node_modules");
    let search = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = vec![modules.join(package)];
    places.extend(std::env::split_paths(&search).map(|folder| folder.join("anvil")));
    places.push(modules.join(".bin/anvil"));
    let found = places.into_iter().find(|place| place.is_file());
    found.map(PathBuf::into_os_string).context(
        "anvil was not found: run npm ci in contracts/ and start from the root of the repository, or install foundry",
    )
}
