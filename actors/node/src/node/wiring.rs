//! The wiring of a node: starts its machines and drivers in the order in which they depend on each other.
//!
//! There is one, over the [`Platform`] on which it runs and the [`Parts`] of which it is made. A node in a process
//! gives it threads, a disk, endpoints and keys; the worlds of `integration-tests` give it virtual time and simulated
//! parts.

pub(super) mod attesting;
mod core;
pub(super) mod proving;
mod settling;
mod watching;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use zklink::id::{BlockNumber, ChainId, TokenId};
use zklink::state::State;
use zklink_chain::client::ChainClient;
use zklink_chain::deploy::Deployment;
use zklink_client::AlarmView;
use zklink_mechanism::clock::{self, Tick};
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::port::Port;
use zklink_prover::feed::{self, Feed, Job, ProverId};
use zklink_prover::prover::Proving;
use zklink_settlement::HubNews;
use zklink_settlement::book::AttestationBook;
use zklink_settlement::driver::Report;
use zklink_store::archive::{Archive, ArchiveReader, Keep, Store};
use zklink_store::journal::{Journal, Log};
use zklink_transport::Workers;

use self::attesting::AttesterSetup;
use self::core::start_core;
use self::proving::start_proving;
use self::settling::{Settling, start_settlement};
use self::watching::{start_ledgers, start_watchers};
use super::disk::{self, Disk};
use super::follow::ProofForm;
use super::health::Watched;
use super::{Bounds, ChainSetup, Health, HeldBack, StartError};
use crate::builder::{self, Builder, ViewReader};
use crate::events::Events;
use crate::merge_ledger::MergeLedger;
use crate::pool_history::PoolHistory;
use crate::roots;
use crate::snapshot::maker;
use crate::watcher::Watcher;
use crate::witness_maker::WitnessMaker;

/// Messages that may wait before a machine that nobody bounds otherwise.
pub(super) const MAILBOX: usize = 1024;
/// How often alarms are looked for.
const ALARM_PERIOD: Duration = Duration::from_secs(5);
/// How often machines are told that time has passed.
const TICK: Duration = Duration::from_millis(50);

/// Says what is wrong with a proof of a job.
pub type ProofCheck = Arc<dyn Fn(&Job, &[u8]) -> Result<(), String> + Send + Sync>;

/// How proofs are made, checked and written.
pub struct ProvingParts {
    /// Checks what provers hand in.
    pub check: ProofCheck,
    /// How the verifier contract reads a stored proof.
    pub form: ProofForm,
    /// The provers that run beside the node.
    pub provers: Vec<(ProverId, Arc<dyn Proving>)>,
    /// The bounds of the prover feed.
    pub feed: feed::Config,
}

/// What a node is made of, whatever it runs on.
pub struct Parts {
    /// The contracts.
    pub deployment: Deployment,
    /// The state before the first block.
    pub genesis: State,
    /// All blocks up to this one are proven on the hub, finally.
    pub proven: BlockNumber,
    /// Where the archive is.
    pub store: Arc<dyn Store>,
    /// The chains.
    pub chains: BTreeMap<ChainId, ChainSetup>,
    /// The attesters that run beside the node.
    pub attesters: Vec<AttesterSetup>,
    /// Proofs.
    pub proving: ProvingParts,
    /// Those who work in processes of their own: that they are there is watched.
    pub workers: Workers,
    /// The bounds of the builder.
    pub builder: builder::Config,
    /// The least fees.
    pub fees: zklink::fees::FeeTable,
    /// Messages that may wait before journal and builder.
    pub mailbox: usize,
    /// Records of the journal between two snapshots of the state.
    pub snapshot_records: u64,
    /// The disk of journal and archive, where there is one.
    pub disk: Option<Disk>,
    /// How long what stands still may do so before it is an alarm.
    pub alarms: Bounds,
    /// Where it is told what happens.
    pub events: Events,
    /// Where the steps of settlement are written down.
    pub report: Report,
}

impl Parts {
    /// The clients of all chains.
    fn clients(&self) -> BTreeMap<ChainId, Arc<dyn ChainClient>> {
        self.chains.iter().map(|(id, chain)| (*id, Arc::clone(&chain.client))).collect()
    }
}

