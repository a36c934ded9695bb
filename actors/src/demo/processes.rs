//! The prover, the attesters and a replica of the demonstration as processes of this same program. They are told what
//! they need in files, as on machines of their own, and have nothing of this process but the way to its listener.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zklink_transport::{Role, Token, Workers};

use crate::local::LocalNetwork;
use crate::people::{ATTESTERS, secret_of};
use crate::show::Show;

/// The name of the prover.
const PROVER: &str = "prover";
/// The name of the replica.
const REPLICA: &str = "replica";

/// Who is let in, and with what.
pub(super) struct Tokens(Vec<(String, Role, String)>);

impl Tokens {
    /// Fresh tokens.
    pub(super) fn new() -> Tokens {
        let fresh = || hex::encode(rand::random::<[u8; 32]>());
        let attesters = ATTESTERS.map(|name| (file_name(name), Role::Attester, fresh()));
        let prover = (PROVER.to_owned(), Role::Prover, fresh());
        let replica = (REPLICA.to_owned(), Role::Replica, fresh());
        Tokens([prover, replica].into_iter().chain(attesters).collect())
    }

    /// What the node knows of them.
    pub(super) fn workers(&self) -> Result<Workers> {
        let mut workers = Workers::default();
        for (name, role, token) in &self.0 {
            workers.add(name, *role, &Token::from_hex(token)?)?;
        }
        Ok(workers)
    }
}

/// The processes. They end with this value.
pub(super) struct Processes {
    /// What each says when it ends.
    running: JoinSet<String>,
    stop: watch::Sender<bool>,
    _folder: TempDir,
}

impl Processes {
    /// Writes the configurations and starts the processes.
    ///
    /// # Errors
    /// A file cannot be written, or a process not be started.
    pub(super) fn start(
        network: &LocalNetwork,
        tokens: &Tokens,
        keys: &Path,
        show: &Show,
    ) -> Result<Processes> {
        show.title("Prover, attesters and a replica, each a process of its own");
        let folder = TempDir::with_prefix("zklink-workers-").context("making a folder")?;
        let mut running = JoinSet::new();
        let (stop, stopped) = watch::channel(false);
        for (name, role, token) in &tokens.0 {
            let file = |end: &str| folder.path().join(format!("{name}.{end}"));
            write_secret(&file("token"), token)?;
            let command = match role {
                Role::Prover => {
                    write_secret(&file("toml"), &prover_config(network, name, keys)?)?;
                    "prover"
                }
                Role::Attester => {
                    let person = name.replace('-', " ");
                    write_secret(&file("key"), &hex::encode(secret_of(&person)))?;
                    write_secret(&file("toml"), &attester_config(network, name)?)?;
                    "attester"
                }
                Role::Replica => {
                    let text = common(network, name)?;
                    write_secret(&file("toml"), &format!("{text}data = \"{name}.data\"\n"))?;
                    "replica"
                }
            };
            let child = spawn(command, &file("toml"))?;
            show.line(format!("  {name}: process {}", child.id().unwrap_or_default()));
            running.spawn(watched(child, name.clone(), show.clone(), stopped.clone()));
        }
        Ok(Processes { running, stop, _folder: folder })
    }

    /// Waits until one of them ends, and says which.
    pub(super) async fn ended(&mut self) -> String {
        match self.running.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => format!("a process is not watched any more: {error}"),
            None => "there is no process".to_owned(),
        }
    }

    /// Ends them all. What they signed is on disk, and a proof that is not handed in would be made again.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

fn file_name(name: &str) -> String {
    name.replace(' ', "-")
}

fn spawn(command: &str, config: &Path) -> Result<Child> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut child = Command::new(&program);
    child.arg(command).arg("--config").arg(config);
    // They are for this process; above the files of the children they would be unknown keys.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ZKLINK_") {
            child.env_remove(name);
        }
    }
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    child.spawn().with_context(|| format!("starting {} {command}", program.display()))
}

/// Shows what a process says, until it ends or shall end.
async fn watched(
    mut child: Child,
    name: String,
    show: Show,
    mut stop: watch::Receiver<bool>,
) -> String {
    if let Some(out) = child.stdout.take() {
        tokio::spawn(told(out, name.clone(), show.clone()));
    }
    if let Some(err) = child.stderr.take() {
        tokio::spawn(told(err, name.clone(), show));
    }
    let ended = tokio::select! {
        ended = child.wait() => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    match ended {
        Some(Ok(status)) => format!("{name} ended: {status}"),
        Some(Err(error)) => format!("{name} is lost: {error}"),
        None => {
            // It may have ended by itself, which is as well.
            drop(child.kill().await);
            format!("{name} was ended")
        }
    }
}

async fn told(from: impl AsyncRead + Unpin, name: String, show: Show) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        show.line(format!("  [{name}] {line}"));
    }
}

fn prover_config(network: &LocalNetwork, name: &str, keys: &Path) -> Result<String> {
    let mut text = common(network, name)?;
    writeln!(text, "keys = {}", quoted(&absolute(keys)?))?;
    Ok(text)
}

fn attester_config(network: &LocalNetwork, name: &str) -> Result<String> {
    let mut text = common(network, name)?;
    writeln!(text, "key_file = \"{name}.key\"\ndata = \"{name}.data\"")?;
    for (id, chain) in &network.chains.by_id {
        let (url, poll_ms) = (quoted(&chain.url), network.chains.poll_ms);
        writeln!(text, "[chains.{id}]\nrpc = [{url}]\npoll_ms = {poll_ms}")?;
        writeln!(text, "finality = {{ anchor = \"finalized\" }}\nmax_log_range = 1000")?;
    }
    Ok(text)
}

fn common(network: &LocalNetwork, name: &str) -> Result<String> {
    let node = network.node.workers().context("the node lets workers in")?;
    let deployment = quoted(&absolute(&network.data.join("deployment.toml"))?);
    Ok(format!(
        "node = \"ws://{node}\"\ntoken_file = \"{name}.token\"\ndeployment = {deployment}\n"
    ))
}

fn absolute(path: &Path) -> Result<String> {
    let path: PathBuf = std::path::absolute(path)?;
    Ok(path.to_str().context("the folder has a name that is no text")?.to_owned())
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Writes a file that nobody else may read, from its first moment on.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("writing {}", path.display()))
}
