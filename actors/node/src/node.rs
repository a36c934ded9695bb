//! The node: every machine and every driver, on the threads of a process.
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
mod disk;
pub mod follow;
mod health;
mod held_back;
pub mod hub;
mod listen;
pub mod rebuild;
mod replica;
pub mod wiring;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zklink::fees::FeeTable;
use zklink::id::{BlockNumber, ChainId};
use zklink::state::State;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::deploy::Deployment;
use zklink_chain::finality::{Anchor, Finality};
use zklink_chain::sender::SendPolicy;
use zklink_circuit::proving::ShapeKeys;
use zklink_mechanism::clock::{Clock, SystemClock};
use zklink_mechanism::host::{Host, RunningHost};
use zklink_mechanism::platform::Reach;
use zklink_mechanism::port::{Port, Unanswered};
use zklink_mechanism::supervisor::{Config as SupervisorConfig, RequestStop, Supervisor};
use zklink_prover::feed::ProverId;
use zklink_prover::prover::{self, Groth16Proving, Proving};
use zklink_store::archive::parity::ParityStore;
use zklink_store::archive::{ArchiveFault, ArchiveReader, Store, StoreError};
use zklink_store::journal::disk::{FileDisk, make_folder};
use zklink_store::journal::segment::SegmentLog;
use zklink_store::journal::{Log, LogError};
use zklink_store::replica::ReplicaError;
use zklink_transport::{Listener, Ports, Workers};

use self::follow::{HubStages, groth16_form};
use self::wiring::proving::{FEED, groth16_check};
use self::wiring::{MAILBOX, Parts, ProvingParts, Wired, wire};
use crate::builder::{self, Terms, ViewReader};
use crate::events::Events;
use crate::gateway::{About, Api, Faucet, Gateway, Limits, Sources};
use crate::snapshot::RestoreError;

pub use self::wiring::attesting::{
    AttesterSetup, ChainHealth, ChainReading, LoneAttester, OpenHistory, history_file,
};
pub use alarm::{Alarm, Bounds, Kind};
pub use disk::{Disk, FreeBytes};
pub use health::Health;
pub use held_back::{HeldBack, ReadHeldBack};
pub use listen::{CannotListen, Listens, can_listen};
pub use replica::LoneReplica;

/// How long one machine may take to finish what it has.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long the RPC stays closed for a hub that does not answer.
const HUB_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes after which the journal begins a new segment.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Supervision: wait before a rebuild, the longest wait, failures in a window, the window.
pub const RESTARTS: SupervisorConfig = SupervisorConfig {
    backoff_first_ms: 100,
    backoff_max_ms: 10_000,
    failures_max: 5,
    window_ms: 60_000,
};

/// A chain as the node reaches it.
#[derive(Clone)]
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
    /// Provers, attesters and replicas in processes of their own, and where they connect.
    pub workers: Option<(SocketAddr, Workers)>,
    /// Below so much free room on the disk of the data folder nothing more is taken, MiB.
    pub disk_least_mib: u64,
    /// How long what stands still may do so before it is an alarm.
    pub alarms: Bounds,
    /// Gives test tokens on a development network.
    pub faucet: Option<Arc<dyn Faucet>>,
}

impl Setup {
    /// The parts of the node, but for its log.
    fn parts(&self, proven: BlockNumber, events: &Events) -> Result<Parts, StartError> {
        let prover = |number: usize| {
            let name = ProverId::new(&format!("local-{number}")).expect("a plain name");
            let proving = Groth16Proving::new(name.clone(), Arc::clone(&self.keys));
            (name, Arc::new(proving) as Arc<dyn Proving>)
        };
        let proving = ProvingParts {
            check: groth16_check(Arc::clone(&self.keys)),
            form: groth16_form,
            provers: (0..self.provers).map(prover).collect(),
            feed: FEED,
        };
        let attesters = self.attesters.iter().enumerate();
        Ok(Parts {
            deployment: self.deployment.clone(),
            genesis: self.genesis.clone(),
            proven,
            store: open_store(&self.data)?,
            chains: self.chains.clone(),
            attesters: attesters.map(|(number, key)| self.attester(number, key)).collect(),
            proving,
            workers: self.workers.as_ref().map(|(_, workers)| workers.clone()).unwrap_or_default(),
            builder: builder::Config {
                block_age_max_ms: self.block_max_age_ms,
                pace: Some(self.terms.pace),
                ..builder::Config::default()
            },
            fees: self.terms.fees.clone(),
            mailbox: 4 * MAILBOX,
            snapshot_records: self.snapshot_records,
            disk: Some(Disk::of(self.data.clone(), self.disk_least_mib)),
            alarms: self.alarms,
            events: events.clone(),
            report: events.of_settlement(),
        })
    }

