//! The node: every machine seated, every driver started, sink first.
//!
//! ```text
//! archive ◄─ journal ◄─ builder ◄─ merge ledger[token] ◄─ watcher[chain]        (machines, by ports)
//!    ▲                     ▲
//!    │ reads               ├─ gateway ◄─ users
//!    │                     └─ hub reader ◄─ hub                                  (a driver; settlers hear it too)
//!    ├─ witness maker ─► feed ◄─ provers                                         (pulled by drivers; here or outside)
//!    └─ settler[chain] ─► contracts ─► attesters ─► attestation book ─► settler[chain]
//! ```

mod alarm;
pub mod follow;
mod health;
mod held_back;
pub mod hub;
pub mod rebuild;
mod seats;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use zklink::id::ChainId;
use zklink::state::State;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::deploy::Deployment;
use zklink_chain::finality::Finality;
use zklink_chain::sender::SendPolicy;
use zklink_circuit::proving::ShapeKeys;
use zklink_mechanism::host::Host;
use zklink_mechanism::port::{Port, Unanswered};
use zklink_mechanism::supervisor::{NextOrders, RequestStop};
use zklink_prover::prover;
use zklink_store::archive::{ArchiveFault, ArchiveReader, StoreError};
use zklink_store::journal::LogError;
use zklink_transport::{Listener, Workers};

use crate::builder::{Terms, ViewReader};
use crate::events::Events;
use crate::gateway::{Faucet, Gateway, Limits};
use crate::snapshot::RestoreError;

pub use alarm::{Alarm, Bounds, Kind};
pub use health::Health;
pub use held_back::{HeldBack, ReadHeldBack};
pub use seats::attesting::{AttesterSetup, ChainHealth, ChainReading, LoneAttester};

/// How long one machine may take to finish what it has.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How often the supervisor's orders are asked for.
const ORDERS_PERIOD: Duration = Duration::from_millis(50);

/// A chain as the node reaches it.
pub struct ChainSetup {
    /// Reads and sends.
    pub client: Arc<dyn ChainClient>,
    /// The validator's key on this chain.
    pub sender_key: EthKey,
    /// When a block is final.
    pub finality: Finality,
    /// The most blocks in one question for events.
    pub max_log_range: u64,
    /// How often the chain is asked, milliseconds.
    pub poll_ms: u64,
    /// How transactions are sent.
    pub send: SendPolicy,
}

/// Everything that a node is made of.
pub struct Setup {
    /// Folder of journal and archive.
    pub data: PathBuf,
    /// The contracts.
    pub deployment: Deployment,
    /// The state before the first block.
    pub genesis: State,
    /// Proving keys of the deployment's shapes.
    pub keys: Arc<ShapeKeys>,
    /// The chains.
    pub chains: BTreeMap<ChainId, ChainSetup>,
    /// Keys of the light-oracle attesters that run in this process.
    pub attesters: Vec<EthKey>,
    /// Where the RPC listens.
    pub rpc: SocketAddr,
    /// What users of the RPC may use.
    pub limits: Limits,
    /// A block with operations is sealed when the first of them is this old, milliseconds.
    pub block_max_age_ms: u64,
    /// On what terms transactions are taken.
    pub terms: Terms,
    /// Records of the journal between two snapshots of the state, from which the next start begins.
    pub snapshot_records: u64,
    /// Provers that run in this process.
    pub provers: usize,
    /// Provers and attesters in processes of their own, and where they connect.
    pub workers: Option<(SocketAddr, Workers)>,
    /// How long what stands still may do so before it is an alarm.
    pub alarms: Bounds,
    /// Gives test tokens on a development network.
    pub faucet: Option<Arc<dyn Faucet>>,
}

