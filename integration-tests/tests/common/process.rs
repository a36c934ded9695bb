//! A node in a process of its own, so that it can be killed: this test program once more, in a mode
//! that only runs a node.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use zklink::id::ChainId;
use zklink_chain::deploy::Deployment;
use zklink_node::node::Node;

use crate::world::{Urls, World};

/// Its presence makes the test program a node.
const DATA: &str = "ZKLINK_TEST_NODE_DATA";
const CHAINS: &str = "ZKLINK_TEST_NODE_CHAINS";
const PROVERS: &str = "ZKLINK_TEST_NODE_PROVERS";
/// What the child writes when it serves.
const LISTENING: &str = "the node listens on ";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How nodes on one data folder are started.
pub struct Launch {
    pub data: PathBuf,
    pub urls: Urls,
    pub provers: usize,
}

/// A node that was started, and may be dead.
pub struct NodeProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

fn deployment_file(data: &Path) -> PathBuf {
    data.join("deployment.toml")
}

impl Launch {
    /// Starts in an empty folder.
    pub fn new(data: &Path, urls: &Urls, world: &World, provers: usize) -> Launch {
        world.deployment.write(&deployment_file(data)).unwrap();
        Launch { data: data.to_owned(), urls: urls.clone(), provers }
    }

    /// Starts the node; `mode` is the name of the test that calls [`serve_if_asked`].
    pub fn start(&self, mode: &str) -> NodeProcess {
        let log = self.data.join("node.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let chains = self.urls.iter().map(|(id, (evm, url))| format!("{id} {evm} {url}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", mode, "--nocapture"])
            .env(DATA, &self.data)
            .env(CHAINS, chains.collect::<Vec<_>>().join(","))
            .env(PROVERS, self.provers.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        NodeProcess { child, lines, log }
    }
}

impl NodeProcess {
    /// Waits until it serves; returns host and port.
    pub async fn listening(&mut self) -> String {
        let listening = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once(LISTENING) {
                    return Some(address.to_owned());
                }
            }
            None
        };
        let address = tokio::time::timeout(PATIENCE, listening).await;
        match address {
            Ok(Some(address)) => address,
            ended => panic!("the node does not start ({ended:?}):\n{}", self.log()),
        }
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        let status = self.child.wait().await.unwrap();
        assert_eq!(status.code(), None, "it ended by itself ({status}):\n{}", self.log());
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Runs a node until the parent is gone, when this process was started by [`Launch::start`].
pub fn serve_if_asked() {
    let Ok(data) = std::env::var(DATA) else { return };
    // The parent writes nothing: the end of the pipe is the end of the parent.
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    });
    drop(tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).try_init());
    let data = PathBuf::from(data);
    let deployment = Deployment::read(&deployment_file(&data)).unwrap();
    let chains = std::env::var(CHAINS).unwrap();
    let provers = std::env::var(PROVERS).unwrap().parse().unwrap();
    let urls = chains.split(',').map(|chain| {
        let [id, evm, url] = chain.split(' ').collect::<Vec<_>>()[..] else { panic!("{chain}") };
        (ChainId(id.parse().unwrap()), (evm.parse().unwrap(), url.to_owned()))
    });
    let urls: Urls = urls.collect();
    zklink_mechanism::shell::run(async move {
        let world = World::of_deployment(&urls, deployment).await;
        let mut node = Node::start(world.setup(&data, provers)).await.unwrap();
        println!("\n{LISTENING}{}", node.rpc());
        let reason = node.finished().await;
        panic!("the node stopped by itself: {reason}");
    });
}