    fn attester(&self, number: usize, key: &EthKey) -> AttesterSetup {
        let reading = |chain: &ChainSetup| ChainReading {
            client: Arc::clone(&chain.client),
            finality: chain.finality,
            max_log_range: chain.max_log_range,
            poll_ms: chain.poll_ms,
        };
        AttesterSetup {
            deployment: self.deployment.clone(),
            chains: self.chains.iter().map(|(id, chain)| (*id, reading(chain))).collect(),
            key: key.clone(),
            history: history_file(self.data.join(format!("attester-{number}.history"))),
        }
    }
}

/// The log of the journal in a data folder, which is made if there is none.
fn open_log(data: &Path, deployment: &Deployment) -> Result<Box<dyn Log>, StartError> {
    make_folder(data).map_err(|source| StartError::Folder { path: data.to_owned(), source })?;
    let disk = FileDisk::open(&data.join("journal"))?;
    let (log, opened) = SegmentLog::open(disk, &deployment.deployment_id.0, SEGMENT_BYTES)?;
    if let Some(cut) = &opened.cut {
        tracing::warn!(?cut, "the last write was torn and is cut off; nobody was told of it");
    }
    Ok(Box::new(log))
}

/// The store of the archive in a data folder.
fn open_store(data: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(ParityStore::open(&data.join("archive"))?))
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
    /// A replica does not.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// A machine does not come up.
    #[error("a machine did not start: {0}")]
    Machine(#[from] Unanswered),
    /// There is no place to listen on.
    #[error(transparent)]
    Listen(#[from] CannotListen),
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
    host: RunningHost,
    gateway: Option<Gateway>,
    workers: Option<Listener>,
    address: SocketAddr,
    request_stop: Port<RequestStop>,
    provers: prover::Ports,
    events: Events,
    health: Health,
    view: ViewReader,
    archive: ArchiveReader,
}

impl Node {
    /// Starts a node: replays the journal, starts machines and drivers, opens the RPC. Must be called inside of
    /// [`zklink_mechanism::shell::run`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(setup: Setup) -> Result<Node, StartError> {
        check(&setup)?;
        // Before the journal is replayed, which may take minutes.
        can_listen(Listens::Rpc, setup.rpc)?;
        setup.workers.iter().try_for_each(|(at, _)| can_listen(Listens::Workers, *at))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let supervised = Host::supervised_by(Arc::clone(&clock), Supervisor::new(RESTARTS));
        let (mut host, supervisor) = supervised.await?;
        let (log, events) = (open_log(&setup.data, &setup.deployment)?, Events::new());
        let parts = setup.parts(hub::proven(&setup).await, &events)?;
        let mut wired = wire(&mut host, log, parts).await?;
        let provers = prover::Ports { lease: wired.feed.port(), submit: wired.feed.port() };
        let workers = let_workers_in(&setup, &provers, &wired, &events).await?;
        // The builder takes nothing before it has heard of the hub; a hub that is down must not keep readers out for
        // long.
        if tokio::time::timeout(HUB_PATIENCE, wired.hub.first()).await.is_err() {
            tracing::warn!("the hub does not answer: nothing is executed until it does");
        }
        let serving = Serving {
            address: setup.rpc,
            limits: setup.limits.clone(),
            deployment: &setup.deployment,
            fees: setup.terms.fees.clone(),
            finality: setup.chains.iter().map(|(id, chain)| (*id, chain.finality)).collect(),
            faucet: setup.faucet.clone(),
        };
        let gateway = serve(serving, clock, &wired).await?;
        Ok(Node {
            host: host.run(supervisor.port()),
            address: gateway.address(),
            gateway: Some(gateway),
            workers,
            request_stop: supervisor.port(),
            provers,
            events,
            health: wired.health,
            view: wired.view,
            archive: wired.archive_reader,
        })
    }

    /// Where the RPC listens.
    pub fn rpc(&self) -> SocketAddr {
        self.address
    }

    /// Where provers, attesters and replicas of other processes connect, if they may.
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
        self.host.finished().await
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
        self.host.stop(STOP_LIMIT).await;
    }
}