impl Setup {
    /// The clients of all chains.
    fn clients(&self) -> BTreeMap<ChainId, Arc<dyn ChainClient>> {
        self.chains.iter().map(|(id, chain)| (*id, Arc::clone(&chain.client))).collect()
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The setup contradicts itself.
    #[error("{0}")]
    Setup(String),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Store and journal do not belong together.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// The journal cannot be replayed.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A machine does not come up.
    #[error("a machine did not start: {0}")]
    Machine(#[from] Unanswered),
    /// The RPC address cannot be bound.
    #[error("cannot listen on {address}: {source}; is another node running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder cannot be used.
    #[error("cannot use {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A node that runs.
pub struct Node {
    host: Arc<Host>,
    gateway: Option<Gateway>,
    workers: Option<Listener>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    drivers: Vec<JoinHandle<()>>,
    supervision: JoinHandle<String>,
    request_stop: Port<RequestStop>,
    provers: prover::Ports,
    events: Events,
    health: Health,
    view: ViewReader,
    archive: ArchiveReader,
}

impl Node {
    /// Starts a node: replays the journal, seats the machines, starts the drivers, opens the RPC. Must be called inside
    /// of [`zklink_mechanism::shell::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(setup: Setup) -> Result<Node, StartError> {
        check(&setup)?;
        seats::start(setup).await
    }

    /// Where the RPC listens.
    pub fn rpc(&self) -> SocketAddr {
        self.address
    }

    /// Where provers and attesters of other processes connect, if they may.
    pub fn workers(&self) -> Option<SocketAddr> {
        self.workers.as_ref().map(Listener::address)
    }

    /// What happens in the node.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// How the drivers are doing.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Where provers outside of this node's own get work and hand in proofs; they need not be trusted.
    pub fn provers(&self) -> &prover::Ports {
        &self.provers
    }

    /// The executed state.
    pub fn view(&self) -> &ViewReader {
        &self.view
    }

    /// The archive, for reading.
    pub fn archive(&self) -> &ArchiveReader {
        &self.archive
    }

    /// Waits until the node stops by itself, and says why.
    pub async fn finished(&mut self) -> String {
        match (&mut self.supervision).await {
            Ok(reason) => reason,
            Err(error) => format!("the supervision failed: {error}"),
        }
    }

    /// Stops in order: no new requests, no new work, then every machine finishes what it has, sources first.
    /// Afterwards nothing is open any more.
    pub async fn stop(mut self, reason: &str) {
        tracing::info!(reason, "stopping");
        drop(self.request_stop.tell(RequestStop { reason: reason.to_owned() }));
        if let Some(gateway) = self.gateway.take() {
            gateway.stop(STOP_LIMIT).await;
        }
        if let Some(workers) = self.workers.take() {
            workers.stop(STOP_LIMIT).await;
        }
        self.stop.send_replace(true);
        for driver in self.drivers.drain(..) {
            let abort = driver.abort_handle();
            if tokio::time::timeout(STOP_LIMIT, driver).await.is_err() {
                // A question to a chain that does not answer: it is asked again at the next start.
                abort.abort();
            }
        }
        self.host.stop_all(STOP_LIMIT).await;
        self.supervision.abort();
    }
}

/// Refuses a setup whose parts do not fit together.
fn check(setup: &Setup) -> Result<(), StartError> {
    let refuse = |text: String| Err(StartError::Setup(text));
    for chain in &setup.deployment.chains {
        if !setup.chains.contains_key(&chain.id) {
            return refuse(format!("chain {} of the deployment is not configured", chain.id));
        }
    }
    if setup.chains.len() != setup.deployment.chains.len() {
        return refuse("a configured chain is not in the deployment file".into());
    }
    for shape in &setup.deployment.shapes {
        if setup.keys.get(shape.id).is_none() {
            return refuse(format!("there is no proving key of shape {}", shape.id));
        }
    }
    let mut tree = zklink::commitment::StateTree::of(&setup.genesis);
    if zklink::hash::fr_to_be_bytes(tree.root()) != setup.deployment.genesis_root {
        return refuse("the genesis state does not have the root of the deployment file".into());
    }
    Ok(())
}

/// Asks the supervisor for orders until it says stop.
fn supervise(host: Arc<Host>, orders: Port<NextOrders>) -> JoinHandle<String> {
    tokio::spawn(async move { host.supervise(orders, ORDERS_PERIOD).await })
}