/// The machines of a node that runs, and how its drivers are doing.
pub struct Wired<P: Platform> {
    /// Owns the state.
    pub builder: P::Ref<Builder>,
    /// Owns the truth.
    pub journal: P::Ref<Journal>,
    /// Writes the store.
    pub archive: P::Ref<Archive>,
    /// Has proofs made.
    pub feed: P::Ref<Feed>,
    /// Collects signatures.
    pub book: P::Ref<AttestationBook>,
    /// What a person must look at.
    pub held_back: P::Ref<HeldBack>,
    /// One for each token.
    pub ledgers: BTreeMap<TokenId, P::Ref<MergeLedger>>,
    /// One for each chain.
    pub watchers: BTreeMap<ChainId, P::Ref<Watcher>>,
    /// The executed state.
    pub view: ViewReader,
    /// The archive, for reading.
    pub archive_reader: ArchiveReader,
    /// The block of the snapshot from which it started.
    pub started_from: Option<BlockNumber>,
    /// What the hub says.
    pub hub: HubNews,
    /// How the drivers are doing.
    pub health: Health,
    /// The alarms as the RPC shows them.
    pub alarm_views: watch::Receiver<Vec<AlarmView>>,
}

/// The machines that own truth, and what follows them.
struct Core<P: Platform> {
    archive: P::Ref<Archive>,
    journal: P::Ref<Journal>,
    builder: P::Ref<Builder>,
    reader: ArchiveReader,
    view: ViewReader,
    started_from: Option<BlockNumber>,
    ticks: Vec<Port<Tick>>,
}

impl<P: Platform> Core<P> {
    fn keep(&self) -> Port<Keep> {
        self.archive.port()
    }
}

/// Starts a node on the log of its journal.
///
/// # Errors
/// [`StartError`].
pub async fn wire<P: Platform>(
    platform: &mut P,
    log: Box<dyn Log>,
    parts: Parts,
) -> Result<Wired<P>, StartError> {
    let (mut core, witness, roots) = start_core(platform, &parts, log).await?;
    let stop = platform.stopping();
    let history = PoolHistory::default();
    let (cuts, cut) = mpsc::channel(1);
    let roots = roots::drive(roots, core.keep(), cuts, platform.offload(), stop.clone());
    platform.drive("root-maker", roots);
    let snapshots = maker::drive(cut, core.keep(), platform.offload(), stop.clone());
    platform.drive("snapshot-maker", snapshots);
    let maker = WitnessMaker::new(core.reader.clone(), witness, history.clone());
    let feed = start_proving(platform, &mut core, &parts, maker).await?;
    let (ledgers, held_back) = start_ledgers(platform, &mut core, &parts, &history).await?;
    let (watchers, chains) = start_watchers(platform, &core, &parts, &ledgers).await?;
    let Settling { book, status, attesters, hub } =
        start_settlement(platform, &core, &parts).await?;
    let (told, alarms) = watch::channel(Vec::new());
    let report = parts.report.clone();
    let health = Health { chains, settlement: status, attesters, report, alarms };
    let (views, alarm_views) = watch::channel(Vec::new());
    let (view, hub_told) = (core.view.clone(), hub.clone());
    let (disk_told, disk_heard) = watch::channel(None);
    if let Some(disk) = parts.disk.clone() {
        platform.drive("disk", disk::drive(disk, core.builder.port(), disk_told, stop.clone()));
    }
    let watched = Watched {
        health: health.clone(),
        clients: parts.clients(),
        held_back: held_back.port(),
        proving: feed.port(),
        workers: parts.workers.clone(),
        disk: disk_heard,
        sealed: Box::new(move || view.read().state.system.number),
        hub: Box::new(move || hub_told.seen().map(|tip| tip.view).unwrap_or_default()),
        clock: platform.clock(),
        bounds: parts.alarms,
        views,
    };
    platform.drive("alarms", watched.run(told, ALARM_PERIOD, stop.clone()));
    platform.drive("clock", clock::drive(core.ticks, TICK, stop));
    let Core { archive, journal, builder, reader, view, started_from, .. } = core;
    Ok(Wired {
        builder,
        journal,
        archive,
        feed,
        book,
        held_back,
        ledgers,
        watchers,
        view,
        archive_reader: reader,
        started_from,
        hub,
        health,
        alarm_views,
    })
}