/// The listener for provers, attesters and replicas of other processes.
async fn let_workers_in(
    setup: &Setup,
    provers: &prover::Ports,
    wired: &Wired<Host>,
    events: &Events,
) -> Result<Option<Listener>, StartError> {
    let Some((address, workers)) = setup.workers.clone() else { return Ok(None) };
    let (lease, submit) = (provers.lease.clone(), provers.submit.clone());
    let (attest, records) = (wired.book.port(), wired.journal.port());
    let ports = Ports { lease, submit, attest, records, watching: events.of_provers() };
    let deployment = setup.deployment.deployment_id;
    let listening = Listener::start(address, deployment, workers, ports).await;
    listening.map(Some).map_err(|source| {
        StartError::Listen(CannotListen { what: Listens::Workers, address, source })
    })
}

/// Where and to whom a node is open.
pub struct Serving<'a> {
    /// Where the RPC listens.
    pub address: SocketAddr,
    /// What its users may use.
    pub limits: Limits,
    /// The contracts.
    pub deployment: &'a Deployment,
    /// The least fees.
    pub fees: FeeTable,
    /// When a block of each chain is final.
    pub finality: BTreeMap<ChainId, Finality>,
    /// Gives test tokens on a development network.
    pub faucet: Option<Arc<dyn Faucet>>,
}

/// Opens the RPC of a node that is wired.
///
/// # Errors
/// [`StartError::Listen`].
pub async fn serve(
    serving: Serving<'_>,
    clock: Arc<dyn Clock>,
    wired: &Wired<Host>,
) -> Result<Gateway, StartError> {
    let Serving { address, limits, deployment, fees, finality, faucet } = serving;
    let Health { settlement, report, .. } = wired.health.clone();
    let sources = Sources {
        view: wired.view.clone(),
        archive: wired.archive_reader.clone(),
        submit: wired.builder.port(),
        proving: Some(wired.feed.port()),
        stages: Arc::new(HubStages { hub: wired.hub.clone(), settlement, report }),
        alarms: wired.alarm_views.clone(),
        faucet,
    };
    let about = About {
        network: Arc::new(deployment.network()),
        fees,
        shapes: deployment.shapes.iter().map(|shape| shape.id).collect(),
        confirmations: confirmations(&finality),
        key_chain: deployment.hub,
    };
    let api = Api::new(sources, about, limits.request_timeout);
    Gateway::start(address, limits, clock, api)
        .await
        .map_err(|source| StartError::Listen(CannotListen { what: Listens::Rpc, address, source }))
}

/// Confirmations that a deposit waits for, of the chains that count them.
fn confirmations(finality: &BTreeMap<ChainId, Finality>) -> BTreeMap<ChainId, u32> {
    let counted = finality.iter().filter_map(|(chain, finality)| match finality.anchor {
        Anchor::Confirmations(blocks) => Some((*chain, u32::try_from(blocks).unwrap_or(u32::MAX))),
        Anchor::Finalized | Anchor::Safe => None,
    });
    counted.collect()
}

/// Refuses a setup whose parts do not fit together.
fn check(setup: &Setup) -> Result<(), StartError> {
    let refuse = |text: String| Err(StartError::Setup(text));
    for chain in &setup.deployment.chains {
        if !setup.chains.contains_key(&chain.id) {
            let id = chain.id;
            return refuse(format!(
                "chain {id} of the deployment is not configured: add [chains.{id}] with rpc"
            ));
        }
    }
    if setup.chains.len() != setup.deployment.chains.len() {
        return refuse(
            "a chain of the configuration is not in the deployment file: remove it".into(),
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmations_are_told_of_the_chains_that_count_them() {
        let counted = Finality { anchor: Anchor::Confirmations(12), min_age_seconds: 60 };
        let finality = [(ChainId(1), Finality::FINALIZED), (ChainId(2), counted)].into();
        assert_eq!(confirmations(&finality), [(ChainId(2), 12)].into());
    }
}
